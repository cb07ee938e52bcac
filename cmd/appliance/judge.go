package main

import (
	"crypto/rand"
	"fmt"
	"time"
	"unicode/utf8"

	"postern/internal/config"
	"postern/ppp"
)

// RAS errors that an Answer bears (raserror.h).
const (
	passwordExpired   = 648
	noPermission      = 649 // unlike 691 it does not make Windows ask for the password again
	passwordUnchanged = 709
)

// judge checks a request; u is not set if its name is not known.
func (c *callers) judge(u config.User, known bool, req ppp.AuthRequest) ppp.Answer {
	password, _ := c.passwords.Dial(u)
	if !known {
		// Compute all the same, so that time tells no names.
		password = config.NewSecret(rand.Text())
	}
	if req.Change != nil && known {
		return c.change(u, password, req)
	}
	answer := check(u, req, password)
	switch {
	case !known:
		return ppp.Answer{}
	case answer.OK && c.passwords.Expired(u, time.Now()):
		// Only who knows a password learns that it has expired.
		return ppp.Answer{Code: passwordExpired, Message: c.expiredWords(req.Method)}
	}
	return answer
}

// check is ppp.Check, and for those who may log in so, ppp.CheckLM.
func check(u config.User, req ppp.AuthRequest, password config.Secret) ppp.Answer {
	if !req.OnlyLM() {
		return ppp.Check(req, password.Reveal())
	}
	answer := ppp.CheckLM(req, password.Reveal())
	if !u.LM {
		return ppp.Answer{}
	}
	return answer
}

func (c *callers) expiredWords(m ppp.AuthMethod) string {
	const words = "the password has expired"
	switch {
	case !c.cfg.PPP.PasswordChange:
		return words + "; ask whoever keeps the server for another"
	case m != ppp.MSCHAP && m != ppp.MSCHAPv2:
		return fmt.Sprintf("%s, and %v cannot change it", words, m)
	}
	return words
}

// change gives the user the new password of a request, if it was made with the
// old one. It stands from then on, on the disk too.
func (c *callers) change(u config.User, old config.Secret, req ppp.AuthRequest) ppp.Answer {
	text, err := ppp.NewPassword(req, old.Reveal())
	if err != nil {
		return ppp.Answer{} // a guess at the old one
	}
	fresh := config.NewSecret(text)
	answer := check(u, req, fresh)
	switch {
	case !answer.OK:
		return unchanged("the log-in with the new password failed")
	case utf8.RuneCountInString(text) < c.cfg.PPP.MinPassword:
		return unchanged(fmt.Sprintf("the new password must have %d characters or more", c.cfg.PPP.MinPassword))
	case fresh == old:
		return unchanged("the new password is the old one")
	}
	if err := c.passwords.Change(u, old, fresh, time.Now()); err != nil {
		c.log.Error("a new password could not be stored; the old one stands", "user", u.Name, "err", err)
		return unchanged("the new password could not be stored; the old one stands")
	}
	c.log.Info("the caller has changed the dial password", "user", u.Name)
	return answer
}

// unchanged is the answer to a change that cannot be made.
func unchanged(why string) ppp.Answer { return ppp.Answer{Code: passwordUnchanged, Message: why} }
