package main

import (
	"context"
	"crypto/rand"
	"strings"

	"postern/dialup"
	"postern/internal/config"
	"postern/mailrelay"
	"postern/ppp"
)

// callers is the box's user list towards PPP and towards the mail servers.
type callers struct{ cfg *config.Config }

// find returns the user that a dial-in name stands for. Windows sends
// DOMAIN\user, and the name in the case in which it was typed.
func (c callers) find(name string) (config.User, bool) {
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	for _, u := range c.cfg.Users {
		if strings.EqualFold(u.Name, name) {
			return u, true
		}
	}
	return config.User{}, false
}

// Authenticate judges a caller's log-in to PPP and says whose name it is.
func (c callers) Authenticate(_ context.Context, _ dialup.Origin, req ppp.AuthRequest) (user string, answer ppp.Answer) {
	u, known := c.find(req.Name)
	password := u.DialPassword.Reveal()
	if !known {
		// Compute all the same, so that time tells no names.
		password = rand.Text()
	}
	answer = ppp.Check(req, password)
	if !known {
		return "", ppp.Answer{Code: answer.Code, Message: answer.Message}
	}
	policy := pppPolicy(c.cfg.EncryptionFor(u))
	answer.Encryption = &policy
	return u.Name, answer
}

// Account finds who logs in to a mail server.
func (c callers) Account(name string) (mailrelay.Account, bool) {
	list := make(mailrelay.AccountList, len(c.cfg.Users))
	for i, u := range c.cfg.Users {
		list[i] = mailrelay.Account{User: u.Name, Addresses: u.Addresses, Password: u.MailPassword.Reveal}
	}
	return list.Account(name)
}

func pppPolicy(e config.Encryption) ppp.Policy {
	switch e {
	case config.EncryptionOff:
		return ppp.EncryptionOff
	case config.EncryptionRequire:
		return ppp.EncryptionRequire
	}
	return ppp.EncryptionPrefer
}
