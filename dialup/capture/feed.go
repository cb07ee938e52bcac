package capture

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Feed hands the lines of Traces on to whoever watches, and waits for none of them: it is
// the Writer for a Trace of a call that goes on. It may be used from several
// goroutines.
type Feed struct {
	mu       sync.Mutex
	recent   []string // at most keep, the oldest first
	keep     int
	watchers []*watcher
}

type watcher struct {
	lines chan string
	lost  int
}

// NewFeed returns a Feed that remembers that many lines for those who come late.
func NewFeed(keep int) *Feed { return &Feed{keep: max(keep, 0)} }

// Write takes one line. It never blocks and never fails.
func (f *Feed) Write(line []byte) (int, error) {
	s := strings.TrimSuffix(string(line), "\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent = append(f.recent, s)
	if len(f.recent) > f.keep {
		f.recent = slices.Delete(f.recent, 0, len(f.recent)-f.keep)
	}
	for _, w := range f.watchers {
		w.offer(s)
	}
	return len(line), nil
}

// offer gives a line to a watcher that has room for it, behind a line that says how
// many it had none for.
func (w *watcher) offer(s string) {
	if w.lost > 0 && cap(w.lines)-len(w.lines) >= 2 {
		w.lines <- fmt.Sprintf("... %d lines lost: the reader was too slow", w.lost)
		w.lost = 0
	}
	select {
	case w.lines <- s:
	default:
		w.lost++
	}
}

// Watch returns the lines remembered and then those that come, without line ends. A
// watcher that falls behind by more than room lines (at least 2) loses some and is told so.
// stop must be called once; it closes lines.
func (f *Feed) Watch(room int) (lines <-chan string, stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &watcher{lines: make(chan string, len(f.recent)+max(room, 2))}
	for _, s := range f.recent {
		w.lines <- s
	}
	f.watchers = append(f.watchers, w)
	return w.lines, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers = slices.DeleteFunc(f.watchers, func(o *watcher) bool { return o == w })
		close(w.lines)
	}
}
