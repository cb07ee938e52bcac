package mailrelay

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"time"
)

// Account is what a mail log-in of the box is checked against.
type Account struct {
	// User owns the mailbox and the queue; it is the user's name in the spool.
	User string
	// Addresses are those that the user may send as; logging in with one of them
	// in place of User works too.
	Addresses []string
	// Password returns the mail password in clear, which APOP, CRAM-MD5 and NTLM
	// compute with. It is a function so that printing an Account cannot show it.
	// An empty password lets nobody in.
	Password func() string
}

// Accounts finds the account that a log-in name stands for.
type Accounts interface {
	Account(name string) (Account, bool)
}

// AccountList is Accounts in a slice.
type AccountList []Account

// Account finds by user name, or else by address in any case: old clients were
// often set up with the whole address as the user name. Last comes the user name
// in any case, if only one fits: Windows 98 logs in by NTLM in capitals.
func (l AccountList) Account(name string) (Account, bool) {
	var found []Account
	for _, a := range l {
		if a.User == name {
			return a, true
		}
		if strings.EqualFold(a.User, name) {
			found = append(found, a)
		}
	}
	for _, a := range l {
		if a.sendsAs(name) {
			return a, true
		}
	}
	if len(found) != 1 {
		return Account{}, false
	}
	return found[0], true
}

// sendsAs tells whether the address is one of the account's. The local part
// is compared without case as well: what a provider gave the user as his
// address is typed by hand into clients of all ages.
func (a Account) sendsAs(address string) bool {
	for _, own := range a.Addresses {
		if strings.EqualFold(own, address) {
			return true
		}
	}
	return false
}

// errLogin is all that somebody learns whose name or password is wrong: not
// which of them.
var errLogin = errors.New("wrong user name or password")

// passwordOf returns the account and its password; for a name without account,
// or with an empty password, it returns a password that nothing can equal.
// Mechanisms compute with it all the same, so that time tells no names.
func passwordOf(accounts Accounts, name string) (a Account, password string, ok bool) {
	a, ok = accounts.Account(name)
	if ok && a.Password != nil {
		password = a.Password()
	}
	if password == "" {
		return Account{}, "nobody", false
	}
	return a, password, true
}

// samePerson is the Accounts on the line of a caller who has proved to PPP who
// he is: for his own account there, any password will do.
type samePerson struct {
	Accounts
	caller string // a user name, not empty
}

// proved returns the account of that name if its user needs no password here.
func proved(accounts Accounts, name string) (Account, bool) {
	line, ok := accounts.(samePerson)
	if !ok {
		return Account{}, false
	}
	a, ok := accounts.Account(name)
	return a, ok && a.User == line.caller
}

// checkPassword is the log-in by a clear password.
func checkPassword(accounts Accounts, name, password string) (Account, error) {
	if a, ok := proved(accounts, name); ok {
		return a, nil
	}
	a, want, ok := passwordOf(accounts, name)
	if !same(password, want) || !ok {
		return Account{}, errLogin
	}
	return a, nil
}

// same compares in a time that depends on neither the content nor the length
// of the secret one.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

const (
	// maxTries is how many log-ins may fail on one connection. Old clients try
	// three or four mechanisms with the same password before they ask again.
	maxTries = 6
	tryDelay = time.Second
)

// tries counts the failed log-ins of one connection.
type tries struct{ failed int }

// fail waits a second longer than the last time, so that guessing is slow, and
// tells whether another try is allowed. It returns at once when ctx ends.
func (t *tries) fail(ctx context.Context) (again bool) {
	t.failed++
	timer := time.NewTimer(time.Duration(t.failed) * tryDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return t.failed < maxTries
}
