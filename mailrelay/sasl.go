package mailrelay

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// errSASL is a message of a mechanism that cannot be understood, or one that
// comes when none is due. It is the client's mistake, not a wrong password.
var errSASL = errors.New("malformed response")

// saslMechanisms are those that callers are offered, in the order of the list.
func saslMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// newSASL starts the server side of a mechanism, nil if there is no such. It
// calls admit once, when a log-in has succeeded. Next fails with errLogin for a
// refused log-in and with other errors for malformed messages.
func newSASL(mechanism string, accounts Accounts, admit func(Account)) sasl.Server {
	check := func(name, password string) error {
		a, err := checkPassword(accounts, name, password)
		if err == nil {
			admit(a)
		}
		return err
	}
	switch strings.ToUpper(mechanism) {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, name, password string) error {
			// Acting for others (RFC 4616's authorization identity) is not for
			// mail users; some clients fill in their own name.
			if identity != "" && identity != name {
				return errLogin
			}
			return check(name, password)
		})
	case sasl.Login:
		return &saslLogin{check: check}
	}
	return nil
}

// saslLogin is the server of draft-murchison-sasl-login-00. The prompts are
// to the letter those that old Microsoft clients compare with.
type saslLogin struct {
	check func(name, password string) error
	step  int
	name  string
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
		return nil, true, l.check(l.name, string(response))
	}
	return nil, false, errSASL
}
