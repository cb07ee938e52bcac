package main

import (
	"slices"
	"sync"
	"time"

	"postern/dialup"
)

const (
	// guardWindow is how long a failed log-in counts, and how long a number that
	// had too many is refused.
	guardWindow = time.Hour
	// guardPatience is the longest that an answer waits. Callers send their request
	// ten times, 3 s apart, before they give up (RFC 1661 section 4.6, and the
	// defaults of Windows and pppd); a person's patience ends earlier.
	guardPatience = 8 * time.Second
	// guardPlaces and guardPairs bound the memory; the oldest are forgotten.
	guardPlaces, guardPairs = 512, 1024
)

// guard makes guessing passwords slow, without a way for a stranger to lock a
// user out: it never holds a failure against a name, only against the place
// that it came from.
//
//	failed log-ins from one place   -> the next answers wait, up to guardPatience
//	limit of them from one number   -> the number is refused for guardWindow
//	a user who has been let in from there before -> only own failures count,
//	                                                and only as waiting
//
// Calls without a number are one place a line, and never refused: that would
// refuse all others who call without one.
type guard struct {
	limit int // failures within guardWindow until a number is refused; 0: never

	mu     sync.Mutex
	places map[place]*history
	pairs  map[pair]time.Time // who has been let in from where, and when last
}

// place is where a guess comes from: a number, or, without one, a line.
type place struct{ number, line string }

type pair struct {
	place
	user string
}

// history is what a place has done lately.
type history struct {
	failures []failure // oldest first, within guardWindow, a bounded number
	refused  time.Time // until then; zero: never was
}

type failure struct {
	at   time.Time
	user string // empty for a name that nobody has
}

func newGuard(limit int) *guard {
	return &guard{limit: limit, places: make(map[place]*history), pairs: make(map[pair]time.Time)}
}

func placeOf(from dialup.Origin) place {
	if from.Number != "" {
		return place{number: from.Number} // whichever line it finds free
	}
	return place{line: from.Line}
}

// refused says until when a log-in from there is not even judged; zero if it is.
func (g *guard) refused(now time.Time, from dialup.Origin, user string) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := placeOf(from)
	if _, known := g.pairs[pair{at, user}]; known {
		return time.Time{}
	}
	if h := g.places[at]; h != nil && now.Before(h.refused) {
		return h.refused
	}
	return time.Time{}
}

// failed counts a wrong password. It returns how long the answer should wait,
// and until when the number is refused if this was the one too many.
func (g *guard) failed(now time.Time, from dialup.Origin, user string) (wait time.Duration, refused time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := placeOf(from)
	h := g.history(now, at)
	h.failures = append(h.failures, failure{now, user})
	if most := max(g.limit, slowest); len(h.failures) > most {
		h.failures = h.failures[len(h.failures)-most:]
	}
	counted := len(h.failures)
	if _, known := g.pairs[pair{at, user}]; known {
		counted = h.of(user)
	}
	if at.number != "" && g.limit > 0 && len(h.failures) >= g.limit && !now.Before(h.refused) {
		h.refused = now.Add(guardWindow)
		refused = h.refused
		// The hour is the penalty; after it the count starts again.
		h.failures = nil
	}
	return slowDown(counted), refused
}

// succeeded notes that a user was let in from there, and forgives the typing
// errors before it. It forgives nobody else's.
func (g *guard) succeeded(now time.Time, from dialup.Origin, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := placeOf(from)
	if h := g.places[at]; h != nil {
		h.failures = slices.DeleteFunc(h.failures, func(f failure) bool { return f.user == user })
	}
	if _, known := g.pairs[pair{at, user}]; !known {
		makeRoom(g.pairs, guardPairs, func(t time.Time) time.Time { return t })
	}
	g.pairs[pair{at, user}] = now
}

// history returns the place's, without what no longer counts.
func (g *guard) history(now time.Time, at place) *history {
	h := g.places[at]
	if h == nil {
		makeRoom(g.places, guardPlaces, (*history).last)
		h = &history{}
		g.places[at] = h
	}
	h.failures = slices.DeleteFunc(h.failures, func(f failure) bool { return now.Sub(f.at) >= guardWindow })
	return h
}

func (h *history) of(user string) (n int) {
	for _, f := range h.failures {
		if f.user == user {
			n++
		}
	}
	return n
}

// last is when the place was last heard of failing, or is free again.
func (h *history) last() time.Time {
	if len(h.failures) == 0 {
		return h.refused
	}
	return h.failures[len(h.failures)-1].at
}

// makeRoom forgets the oldest entry of a full map.
func makeRoom[K comparable, V any](m map[K]V, most int, age func(V) time.Time) {
	if len(m) < most {
		return
	}
	var oldest K
	var at time.Time
	for k, v := range m {
		if t := age(v); at.IsZero() || t.Before(at) {
			oldest, at = k, t
		}
	}
	delete(m, oldest)
}

// slowest is the number of failures from which on every answer waits longest.
const slowest = 5

// slowDown is 0, 1, 2, 4, 8 s: a typing error costs nothing.
func slowDown(failures int) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(time.Second<<(min(failures, slowest)-2), guardPatience)
}
