package exchange

import "time"

// intercept is how long a modem listens to "the number you have dialled is
// not in service" before it takes the special information tones for a no.
const intercept = 2 * time.Second

// stage is how far a call has come.
type stage int

const (
	placing stage = iota
	ringing
	training
	talking
	over
)

// call is what joins two modems, from the first digit to the last on-hook.
type call struct {
	x        *Exchange
	caller   *Modem
	callee   *Modem // nil until it rings
	withheld bool   // *67: no caller ID
	stage    stage
	dead     bool // the line carries nothing any more, not even a hang-up
	timers   []*time.Timer
}

func (c *call) other(m *Modem) *Modem {
	if m == c.caller {
		return c.callee
	}
	return c.caller
}

// enter moves the call on; what was planned for the old stage is off.
func (c *call) enter(s stage) {
	c.noticeStage(s)
	c.stage = s
	for _, t := range c.timers {
		t.Stop()
	}
	c.timers = nil
}

// after runs f in d's time if the call is then still at the stage it is now.
func (c *call) after(d time.Duration, f func(now time.Time)) {
	s := c.stage
	c.timers = append(c.timers, c.x.after(d, func(now time.Time) {
		if c.stage == s {
			f(now)
		}
	}))
}

// place finds out what is at number, the last digit having been dialled.
func (c *call) place(number string) {
	m := c.caller
	m.expectCarrier()
	if _, known := c.x.route(number); !known {
		c.notice(NoSuchNumber, number)
		c.after(intercept, func(now time.Time) { m.lost(now, resultNoCarrier) })
		return
	}
	c.after(c.x.cfg.Setup, func(now time.Time) {
		callee, _ := c.x.route(number)
		if callee == nil {
			c.notice(Busy, number)
			m.lost(now, resultBusy)
			return
		}
		c.callee, callee.call = callee, c
		c.enter(ringing)
		c.ring(1)
	})
}

// ring begins the nth burst of ringing. The caller's number comes in the
// silence after the first, as Bellcore's GR-30 has it.
func (c *call) ring(n int) {
	on, off := c.x.cfg.RingOn, c.x.cfg.RingOff
	c.timers = nil
	c.after(on+off, func(time.Time) { c.ring(n + 1) })
	m := c.callee
	if m.gone {
		return // the telephone rings, the modem has no power
	}
	m.set.s[1] = byte(min(n, 255))
	m.result(resultRing)
	if n == 1 {
		c.after(on+off/8, func(now time.Time) { m.callerID(now, c) })
	}
	awake := m.dtr || m.set.d < 2
	if s0 := m.set.s[0]; awake && s0 > 0 && m.set.s[1] >= s0 {
		c.after(on, m.answer)
	}
}

// connect ends training: both modems have carrier.
func (c *call) connect(now time.Time) {
	if c.dead {
		return // both give up by S7
	}
	c.enter(talking)
	c.x.calls++
	rate := min(c.caller.rate, c.callee.rate)
	there := newPump(rate, c.x.cfg, c.x.noise, c.x.random(c.x.calls, 0), now)
	back := newPump(rate, c.x.cfg, c.x.noise, c.x.random(c.x.calls, 1), now)
	c.caller.out, c.caller.in = there, back
	c.callee.out, c.callee.in = back, there
	for _, m := range []*Modem{c.caller, c.callee} {
		m.patience.Stop()
		m.connected(rate)
		m.enter(online, now)
	}
	if d := c.x.cfg.DropAfter; d > 0 {
		c.after(d, func(time.Time) { c.drop() })
	}
}

// cut makes the line carry nothing more. Bytes on their way still arrive.
func (c *call) cut() {
	c.dead = true
	if c.stage == talking {
		c.caller.out.dead, c.callee.out.dead = true, true
	}
}

// dial is D. rest is what the line holds after a semicolon.
func (m *Modem) dial(now time.Time, dialString string, rest []command) {
	if m.state == escaped {
		m.result(resultError)
		return
	}
	if m.call != nil { // it rings: the line has no dial tone
		m.result(resultNoDialtone)
		return
	}
	plan := m.plan(dialString)
	m.redial = plan.number
	m.dialled += plan.number
	c := &call{x: m.x, caller: m, withheld: plan.withheld}
	m.call, m.offHook = c, false // off hook by its state
	m.enter(dialling, now)
	c.after(plan.duration, func(now time.Time) {
		if !plan.stay {
			number := m.dialled
			m.dialled = ""
			c.place(number)
			return
		}
		c.enter(over)
		m.call, m.offHook = nil, true
		m.enter(idle, now)
		m.runAll(now, rest, true)
	})
}

// answer is A, or S0's doing.
func (m *Modem) answer(now time.Time) {
	if m.state != idle {
		m.result(resultError)
		return
	}
	m.enter(answering, now)
	m.set.s[1], m.offHook = 0, false
	m.expectCarrier()
	if c := m.call; c != nil {
		c.enter(training)
		c.after(m.x.cfg.Train, c.connect)
	}
}

// expectCarrier starts S7. It runs out with NO ANSWER for a telephone that
// nobody picked up, with NO CARRIER for what is no modem.
func (m *Modem) expectCarrier() {
	c := m.call
	m.patience = m.x.after(time.Duration(m.set.s[7])*time.Second, func(now time.Time) {
		if m.call != c || m.state != dialling && m.state != answering {
			return
		}
		r := resultNoCarrier
		if c != nil && c.stage == ringing {
			r = resultNoAnswer
		}
		m.hangUp(now)
		m.result(r)
	})
}

// abort is a character typed before CONNECT.
func (m *Modem) abort(now time.Time) {
	m.hangUp(now)
	m.result(resultNoCarrier)
}

// hangUp goes on hook in order. The other modem learns it as soon as the line
// brings it (V.42's DISC), after the bytes that were sent before.
func (m *Modem) hangUp(now time.Time) { m.leave(now, 0) }

// leave goes on hook. An other modem that trains or talks loses carrier when
// the line brings it and believes it in believe's time.
func (m *Modem) leave(now time.Time, believe time.Duration) {
	m.offHook, m.dialled = false, ""
	c := m.call
	if c != nil && c.stage == ringing && c.callee == m {
		return // it is on hook, and goes on ringing
	}
	m.clear(now)
	if c == nil {
		return
	}
	stage := c.stage
	c.enter(over)
	far := c.other(m)
	switch {
	case far == nil || far.call != c:
	case stage == ringing:
		far.call, far.set.s[1] = nil, 0
	case c.dead:
	default:
		c.after(m.x.cfg.Delay+believe, func(now time.Time) {
			if far.call == c {
				far.lost(now, resultNoCarrier)
			}
		})
	}
}

// lost is the end of a call that this modem did not make: the DTE gets what
// the line brought before, then r.
func (m *Modem) lost(now time.Time, r result) {
	if m.state == online {
		m.collect(now)
	}
	c := m.call
	m.clear(now)
	if far := c.other(m); far == nil || far.call != c {
		c.enter(over)
	}
	m.result(r)
}

// clear makes the modem forget its call.
func (m *Modem) clear(now time.Time) {
	if m.patience != nil {
		m.patience.Stop()
	}
	if m.out != nil {
		m.out.cut(now)
	}
	m.call, m.out, m.in = nil, nil, nil
	if m.state != idle {
		m.enter(idle, now)
	}
}
