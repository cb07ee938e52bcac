//go:build interop

package interop

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// eventLimit bounds the wait for a thing that another program is to do.
const eventLimit = 90 * time.Second

// logbook keeps the lines that a program writes and lets a test wait for one.
// It is the program's standard error: an io.Writer.
type logbook struct {
	mu    sync.Mutex
	part  string // of a line that has not ended
	lines []string
	grown chan struct{} // closed and replaced by every Write
}

func newLogbook() *logbook { return &logbook{grown: make(chan struct{})} }

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := strings.Split(l.part+string(p), "\n")
	l.lines = append(l.lines, whole[:len(whole)-1]...)
	l.part = whole[len(whole)-1]
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

// mark is the place where the book ends now; await looks from there on.
func (l *logbook) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// text is everything from a mark on.
func (l *logbook) text(from int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[from:], "\n")
}

// await waits for a line from the mark on that holds all the words.
func (l *logbook) await(t *testing.T, from int, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventLimit)
	defer cancel()
	for {
		l.mu.Lock()
		lines, grown := l.lines[from:], l.grown
		l.mu.Unlock()
		for _, line := range lines {
			if holdsAll(line, words) {
				return line
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("no line with %q came; the log:\n%s", words, l.text(from))
		}
	}
}

func holdsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
