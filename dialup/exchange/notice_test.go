package exchange

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoticesTellWhatBecomesOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Notice
		a, b := pair(t, Config{Rate: 9600, DropAfter: time.Minute, Notice: func(n Notice) { got = append(got, n) }})
		x := a.m.x
		x.Group("5550199")
		b.ask("ATS0=1", "OK")
		a.ask("ATDT5550177", "NO CARRIER")
		a.ask("ATDT5550199", "BUSY")
		called := b.m.number
		a.ask("ATDT"+called, "CONNECT 9600")
		began := time.Now()
		a.expect("NO CARRIER")
		b.expect("NO CARRIER")
		if lasted := time.Since(began).Round(time.Second); lasted < time.Minute || lasted > time.Minute+2*time.Second {
			t.Errorf("the carrier was dropped after %v", lasted)
		}
		from := a.m.number
		x.mu.Lock()
		defer x.mu.Unlock()
		if want := []Notice{
			{Event: NoSuchNumber, Caller: from, Called: "5550177"},
			{Event: Busy, Caller: from, Called: "5550199"},
			{Event: Rings, Caller: from, Called: called},
			{Event: Connects, Caller: from, Called: called, Rate: 9600},
			{Event: Ends, Caller: from, Called: called},
		}; !slices.Equal(got, want) {
			t.Errorf("noticed %v, want %v", got, want)
		}
	})
}
