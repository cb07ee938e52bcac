package mailrelay

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"postern/mailrelay/spool"
)

// authorization runs a command of RFC 1939's AUTHORIZATION state.
func (p *pop3Session) authorization(verb, arg string) error {
	switch verb {
	case "USER":
		if arg == "" {
			return p.senseless("USER needs a name")
		}
		p.user = arg
		return p.ok("send PASS") // whether there is such a user or not
	case "PASS":
		if p.user == "" {
			return p.senseless("send USER first")
		}
		if !p.mayTry() {
			return errQuit
		}
		a, err := checkPassword(p.accounts, p.user, arg)
		return p.judge("PASS", a, err)
	case "APOP":
		return p.apop(arg)
	case "AUTH":
		return p.auth(arg)
	case "CAPA":
		return p.capa()
	case "STLS":
		return p.stls()
	case "UTF8":
		return p.utf8()
	case "QUIT":
		p.ok("bye")
		return errQuit
	case "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL":
		return p.senseless("log in first")
	}
	return p.senseless("unknown command")
}

// mayTry waits until a log-in may be judged, or says that none will be soon.
func (p *pop3Session) mayTry() bool {
	if p.server.Guesses.enter(p.ctx, p.conn.RemoteAddr()) {
		return true
	}
	p.fail("[SYS/TEMP] too many log-ins from your address have failed, try again in some minutes")
	return false
}

// apop is RFC 1939 section 7. The digest is the last word; the name may hold
// spaces.
func (p *pop3Session) apop(arg string) error {
	i := strings.LastIndexByte(arg, ' ')
	if i <= 0 {
		return p.senseless("APOP needs a name and a digest")
	}
	if !p.mayTry() {
		return errQuit
	}
	name, digest := arg[:i], arg[i+1:]
	if a, ok := proved(p.accounts, name); ok {
		return p.judge("APOP", a, nil)
	}
	a, password, ok := passwordOf(p.accounts, name)
	if !same(strings.ToLower(digest), apopDigest(p.banner, password)) || !ok {
		return p.judge("APOP", a, errLogin)
	}
	return p.judge("APOP", a, nil)
}

func apopDigest(banner, password string) string {
	sum := md5.Sum([]byte(banner + password))
	return hex.EncodeToString(sum[:])
}

// auth is RFC 5034. Without an argument it lists the mechanisms, a line each,
// as [MS-POP3] section 2.2.1 has it: Outlook Express asks so before "Secure
// Password Authentication".
func (p *pop3Session) auth(arg string) error {
	if arg == "" {
		p.ok("mechanisms follow")
		for _, m := range saslMechanisms() {
			fmt.Fprintf(p.w, "%s\r\n", m)
		}
		_, err := p.w.WriteString(".\r\n")
		return err
	}
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	var account Account
	server := newSASL(mechanism, p.accounts, func(a Account) { account = a })
	if server == nil {
		return p.senseless("unknown mechanism, CAPA lists those there are")
	}
	if !p.mayTry() {
		return errQuit
	}
	var response []byte // nil: none was sent
	if hasInitial {
		var err error
		if response, err = decodeSASL(initial); err != nil {
			return p.senseless("initial response is not base64")
		}
	}
	for {
		challenge, done, err := server.Next(response)
		if errors.Is(err, errLogin) {
			return p.judge(mechanism, Account{}, err)
		}
		if err != nil {
			return p.senseless("%s: malformed response", mechanism)
		}
		if done {
			return p.judge(mechanism, account, nil)
		}
		fmt.Fprintf(p.w, "+ %s\r\n", base64.StdEncoding.EncodeToString(challenge))
		line, err := p.readLine(maxSASLLine)
		if err == errPOP3LineTooLong {
			return p.senseless("response is longer than %d octets", maxSASLLine)
		}
		if err != nil {
			return err
		}
		if string(line) == "*" {
			return p.fail("cancelled as you asked")
		}
		if response, err = decodeSASL(string(line)); err != nil {
			return p.senseless("response is not base64")
		}
	}
}

// decodeSASL never returns nil without an error: "=" is an initial response
// that is empty (RFC 5034 section 4), and so is an empty line later on.
func decodeSASL(s string) ([]byte, error) {
	if s == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return append([]byte{}, b...), err
}

// judge answers a log-in: it opens the maildrop, or says why not.
func (p *pop3Session) judge(how string, a Account, err error) error {
	p.user = ""
	if err != nil {
		// The name is not logged: people type passwords into name fields.
		p.log.Warn("log-in refused", "by", how)
		again := p.tries.fail(p.ctx)
		p.fail("[AUTH] %v", err)
		if !again {
			return errQuit
		}
		return nil
	}
	p.server.Guesses.succeeded(p.conn.RemoteAddr())
	maildrop, err := p.server.Spool.Lock(a.User)
	if errors.Is(err, spool.ErrLocked) {
		return p.fail("[IN-USE] mailbox is in use by another session, try again shortly")
	}
	if err != nil {
		p.log.Error("mailbox cannot be opened", "user", a.User, "err", err)
		return p.fail("[SYS/TEMP] mailbox cannot be opened now")
	}
	p.maildrop, p.messages, p.deleted = maildrop, maildrop.Messages(), make(map[int]bool)
	p.log = p.log.With("user", a.User)
	p.log.Info("logged in", "by", how, "messages", len(p.messages))
	return p.ok("%d messages", len(p.messages))
}
