package mailrelay

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// guessWindow is how long a failed log-in counts.
	guessWindow = 15 * time.Minute
	// maxGuessWait is the longest between two log-ins from one address that has
	// failed often; maxGuessTurn is the longest that one waits for its turn.
	maxGuessWait = 8 * time.Second
	maxGuessTurn = 40 * time.Second
	// maxGuessers bounds the memory; the address longest not heard of is forgotten.
	maxGuessers = 512
)

// Guesses makes guessing passwords slow on a network, where a stranger can open
// as many connections as he likes, and drop those on which the answer does not
// come at once. So every log-in counts as failed until it has succeeded, and
// from an address with failures one is judged at a time:
//
//	failures within 15 minutes   0, 1   2     3     4     5 and more
//	before the next log-in       -      1 s   2 s   4 s   8 s
//
// Nothing is held against a user name: a stranger cannot lock anybody out. The
// zero value is ready, nil slows nobody down. One Guesses is shared by all
// servers of a network.
type Guesses struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*guesser
}

// guesser is one address.
type guesser struct {
	tries []time.Time // that have not succeeded, oldest first; at most maxGuessesKept
	free  time.Time   // when the next log-in is judged
	seen  time.Time
}

const maxGuessesKept = 6

// enter waits until a log-in from there may be judged. It is false if that is
// too far off, or ctx ends.
func (g *Guesses) enter(ctx context.Context, from net.Addr) bool {
	if g == nil {
		return true
	}
	at, ok := g.turn(time.Now(), hostOf(from))
	if !ok {
		return false
	}
	wait(ctx, time.Until(at))
	return ctx.Err() == nil
}

// turn counts a log-in as failed for now and says when it may be judged.
func (g *Guesses) turn(now time.Time, host netip.Addr) (at time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.host(now, host)
	at = now
	if h.free.After(now) {
		at = h.free
	}
	if at.Sub(now) > maxGuessTurn {
		return time.Time{}, false
	}
	if n := len(h.tries); n >= 2 {
		at = at.Add(min(time.Second<<(n-2), maxGuessWait))
	}
	h.free = at
	h.tries = append(h.tries, now)
	if len(h.tries) > maxGuessesKept {
		h.tries = h.tries[1:]
	}
	return at, true
}

// succeeded takes a log-in back. It forgives no other one: who has an account
// could else guess at another's between his own log-ins.
func (g *Guesses) succeeded(from net.Addr) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.hosts[hostOf(from)]; h != nil && len(h.tries) > 0 {
		h.tries = h.tries[:len(h.tries)-1]
	}
}

func (g *Guesses) host(now time.Time, host netip.Addr) *guesser {
	h := g.hosts[host]
	if h == nil {
		if g.hosts == nil {
			g.hosts = make(map[netip.Addr]*guesser)
		}
		if len(g.hosts) >= maxGuessers {
			g.forget()
		}
		h = &guesser{}
		g.hosts[host] = h
	}
	for len(h.tries) > 0 && now.Sub(h.tries[0]) >= guessWindow {
		h.tries = h.tries[1:]
	}
	h.seen = now
	return h
}

func (g *Guesses) forget() {
	var oldest netip.Addr
	var seen time.Time
	for host, h := range g.hosts {
		if !oldest.IsValid() || h.seen.Before(seen) {
			oldest, seen = host, h.seen
		}
	}
	delete(g.hosts, oldest)
}

// hostOf is who is counted as one: an IPv4 address, or an IPv6 network of /64,
// in which a host picks its addresses as it likes.
func hostOf(from net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return netip.Addr{}
	}
	host := at.Addr().Unmap().WithZone("")
	if host.Is6() {
		network, err := host.Prefix(64)
		if err != nil {
			return host
		}
		return network.Addr()
	}
	return host
}
