package ppp

import "time"

// The restart timer, RFC 1661 section 4.6. Its default of 3 s is too short for a
// satellite, where a round trip takes 2 to 3 s.
const (
	minPeriod = 3 * time.Second
	maxPeriod = 10 * time.Second
)

// pace is how long a session waits for an answer. It starts at the RFC's default. While
// no round trip has been measured, silence may be a long way or noise, and it
// grows; afterwards silence is noise, and waiting longer would only lose time.
type pace struct {
	wait     time.Duration
	slow     time.Duration // what the line's rate adds to each wait
	measured bool
	spoiled  time.Time // when the last frame with a wrong FCS came, in set-up
}

func (p *pace) period() time.Duration  { return max(p.wait, minPeriod+p.slow) }
func (p *pace) longest() time.Duration { return maxPeriod + p.slow }

// forgives reports whether a try that had no answer is not counted: something came meanwhile that the
// line had spoiled, which may have been it. Nor does the wait grow then, as it was not too short.
// Config.SetupLimit bounds that.
func (p *pace) forgives(now time.Time) bool {
	return !p.spoiled.IsZero() && now.Sub(p.spoiled) <= p.period()
}

// late says that no answer came in time.
func (p *pace) late() {
	if !p.measured {
		p.wait = min(p.period()*5/4, p.longest())
	}
}

// answered says how long the answer to a packet that was sent once took.
func (p *pace) answered(rtt time.Duration) {
	p.wait, p.measured = min(2*rtt, p.longest()), true
}

// airtime is how long octets take on an asynchronous line of rate bit/s: ten bits each, with start
// and stop. Zero if the rate is not known.
func airtime(octets, rate int) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(octets) * 10 * time.Second / time.Duration(rate)
}

const (
	// controlFrame is a control packet on the wire, half of it escaped: what a request or its
	// answer keeps the line busy with.
	controlFrame = 64
	// fullFrame is the longest frame, which may go before either.
	fullFrame = defaultMRU + 8
)

// retry counts how often something is sent until it is answered.
type retry struct {
	at   time.Time // when to send again; zero: not running
	left int
}

func (r *retry) start(now time.Time, p *pace) {
	r.at, r.left = now.Add(p.period()), maxConfigure-1
}

func (r *retry) stop() { r.at = time.Time{} }

// expire reports whether it is time to send again, or if ok is false, to give up.
func (r *retry) expire(now time.Time, p *pace) (due, ok bool) {
	if r.at.IsZero() || now.Before(r.at) {
		return false, true
	}
	forgiven := p.forgives(now)
	if !forgiven {
		r.left--
	}
	if r.left < 0 {
		r.stop()
		return true, false
	}
	if !forgiven {
		p.late()
	}
	r.at = now.Add(p.period())
	return true, true
}
