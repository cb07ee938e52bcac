package dialup

import (
	"errors"
	"time"

	"postern/ppp"
)

func (c *call) servicesEnded(err error) {
	if err == nil {
		err = errors.New("they stopped without an error")
	}
	c.fail(time.Now(), "the services ended early: "+err.Error())
}

// end closes PPP in order. The cause comes with PPP's EventEnded, which may know
// an earlier one: a Terminate-Request just before.
func (c *call) end(now time.Time, why ppp.Reason) {
	if c.endBy.IsZero() && c.terminal != nil {
		c.terminal.say("\r\nThis call ends: %s.\r\n", why.Text)
		c.hangUpOn(now, why)
	}
	if c.endBy.IsZero() {
		c.endBy = now.Add(endWait)
		c.sess.Close(now, why)
	}
}

func (c *call) fail(now time.Time, text string) {
	c.end(now, ppp.Reason{Side: ppp.Us, Code: codeServices, Text: text})
}

func (c *call) because(why ppp.Reason) {
	if c.cause.IsZero() {
		c.cause = why
	}
}

// carrierLost ends the call because the modem says that the line is gone.
func (c *call) carrierLost(now time.Time) {
	c.hungUp()
	c.cut(now, ppp.Reason{Side: ppp.Line, Code: ppp.CodeCarrierLost, Text: "the carrier was lost"})
}

// hungUp tells the modem's dialogue that the modem is in command state, and
// what it said there.
func (c *call) hungUp() {
	c.modem.cleared = true
	c.modem.scan.feed(c.watch.results)
	c.watch = carrierWatch{}
}

// gone ends the call because its port has failed.
func (c *call) gone(err error) {
	c.err = err
	c.cut(time.Now(), ppp.Reason{Side: ppp.Line, Code: codePort, Text: err.Error()})
}

// cut ends the call at once: nobody is left to talk to. PPP may know of an
// earlier cause, a Terminate-Request that came before the carrier went.
func (c *call) cut(now time.Time, why ppp.Reason) {
	c.dead = true
	c.sess.Close(now, why)
	for ev := c.sess.NextEvent(); ev.Kind != ppp.NoEvent; ev = c.sess.NextEvent() {
		if ev.Kind == ppp.EventEnded {
			c.because(ev.Reason)
		}
	}
	c.because(why)
}

// finished reports whether the session has ended and its last bytes are out,
// or have had their time.
func (c *call) finished(now time.Time) bool {
	if c.endBy.IsZero() {
		return false
	}
	return c.over && !c.modem.wire.busy || !now.Before(c.endBy)
}
