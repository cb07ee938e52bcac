package exchange

import (
	"time"
)

type state int

const (
	idle      state = iota // command state, on hook unless AT H1
	dialling               // command state, from D to CONNECT
	answering              // command state, from A to CONNECT
	online                 // bytes go to the other modem
	escaped                // command state with a call up, after +++
)

const (
	maxLine   = 255  // characters of a command line
	maxUnread = 4096 // bytes of result codes that wait for the DTE

	// V.250 section 5.6.1: what comes right after a dial command is its
	// line feed, not a wish to abort.
	abortGrace = 125 * time.Millisecond
)

// Modem is a Hayes modem on a telephone line. Exchange.Modem makes it; its
// fields are guarded by the Exchange's mutex.
type Modem struct {
	x      *Exchange
	number string

	name    string // for caller ID
	rate    int    // bit/s it can do
	noLines bool   // ports know no DTR and DCD
	gone    bool   // unplugged from the computer
	port    *Port  // the DTE, nil if none is connected
	dtr     bool

	state   state
	since   time.Time // of state
	set     settings
	stored  settings // AT&W, what ATZ restores
	offHook bool     // ATH1

	line    []byte // what was typed after AT
	typed   prefix
	tooLong bool
	last    string // for A/
	dialled string // digits of a D that ended in a semicolon
	redial  string // for DL

	escapes int         // escape characters seen after a guard time, -1: none may begin
	heard   time.Time   // the last byte from the DTE
	guard   *time.Timer // runs out: +++ was meant

	rx       []byte      // what the DTE reads next
	call     *call       // nil: nothing is on the line
	out, in  *pump       // set while a call is up
	patience *time.Timer // runs out: no carrier within S7
}

// prefix is how far the AT of a command line has come.
type prefix int

const (
	wantA prefix = iota
	wantT
	inBody
)

func newModem(x *Exchange, number string) *Modem {
	m := &Modem{x: x, number: number, rate: x.cfg.Rate, noLines: x.cfg.NoLines}
	m.powerOn()
	return m
}

func (m *Modem) powerOn() {
	m.set, m.stored = factory(), factory()
	m.offHook, m.last, m.dialled, m.redial = false, "", "", ""
	m.enter(idle, time.Now())
}

// Number returns the number to dial.
func (m *Modem) Number() string { return m.number }

// SetName sets the name that caller ID gives for this modem's number.
func (m *Modem) SetName(name string) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.name = name
}

// SetRate limits the modem to bit/s; a call goes at the lower rate of its two
// modems. It counts from the next call on.
func (m *Modem) SetRate(rate int) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.rate = min(max(rate, 1), m.x.cfg.Rate)
}

// SetLines says whether ports know DTR and DCD, as a serial port does and a
// socket or a pty does not.
func (m *Modem) SetLines(known bool) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.noLines = !known
}

// Online says whether the modem has carrier and passes data.
func (m *Modem) Online() bool {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	return m.state == online
}

// onHook says whether a call can ring here.
func (m *Modem) onHook() bool { return m.call == nil && m.state == idle && !m.offHook }

func (m *Modem) enter(s state, now time.Time) {
	m.state, m.since = s, now
	m.line, m.typed, m.tooLong = m.line[:0], wantA, false
	m.escapes, m.heard = -1, now
	if m.guard != nil {
		m.guard.Stop()
	}
	if m.port != nil {
		m.port.wakeReader()
		m.port.wakeWriter()
	}
}

// accept takes bytes from the DTE and returns how many. When that is none,
// wait says when to offer them again; negative: when woken. waited says that
// the DTE has done so because the buffer was full.
func (m *Modem) accept(now time.Time, b []byte, waited bool) (n int, wait time.Duration) {
	for n < len(b) {
		if m.state == online {
			k, wait := m.transmit(now, b[n:], waited)
			if k == 0 {
				return n, wait
			}
			n += k
			continue
		}
		m.key(now, b[n])
		n++
	}
	return n, 0
}

func (m *Modem) transmit(now time.Time, b []byte, waited bool) (n int, wait time.Duration) {
	if n, wait = m.out.room(now, len(b)); n == 0 {
		return 0, wait
	}
	m.watchEscape(now, b[:n])
	idle := m.out.next(now) < 0
	m.out.put(now, b[:n], waited)
	if far := m.call.other(m); idle && far.port != nil {
		far.port.wakeReader() // it sleeps without a due time
	}
	return n, 0
}

// watchEscape looks for the escape sequence: silence, three escape
// characters, silence, each silence of S12. The characters go down the line
// like any others.
func (m *Modem) watchEscape(now time.Time, b []byte) {
	guard := time.Duration(m.set.s[12]) * time.Second / 50
	if m.guard != nil {
		m.guard.Stop()
	}
	if now.Sub(m.heard) >= guard && (guard > 0 || m.escapes < 0) {
		m.escapes = 0
	} else if m.escapes == 3 {
		m.escapes = -1
	}
	m.heard = now
	char := m.set.s[2]
	if char > 127 { // S2 over 127 turns it off
		m.escapes = -1
		return
	}
	for _, c := range b {
		if m.escapes < 0 || c != char || m.escapes == 3 {
			m.escapes = -1
			return
		}
		m.escapes++
	}
	if m.escapes == 3 {
		m.guard = m.x.after(guard, func(now time.Time) {
			if m.state == online && m.escapes == 3 {
				m.escape(now)
			}
		})
	}
}

func (m *Modem) escape(now time.Time) {
	m.collect(now)
	m.enter(escaped, now)
	m.result(resultOK)
}

// collect moves what the line has brought to where the DTE reads it, so that
// a result code does not overtake it.
func (m *Modem) collect(now time.Time) {
	n := m.in.ready(now)
	from := len(m.rx)
	m.rx = append(m.rx, make([]byte, n)...)
	m.take(now, m.rx[from:])
}

// take moves bytes that the line has brought to b, which makes room for the
// modem at the other end.
func (m *Modem) take(now time.Time, b []byte) int {
	n := m.in.take(now, b)
	if far := m.call.other(m); n > 0 && far.port != nil && far.port.held {
		far.port.wakeWriter()
	}
	return n
}

// key is one character typed in command state.
func (m *Modem) key(now time.Time, c byte) {
	if m.state == dialling || m.state == answering {
		if now.Sub(m.since) >= abortGrace {
			m.abort(now)
		}
		return
	}
	if m.set.echo {
		m.tell(string([]byte{c}))
	}
	c &= 0x7f // a terminal may send parity
	switch {
	case m.typed == wantA || m.typed == wantT && c != '/' && upper(c) != 'T':
		m.typed = wantA
		if upper(c) == 'A' {
			m.typed = wantT
		}
	case m.typed == wantT && c == '/':
		m.typed = wantA
		m.run(now, m.last)
	case m.typed == wantT:
		m.typed, m.line, m.tooLong = inBody, m.line[:0], false
	case c == m.set.s[3]:
		line, tooLong := string(m.line), m.tooLong
		m.typed = wantA
		if tooLong {
			m.result(resultError)
			return
		}
		m.last = line
		m.run(now, line)
	case c == m.set.s[5]:
		m.line = m.line[:max(0, len(m.line)-1)]
	case c < ' ':
	case len(m.line) == maxLine:
		m.tooLong = true
	default:
		m.line = append(m.line, c)
	}
}

// lowerDTR is what &D makes of DTR going off.
func (m *Modem) lowerDTR(now time.Time) {
	switch m.set.d {
	case 1:
		if m.state == online {
			m.escape(now)
		}
	case 2, 3:
		inCall := m.state != idle
		m.hangUp(now)
		if m.set.d == 3 {
			m.set = m.stored
		}
		if inCall {
			m.result(resultNoCarrier)
		}
	}
}

// carrier is DCD as &C has it.
func (m *Modem) carrier() bool { return m.set.c == 0 || m.in != nil }
