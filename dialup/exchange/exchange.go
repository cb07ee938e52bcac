package exchange

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Config is how the lines of an Exchange behave. The zero value is a clean
// 33,600 bit/s line without delay on which modems train in no time.
type Config struct {
	Rate  int           // bit/s each way, 10 bits a byte; default 33600, at most 100,000,000
	Delay time.Duration // one way, from modem to modem
	Noise float64       // probability that a byte is spoiled, 0 to 1
	Hiss  int           // bytes of garbage that a modem takes from a line whose carrier was dropped
	Seed  uint64        // of the noise; the same calls with the same seed spoil the same bytes

	Setup     time.Duration // from the last digit to the first ring, or to the busy tone
	RingOn    time.Duration // default 2 s
	RingOff   time.Duration // default 4 s
	Train     time.Duration // from going off hook to CONNECT
	DropAfter time.Duration // from CONNECT until the line loses its carrier; 0: never

	// Notice, if not nil, is told what becomes of the calls. It must not block and
	// must not call the Exchange.
	Notice func(Notice)

	Buffer  int           // bytes a modem takes beyond what the line has carried; default 64, at least 20 ms of the line
	Tick    time.Duration // a steady stream is handed to a reader in steps of this; default 5 ms
	DTERate int           // bit/s, what CONNECT names under ATW0; default 115200
	NoLines bool          // ports know no DTR and DCD, as behind a socket or a pty
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if c.Rate <= 0 {
		c.Rate = 33600
	}
	c.Rate = min(c.Rate, 100_000_000)
	c.Delay, c.Setup, c.Train = max(0, c.Delay), max(0, c.Setup), max(0, c.Train)
	if c.Buffer <= 0 {
		c.Buffer = 64
	}
	if c.DTERate <= 0 {
		c.DTERate = 115200
	}
	set(&c.RingOn, 2*time.Second)
	set(&c.RingOff, 4*time.Second)
	set(&c.Tick, 5*time.Millisecond)
	return c
}

// Exchange is a telephone network. Create one with New; it needs no closing.
type Exchange struct {
	cfg Config

	mu     sync.Mutex
	lines  map[string]*Modem   // by number
	groups map[string][]*Modem // hunt groups by number
	noise  float64
	calls  uint64 // made so far; names a call for its noise
}

// New returns an Exchange with no modems.
func New(cfg Config) *Exchange {
	cfg = cfg.withDefaults()
	return &Exchange{
		cfg: cfg, noise: cfg.Noise,
		lines:  make(map[string]*Modem),
		groups: make(map[string][]*Modem),
	}
}

// Modem returns the modem at number, plugging a new one in if there is none.
// Characters that cannot be dialled ("555-0100") are left out.
func (x *Exchange) Modem(number string) *Modem {
	x.mu.Lock()
	defer x.mu.Unlock()
	number = digits(number)
	m := x.lines[number]
	if m == nil {
		m = newModem(x, number)
		x.lines[number] = m
	}
	return m
}

// Group makes number a hunt group: a call to it rings the first member that
// is free, and is busy when none is.
func (x *Exchange) Group(number string, members ...*Modem) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.groups[digits(number)] = members
}

// SetNoise changes the probability that a byte is spoiled, on calls that are
// up as well.
func (x *Exchange) SetNoise(p float64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.noise = p
	for _, m := range x.lines {
		if m.out != nil {
			m.out.noise = p
		}
	}
}

// route finds who is to be rung for number: nil when all are busy, and known
// false when nobody has the number.
func (x *Exchange) route(number string) (m *Modem, known bool) {
	members, known := x.groups[number]
	if m := x.lines[number]; !known && m != nil {
		members, known = []*Modem{m}, true
	}
	for _, m := range members {
		if m.onHook() {
			return m, true
		}
	}
	return nil, known
}

// after runs f under the lock in d's time. A timer that was stopped too late
// still runs f, so f checks that what it is about is still so.
func (x *Exchange) after(d time.Duration, f func(now time.Time)) *time.Timer {
	return time.AfterFunc(d, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		f(time.Now())
	})
}

// random is the noise of one direction, 0 or 1, of one call, and 2 its hiss.
func (x *Exchange) random(call, direction uint64) *rand.Rand {
	return rand.New(rand.NewPCG(x.cfg.Seed, call<<2|direction))
}

// digits keeps what a telephone can dial.
func digits(s string) string {
	kept := make([]byte, 0, len(s))
	for i := range len(s) {
		c := upper(s[i])
		if '0' <= c && c <= '9' || c == '*' || c == '#' || 'A' <= c && c <= 'D' {
			kept = append(kept, c)
		}
	}
	return string(kept)
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}
