package capture_test

import (
	"fmt"
	"slices"
	"testing"

	"postern/dialup/capture"
)

// write gives lines number from to to-1 to the feed.
func write(f *capture.Feed, from, to int) {
	for n := from; n < to; n++ {
		fmt.Fprintf(f, "line %d\n", n)
	}
}

func TestLateWatcherGetsTheLastLinesAndTheNext(t *testing.T) {
	feed := capture.NewFeed(2)
	write(feed, 0, 5)
	lines, stop := feed.Watch(4)
	write(feed, 5, 6)
	stop()
	if got := slices.Collect(channel(lines)); !slices.Equal(got, []string{"line 3", "line 4", "line 5"}) {
		t.Errorf("%q", got)
	}
	write(feed, 6, 7) // to nobody
}

func TestSlowWatcherLosesLinesAndNobodyWaits(t *testing.T) {
	feed := capture.NewFeed(0)
	slow, stopSlow := feed.Watch(3)
	write(feed, 0, 10)
	if first := <-slow; first != "line 0" {
		t.Errorf("%q", first)
	}
	<-slow
	write(feed, 10, 11)
	stopSlow()
	want := []string{"line 2", "... 7 lines lost: the reader was too slow", "line 10"}
	if got := slices.Collect(channel(slow)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func channel(c <-chan string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for s := range c {
			if !yield(s) {
				return
			}
		}
	}
}
