package exchange

import (
	"math/rand/v2"
	"time"
)

const (
	bitsPerByte = 10               // start bit, eight data bits, stop bit
	rebase      = 10 * time.Second // in which a line carries exactly rate bytes
	receiveHold = 1024             // bytes a modem holds for a DTE that does not read
	maxLate     = time.Second / 4  // by which a line catches up
)

// pump is one direction of a line. Every byte has a due time from the moment
// it is put: the line carries bytes one after another at rate/10 a second, and
// the far end has each one delay later. The times come from integers counted
// from the start of a busy period, so an hour's transfer is not a nanosecond
// early or late.
type pump struct {
	rate   int           // bit/s
	delay  time.Duration // one way
	tick   time.Duration // a reader is woken no more often than this
	buffer int           // bytes taken beyond what the line has carried
	hold   int           // bytes that may be on the way or unread at the far end
	noise  float64       // probability that a byte is spoiled
	rng    *rand.Rand
	dead   bool // silence: bytes go in and none comes out

	start  time.Time // the busy period began
	n      int       // bytes put since
	behind bool      // bytes were put late, and the line has not caught up
	data   []byte
	spans  []span // the due times of data
}

// span is bytes that the line carries one after another without a pause.
type span struct {
	start time.Time // of the busy period
	first int       // bytes put in the period before this span
	n     int
}

func newPump(rate int, cfg Config, noise float64, rng *rand.Rand, now time.Time) *pump {
	return &pump{
		rate: rate, delay: cfg.Delay, tick: cfg.Tick, noise: noise, rng: rng,
		buffer: max(cfg.Buffer, rate/500),
		hold:   receiveHold + int(int64(rate)*int64(cfg.Delay)/int64(rebase)),
		start:  now,
	}
}

// carriedAt is when the line has carried the first n bytes of a busy period
// that began at start. put keeps n small enough for int64.
func (p *pump) carriedAt(start time.Time, n int) time.Time {
	return start.Add(time.Duration(int64(n) * int64(rebase) / int64(p.rate)))
}

// backlog is how many of the bytes put the line has not carried yet.
func (p *pump) backlog(now time.Time) int {
	if !now.Before(p.carriedAt(p.start, p.n)) {
		return 0
	}
	return p.n - p.carried(p.start, now, p.n)
}

// waiting is what has still to go: bytes that the line has not carried, or
// that flow control holds.
func (p *pump) waiting(now time.Time) int {
	return max(p.backlog(now), len(p.data)-p.hold)
}

// carried is how many bytes, at most limit, of the busy period that began at
// start the line has carried by now.
func (p *pump) carried(start, now time.Time, limit int) int {
	if now.Before(start) {
		return 0
	}
	if !now.Before(p.carriedAt(start, limit)) {
		return limit
	}
	// The largest n with carriedAt(start, n) <= now, carriedAt rounding down.
	d := int64(now.Sub(start))
	return int(((d+1)*int64(p.rate) - 1) / int64(rebase))
}

// room returns how many of want bytes the modem takes now. When that is none,
// wait says after which time to ask again; a negative wait means that nothing
// but a read at the far end makes room (V.42 flow control holds this side).
func (p *pump) room(now time.Time, want int) (n int, wait time.Duration) {
	if p.hold-len(p.data)+p.buffer <= 0 {
		return 0, -1
	}
	backlog := p.backlog(now)
	room := p.buffer - backlog
	// Half a buffer at a time: one wake-up carries many bytes, and the other
	// half keeps the line busy until the writer has come.
	if room < min(want, p.buffer/2) {
		return 0, p.carriedAt(p.start, p.n-p.buffer/2).Sub(now)
	}
	return min(want, room, p.hold-len(p.data)+p.buffer), 0
}

// put sends b, which room has allowed. waited says that the writer has stood
// before a full buffer until now: a busy machine may wake it late, but then the
// line, as a real one, has not been idle, and catches up.
func (p *pump) put(now time.Time, b []byte, waited bool) {
	p.behind = p.behind || waited
	idle := now.Sub(p.carriedAt(p.start, p.n))
	if idle > 0 && !p.behind || idle > maxLate {
		p.start, p.n = now, 0
	}
	// Only when the line has carried that much, so that start is never ahead
	// of now.
	for p.n >= p.rate+p.buffer {
		p.start, p.n = p.start.Add(rebase), p.n-p.rate
	}
	defer func() { p.behind = p.behind && p.backlog(now) == 0 }()
	if p.dead {
		p.n += len(b)
		return
	}
	from := len(p.data)
	p.data = append(p.data, b...)
	p.spoil(p.data[from:])
	if last := len(p.spans) - 1; last >= 0 && p.spans[last].start.Equal(p.start) && p.spans[last].first+p.spans[last].n == p.n {
		p.spans[last].n += len(b)
	} else {
		p.spans = append(p.spans, span{p.start, p.n, len(b)})
	}
	p.n += len(b)
}

// spoil draws once per byte, so that what is spoiled depends on the seed and
// the place in the stream alone, never on how the writer cut it.
func (p *pump) spoil(b []byte) {
	if p.noise <= 0 {
		return
	}
	for i := range b {
		if p.rng.Float64() < p.noise {
			b[i] ^= byte(1 + p.rng.IntN(255))
		}
	}
}

// ready is how many bytes have reached the far end and wait to be taken.
func (p *pump) ready(now time.Time) (n int) {
	at := now.Add(-p.delay)
	for _, s := range p.spans {
		n += max(0, p.carried(s.start, at, s.first+s.n)-s.first)
	}
	return n
}

// take moves bytes that have arrived into dst.
func (p *pump) take(now time.Time, dst []byte) int {
	n := copy(dst, p.data[:p.ready(now)])
	p.data = p.data[:copy(p.data, p.data[n:])]
	drop, left := 0, n
	for left > 0 {
		s := &p.spans[drop]
		k := min(left, s.n)
		s.first, s.n, left = s.first+k, s.n-k, left-k
		if s.n == 0 {
			drop++
		}
	}
	p.spans = p.spans[:copy(p.spans, p.spans[drop:])]
	return n
}

// next is how long until a reader should come: for the last byte on the way,
// or a tick after the first. A negative wait means that nothing is on the way.
func (p *pump) next(now time.Time) time.Duration {
	if len(p.spans) == 0 {
		return -1
	}
	first, last := p.spans[0], p.spans[len(p.spans)-1]
	at := p.carriedAt(first.start, first.first+1).Add(p.tick)
	if end := p.carriedAt(last.start, last.first+last.n); end.Before(at) {
		at = end
	}
	return max(0, at.Add(p.delay).Sub(now))
}

// cut forgets the bytes that the line has not carried: the modem that sent
// them is on hook.
func (p *pump) cut(now time.Time) {
	p.dead = true
	keep := 0
	for i, s := range p.spans {
		n := max(0, p.carried(s.start, now, s.first+s.n)-s.first)
		p.spans[i].n, keep = n, keep+n
		if n < s.n {
			p.spans = p.spans[:i+1]
			break
		}
	}
	for len(p.spans) > 0 && p.spans[len(p.spans)-1].n == 0 {
		p.spans = p.spans[:len(p.spans)-1]
	}
	p.data = p.data[:keep]
}
