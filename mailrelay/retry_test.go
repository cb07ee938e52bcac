package mailrelay

import (
	"testing"
	"time"
)

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	p := retryPolicy{min: time.Minute, max: 2 * time.Hour, rand: func() float64 { return 0 }}
	for n, want := range map[int]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute, 7: 64 * time.Minute,
		8: 2 * time.Hour, 9: 2 * time.Hour, 1_000_000: 2 * time.Hour,
	} {
		if got := p.delay(n); got != want {
			t.Errorf("pause %d is %v, want %v", n, got, want)
		}
	}
}

func TestJitterShortensByAQuarterAtMost(t *testing.T) {
	p := retryPolicy{min: time.Minute, max: 2 * time.Hour, rand: func() float64 { return 0.999999 }}
	if got := p.delay(1); got < 45*time.Second || got > 46*time.Second {
		t.Errorf("shortest first pause is %v", got)
	}
	if got := p.delay(99); got < 90*time.Minute || got > 91*time.Minute {
		t.Errorf("shortest longest pause is %v", got)
	}
}
