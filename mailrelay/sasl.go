package mailrelay

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// errSASL is a message of a mechanism that cannot be understood, or one that
// comes when none is due. It is the client's mistake, not a wrong password.
var errSASL = errors.New("malformed response")

// saslMechanism is one way to log in that callers are offered. start makes the
// server side of one exchange, which calls admit once, when it has succeeded.
// Its Next fails with errLogin for a refused log-in and with other errors for
// malformed messages. A nil response means that the client sent none.
type saslMechanism struct {
	name  string
	start func(accounts Accounts, admit func(Account)) sasl.Server
}

// saslTable lists the mechanisms, those that show a listener nothing first, for
// clients that take the first they know.
func saslTable() []saslMechanism {
	return []saslMechanism{
		{"SCRAM-SHA-256", newSCRAMServer(sha256.New)},
		{"SCRAM-SHA-1", newSCRAMServer(sha1.New)},
		{"CRAM-MD5", newCRAMServer},
		{"NTLM", newNTLMServer},
		{sasl.Plain, newPlainServer},
		{sasl.Login, newLoginServer},
	}
}

func saslMechanisms() (names []string) {
	for _, m := range saslTable() {
		names = append(names, m.name)
	}
	return names
}

// newSASL starts a mechanism by its name, in any case; nil if there is no such.
func newSASL(name string, accounts Accounts, admit func(Account)) sasl.Server {
	for _, m := range saslTable() {
		if strings.EqualFold(m.name, name) {
			return m.start(accounts, admit)
		}
	}
	return nil
}

// newPlainServer is RFC 4616.
func newPlainServer(accounts Accounts, admit func(Account)) sasl.Server {
	return sasl.NewPlainServer(func(identity, name, password string) error {
		// Acting for others (the authorization identity) is not for mail users;
		// some clients fill in their own name.
		if identity != "" && identity != name {
			return errLogin
		}
		a, err := checkPassword(accounts, name, password)
		if err == nil {
			admit(a)
		}
		return err
	})
}

// saslLogin is the server of draft-murchison-sasl-login-00. The prompts are
// to the letter those that old Microsoft clients compare with.
type saslLogin struct {
	accounts Accounts
	admit    func(Account)
	step     int
	name     string
}

func newLoginServer(accounts Accounts, admit func(Account)) sasl.Server {
	return &saslLogin{accounts: accounts, admit: admit}
}

func (l *saslLogin) Next(response []byte) (challenge []byte, done bool, err error) {
	// Some clients send the name along with AUTH LOGIN, so the first prompt is
	// only for those that did not.
	if l.step == 0 && response != nil {
		l.step = 1
	}
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.name = string(response)
		return []byte("Password:"), false, nil
	case 3:
		a, err := checkPassword(l.accounts, l.name, string(response))
		if err == nil {
			l.admit(a)
		}
		return nil, true, err
	}
	return nil, false, errSASL
}
