package mailrelay

import "time"

// retryPolicy says when what failed is tried again (RFC 5321 section 4.5.4.1).
type retryPolicy struct {
	min, max time.Duration  // first and longest pause
	during   time.Duration  // after this long a message goes back to its sender
	rand     func() float64 // in [0, 1); may be called from several goroutines
}

// delay is the pause after the n-th failure in a row, counted from 1: twice as
// long each time, shortened by up to a quarter at random so that the boxes
// behind one failed provider do not come back in step.
func (p retryPolicy) delay(n int) time.Duration {
	d := p.min
	for ; n > 1 && d < p.max; n-- {
		d *= 2
	}
	d = min(d, p.max)
	return d - time.Duration(p.rand()*float64(d)/4)
}

// expired says that a message has been tried for long enough.
func (p retryPolicy) expired(accepted, now time.Time) bool {
	return now.Sub(accepted) >= p.during
}
