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
	measured bool
}

func (p *pace) period() time.Duration { return max(p.wait, minPeriod) }

// late says that no answer came in time.
func (p *pace) late() {
	if !p.measured {
		p.wait = min(p.period()*5/4, maxPeriod)
	}
}

// answered says how long the answer to a packet that was sent once took.
func (p *pace) answered(rtt time.Duration) {
	p.wait, p.measured = min(2*rtt, maxPeriod), true
}

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
	if r.left--; r.left < 0 {
		r.stop()
		return true, false
	}
	p.late()
	r.at = now.Add(p.period())
	return true, true
}
