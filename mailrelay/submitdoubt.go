package mailrelay

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/mailrelay/spool"
)

// maxDoubts is how often the answer to a message may be lost: after the first
// time it is repeated, after the second a person has to decide. RFC 1047 tells
// of mail that was sent again all night to recipients who had it each time.
const maxDoubts = 2

// mark makes it durable, before the final dot of a message goes out, that these
// recipients may have got it. Whatever happens from here on, a kill included,
// the message is not repeated before the delay is over.
func (l *submitLeg) mark(env spool.Envelope, to []string) (spool.Envelope, error) {
	now := l.u.now()
	env.InDoubt, env.Doubts = to, env.Doubts+1
	env.Next = now.Add(l.u.doubtDelay)
	env.LastError = doubtWords(env)
	l.arrivals.watch(true)
	if err := l.u.spool.Update(env); err != nil {
		return env, spoolFault(err)
	}
	return env, nil
}

// doubtWords is how an envelope in doubt stands, for people.
func doubtWords(env spool.Envelope) string {
	if env.Doubts >= maxDoubts {
		return fmt.Sprintf("may have been delivered: it was sent %d times and the provider's answer never came; ask the recipient before you send it again", env.Doubts)
	}
	return fmt.Sprintf("may have been delivered: it was sent and the provider's answer never came; trying again at %s", env.Next.Format("2006-01-02 15:04"))
}

// doubtFault is what is shown when an answer was lost.
func doubtFault(e Endpoint, env spool.Envelope, err error) *fault {
	return &fault{err: err, text: fmt.Sprintf("the connection to %s ended (%v) before it said whether it took the message to %s: it %s",
		e.Address(), plainCause(err), legible(strings.Join(env.InDoubt, ", "), 200), doubtWords(env))}
}

// unclear are the recipients about whom a person has to decide, as refused.
func unclear(env spool.Envelope) []refusal {
	return all(env.InDoubt, refusal{Status: "5.4.2", Text: doubtWords(env)}) // RFC 3463: bad connection
}

// resolve settles the envelopes in doubt that can be settled without sending:
// a copy has come in by the fetching leg, or their tries are used up.
func (l *submitLeg) resolve(queue []spool.Envelope) (changed bool) {
	doubtful := false
	for _, env := range queue {
		if len(env.InDoubt) == 0 {
			continue
		}
		switch {
		case l.arrived(env):
			l.u.log.Info("a copy of a message in doubt has arrived: it was delivered", "user", env.User, "id", env.ID)
			l.settle(env, outcome{accepted: env.InDoubt})
			changed = true
		case env.Doubts >= maxDoubts:
			l.settle(env, outcome{failed: unclear(env)})
			changed = true
		default:
			doubtful = true
		}
	}
	l.arrivals.watch(doubtful)
	return changed
}

// arrived says whether a copy of the message was fetched since the doubt began:
// its sender is among the recipients, a list sent it back, or the provider lists
// what it sends in the mailbox. Its Message-ID is known to nobody else.
func (l *submitLeg) arrived(env spool.Envelope) bool {
	if l.arrivals.empty() {
		return false
	}
	body, err := l.u.spool.OpenQueued(env.ID)
	if err != nil {
		return false
	}
	defer body.Close()
	header, _ := originalHeader(body)
	return l.arrivals.has(spool.MessageID(header))
}

// arrivals are the Message-IDs that the user's fetching legs have brought while
// a message of his is in doubt. It is all that two legs know of each other.
type arrivals struct {
	mu      sync.Mutex
	watched bool
	ids     map[string]bool
}

// maxArrivals bounds what is kept of a long doubt.
const maxArrivals = 10_000

func (a *arrivals) watch(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watched = on; !on {
		a.ids = nil
	}
}

func (a *arrivals) watching() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.watched
}

func (a *arrivals) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.watched || id == "" || len(a.ids) >= maxArrivals {
		return
	}
	if a.ids == nil {
		a.ids = make(map[string]bool)
	}
	a.ids[id] = true
}

func (a *arrivals) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids) == 0
}

func (a *arrivals) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return id != "" && a.ids[id]
}

// witness tells the user's submitting leg, if it is in doubt about a message, of
// what is delivered through the returned reader; call done after delivery.
func (u *Upstream) witness(user string, body io.Reader) (r io.Reader, done func()) {
	i := slices.IndexFunc(u.submits, func(l *submitLeg) bool { return l.account.User == user })
	if i < 0 || !u.submits[i].arrivals.watching() {
		return body, func() {}
	}
	var seen headerCopy
	return io.TeeReader(body, &seen), func() {
		header, _ := originalHeader(strings.NewReader(seen.String()))
		if id := spool.MessageID(header); id != "" {
			u.submits[i].arrivals.add(id)
			signal(u.submits[i].queued)
		}
	}
}

// headerCopy keeps the first octets of what is written to it.
type headerCopy struct{ strings.Builder }

func (h *headerCopy) Write(p []byte) (int, error) {
	if room := maxBouncedHeaders - h.Len(); room > 0 {
		h.Builder.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// notBefore is when an envelope may be tried, whoever asks for it.
func notBefore(env spool.Envelope, force bool) time.Time {
	if force && len(env.InDoubt) == 0 {
		return time.Time{}
	}
	return env.Next
}
