package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"postern/dialup"
	"postern/internal/config"
	"postern/internal/status"
	"postern/mailrelay"
	"postern/ppp"
)

// callers is the box's user list towards PPP and towards the mail servers.
type callers struct {
	cfg       *config.Config
	passwords *config.Passwords
	guard     *guard
	post      func(status.Event)
	log       *slog.Logger
}

// find returns the user that a dial-in name stands for. Windows sends
// DOMAIN\user, and the name in the case in which it was typed.
func (c *callers) find(name string) (config.User, bool) {
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

// Authenticate judges a caller's log-in to PPP and says whose name it is. The
// answer to a wrong one may wait, see guard.
func (c *callers) Authenticate(ctx context.Context, from dialup.Origin, req ppp.AuthRequest) (user string, answer ppp.Answer) {
	u, known := c.find(req.Name)
	if until := c.guard.refused(time.Now(), from, u.Name); !until.IsZero() {
		c.log.Info("log-in not judged: its number is refused", "number", from.Number, "name", req.Name, "until", until)
		return "", ppp.Answer{Code: noPermission, Message: "too many log-ins from your number have failed; try again in an hour"}
	}
	answer = c.judge(u, known, req)
	switch {
	case answer.OK:
	case answer.Code == passwordExpired, answer.Code == passwordUnchanged:
		return u.Name, answer // a right password, and no guess
	default:
		c.failed(ctx, from, u.Name)
		return u.Name, answer
	}
	c.guard.succeeded(time.Now(), from, u.Name)
	policy := pppPolicy(c.cfg.EncryptionFor(u))
	answer.Encryption = &policy
	return u.Name, answer
}

// failed counts a failure and lets its answer wait, for no longer than the call
// lasts.
func (c *callers) failed(ctx context.Context, from dialup.Origin, user string) {
	wait, until := c.guard.failed(time.Now(), from, user)
	if !until.IsZero() {
		c.log.Warn("too many log-ins have failed: the number is refused", "number", from.Number, "line", from.Line, "until", until)
		c.post(status.NumberRefused{At: time.Now(), Number: from.Number, Until: until})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Account finds who logs in to a mail server.
func (c *callers) Account(name string) (mailrelay.Account, bool) {
	list := make(mailrelay.AccountList, len(c.cfg.Users))
	for i, u := range c.cfg.Users {
		list[i] = mailrelay.Account{User: u.Name, Addresses: u.Addresses, Password: c.passwords.Mail(u).Reveal}
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
