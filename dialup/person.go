package dialup

import (
	"context"
	"slices"
	"time"

	"postern/internal/status"
	"postern/ppp"
)

// typedLogin is the answer to a terminal's log-in.
type typedLogin struct {
	judgement
	name string // as typed
}

// sniff finds out who speaks. Until that is known PPP runs and has every byte:
// a caller that speaks it, or is silent, notices nothing.
func (c *call) sniff(now time.Time, p []byte) {
	for len(p) > 0 {
		who, n := c.sniffer.feed(p)
		last := c.sniffer.before
		switch who {
		case peer:
			c.sniffing = false
			if c.terminal != nil {
				c.startPPP(now)
				// The frame begins with the byte before the one that told.
				if p = p[n-1:]; last != 0 {
					c.sess.Input(now, []byte{last})
				}
				c.cfg.observer.Received(now, p)
			}
			c.sess.Input(now, p)
			return
		case directCable:
			// The caller begins its PPP when it has read this, and has not read
			// what was sent before.
			c.text = append(c.text, cableServer...)
			c.startPPP(now)
			p = p[n:]
			continue
		case person:
			if c.terminal == nil && c.cfg.terminal != nil {
				c.openTerminal(now)
				p = p[n:]
				continue
			}
		}
		if c.terminal != nil {
			c.lastIP, c.greetBy = now, time.Time{}
			c.terminal.input(now, p[:n])
		} else {
			c.sess.Input(now, p[:n])
		}
		p = p[n:]
	}
}

// openTerminal stops PPP, which has heard nothing, and asks who it is.
func (c *call) openTerminal(now time.Time) {
	host := c.cfg.terminal.Host
	if host == "" {
		host = c.cfg.ppp.Hostname
	}
	c.terminal = newTerminal(host, slices.Contains(c.cfg.ppp.Auth, ppp.PAP), now)
	c.sniffer = sniffer{typing: true}
}

// startPPP begins PPP anew, after a terminal or the words of a direct cable.
func (c *call) startPPP(now time.Time) {
	if c.terminal != nil {
		c.text = c.terminal.output(c.text)
		c.terminal, c.phase = nil, negotiating
	}
	c.greetBy, c.sniffer = time.Time{}, sniffer{}
	cfg := c.cfg.ppp
	if c.user != "" && c.cfg.terminal.IfNeeded && c.policy != ppp.EncryptionRequire {
		cfg.Auth, cfg.Encryption = nil, ppp.EncryptionOff // there are no keys without authentication
	}
	c.sess = ppp.New(cfg, now)
}

// wishes does what the terminal wants.
func (c *call) wishes(jobs context.Context, now time.Time) {
	t := c.terminal
	switch t.next() {
	case judgeLogin:
		c.phase = max(c.phase, authenticating)
		c.login.answered = true // what follows teaches nothing about PPP's methods
		req := ppp.AuthRequest{Method: ppp.PAP, Name: t.name, Password: t.password}
		c.jobs.Go(func() {
			user, answer := c.cfg.auth.Authenticate(jobs, c.cfg.from, req)
			c.logins <- typedLogin{judgement{user, answer}, req.Name}
		})
	case showMailbox:
		user := t.user
		c.jobs.Go(func() { c.told <- c.cfg.terminal.Mailbox(user) })
	case startPPP:
		c.startPPP(now)
	case endCall:
		c.hangUpOn(now, t.reason)
	}
}

// loggedIn tells the terminal and the world how a log-in was judged.
func (c *call) loggedIn(now time.Time, l typedLogin) {
	if c.terminal == nil {
		return // PPP has come between
	}
	if l.user == "" {
		l.user = userOf(l.name)
	}
	if l.answer.OK {
		c.user, c.phase = l.user, online
		c.policy = c.cfg.ppp.Encryption
		if p := l.answer.Encryption; p != nil {
			c.policy = *p
		}
		c.cfg.post(status.CallAuthenticated{At: now, Call: c.cfg.id, User: c.user, Method: "terminal"})
	}
	c.terminal.judged(now, l.user, l.answer.OK)
}

// hangUpOn ends the call of a person, who has no PPP to say good-bye to.
func (c *call) hangUpOn(now time.Time, why ppp.Reason) {
	c.because(why)
	c.over, c.endBy = true, now.Add(drainWait)
}
