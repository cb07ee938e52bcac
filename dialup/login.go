package dialup

import (
	"context"
	"strings"
	"time"

	"postern/ppp"
)

// patience is the time after which a caller who hangs up without having
// answered did not just change its mind.
const patience = 10 * time.Second

// login is what a call has told about the methods of its caller.
type login struct {
	asked    ppp.AuthMethod // first
	answered bool           // there was something to judge
	by       ppp.AuthMethod // by which the caller came in; zero: it did not
	keys     bool           // and it must be encrypted
	silent   bool           // it spoke PPP, and never answered to being asked
}

// judgement is what an Authenticator returns.
type judgement struct {
	user   string
	answer ppp.Answer
}

// userOf takes off the domain that Windows may put before the name.
func userOf(name string) string { return name[strings.LastIndexByte(name, '\\')+1:] }

// judge asks the authenticator. The session has one question at a time, so
// that answers never blocks.
func (c *call) judge(jobs context.Context, req ppp.AuthRequest) {
	c.phase = max(c.phase, authenticating)
	c.login.answered = true
	c.jobs.Go(func() {
		user, answer := c.cfg.auth.Authenticate(jobs, c.cfg.from, req)
		c.answers <- judgement{user, answer}
	})
}

// judged notes an answer: a user's own policy may require encryption.
func (l *login) judged(a ppp.Answer) {
	l.keys = l.keys || a.OK && a.Encryption != nil && *a.Encryption == ppp.EncryptionRequire
}

// finish tells what a call's end says about the log-in that it never came to.
// Noise on the line is no refusal, nor is a person who changes their mind.
func (l *login) finish(why ppp.Reason, lasted time.Duration, counts ppp.Counts) {
	if l.answered || l.by != 0 || counts.Line.Good == 0 || counts.Line.BadFCS > counts.Line.Good {
		return
	}
	switch why.Code {
	case ppp.CodeLCPFailed, ppp.CodeAuthTimeout, ppp.CodeSetupTimeout:
		l.silent = true
	case ppp.CodePeerHangup, ppp.CodeCarrierLost:
		l.silent = lasted >= patience
	}
}
