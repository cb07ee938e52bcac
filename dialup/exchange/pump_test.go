package exchange

import (
	"testing"
	"time"
)

func TestALineThatWasFedLateCatchesUp(t *testing.T) {
	for _, c := range []struct {
		late   time.Duration
		waited bool
		ready  int // of the second 64 bytes, at once
	}{
		{0, true, 0},
		{100 * time.Millisecond, true, 64},
		{10 * time.Millisecond, true, 33},
		{100 * time.Millisecond, false, 0}, // the DTE had nothing to send
		{2 * time.Second, true, 0},         // the machine was asleep
	} {
		now := time.Unix(0, 0)
		p := newPump(33600, Config{}.withDefaults(), 0, nil, now)
		p.put(now, make([]byte, 64), false)
		now = now.Add(64*time.Second/3360 + c.late)
		p.take(now, make([]byte, 64))
		p.put(now, make([]byte, 64), c.waited)
		if got := p.ready(now); got != c.ready {
			t.Errorf("%+v: %d bytes ready", c, got)
		}
		// What was not made up for yet is so with the next bytes.
		p.put(now, make([]byte, 64), false)
		if got, want := p.ready(now), c.ready; want == 64 && got != 128 || want < 64 && got != want {
			t.Errorf("%+v: %d bytes ready after the next write", c, got)
		}
	}
}

// An hour of a full line are not a byte early or late: the bytes that have
// arrived are those that fit into the time.
func TestALongTransferDoesNotDrift(t *testing.T) {
	start := time.Unix(0, 0)
	now := start
	p := newPump(28800, Config{}.withDefaults(), 0, nil, now)
	carried, b := 0, make([]byte, 64)
	for now.Sub(start) < time.Hour {
		n, wait := p.room(now, len(b))
		if n == 0 {
			now = now.Add(wait)
			carried += p.take(now, b)
			if want := int(now.Sub(start) * 2880 / time.Second); carried != want && carried != want+1 {
				t.Fatalf("after %v %d bytes are through, the line carries %d", now.Sub(start), carried, want)
			}
			continue
		}
		p.put(now, b[:n], false)
	}
}
