package exchange

import (
	"io"
	"time"
)

// DropCarrier breaks the line of the call that is on: both modems notice
// after their S10 and say NO CARRIER. Without a call it does nothing.
func (m *Modem) DropCarrier() {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if c := m.call; c != nil && (c.stage == training || c.stage == talking) {
		c.drop()
	}
}

func (c *call) drop() {
	c.cut()
	for _, m := range []*Modem{c.caller, c.callee} {
		if s10 := m.set.s[10]; s10 < 255 { // 255: as if there were carrier for ever
			c.x.after(time.Duration(s10)*time.Second/10, func(now time.Time) {
				if m.call == c {
					m.hiss(now)
					m.lost(now, resultNoCarrier)
				}
			})
		}
	}
}

// hiss gives the DTE what a modem without error control makes of a line that
// has gone dead, until it has noticed.
func (m *Modem) hiss(now time.Time) {
	if m.state != online {
		return
	}
	m.collect(now)
	random := m.x.random(m.x.calls, 2)
	for range m.x.cfg.Hiss {
		m.tell(string([]byte{byte(random.Uint32())}))
	}
}

// Silence makes the line of the call that is on carry nothing more, while both
// modems believe in their carrier: nobody hears of it, not even when the other
// modem hangs up.
func (m *Modem) Silence() {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if m.call != nil {
		m.call.cut()
	}
}

// Vanish pulls the modem's plug: its port reads io.EOF and cannot be opened
// again, a call loses its carrier, and calls to it are not answered.
func (m *Modem) Vanish() {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.gone = true
	m.unplug(io.EOF)
	var believe time.Duration
	if m.call != nil {
		if far := m.call.other(m); far != nil {
			believe = time.Duration(far.set.s[10]) * time.Second / 10
		}
	}
	m.leave(time.Now(), believe)
}

// Return plugs a vanished modem in again, with its factory settings.
func (m *Modem) Return() {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if m.gone {
		m.gone = false
		m.powerOn()
	}
}
