package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"os"
	"slices"
	"strings"
	"time"
)

// ErrResent is returned by Accept for a message that was accepted before: its
// sender did not hear the 250 and tries again. He may be given it now; nothing
// was kept a second time.
var ErrResent = errors.New("message has been accepted before")

const (
	// defaultResendWindow is how long a message is recognised by its Message-ID,
	// recipients and body: a client that lost the 250 tries again at its next call.
	defaultResendWindow = 24 * time.Hour
	// defaultBareWindow is the same for messages without a Message-ID. They are
	// recognised only if every octet is the same, the Date included: that is what
	// an outbox sends again after a redial. But an alarm device that knows neither
	// field may say the same words twice and mean it twice, hence so short.
	defaultBareWindow = 15 * time.Minute

	// maxDigestHeader bounds in octets the header in which a Message-ID is sought.
	maxDigestHeader = 64 << 10
	// markLength is what of the fingerprint stands in an entry's name: 65 bits.
	// Who makes two messages collide deceives only himself, for the user is in it.
	markLength = 13
)

// resends knows what was accepted of late, by the mark in the entry's name. So
// the rename that accepts a message also is what remembers it; after Sent the
// file <ID>.sent does, until the window has passed. It is guarded by queue.mu.
type resends struct {
	window, bare time.Duration
	recent       map[string]*acceptance // by mark
	sent         map[string]time.Time   // time of acceptance by ID, of the .sent files
}

// acceptance is one message, or one that is just being accepted.
type acceptance struct {
	id      string
	at      time.Time
	pending chan struct{} // closed when it is clear what became of it; nil: it was accepted
}

// sentMark is the content of a .sent file.
type sentMark struct {
	Accepted time.Time `json:"accepted"`
}

func newResends(o Options) resends {
	r := resends{window: o.ResendWindow, bare: o.BareWindow, recent: make(map[string]*acceptance), sent: make(map[string]time.Time)}
	if r.window == 0 {
		r.window = defaultResendWindow
	}
	if r.bare == 0 {
		r.bare = min(defaultBareWindow, r.window)
	}
	return r
}

// markOf is the mark in an entry's name.
func markOf(id string) string { return id[len(id)-markLength:] }

// claim takes a mark for a message that is going to be accepted at the time at,
// or says which entry has it already. While another session is accepting the
// same message it waits for the outcome.
func (q *queue) claim(mark string, at time.Time, window time.Duration) (known string, ok bool) {
	for {
		q.mu.Lock()
		a := q.resends.recent[mark]
		// A clock that was set back or forth by more than the window makes a
		// message pass: twice is a nuisance, never is a loss.
		if a == nil || at.Sub(a.at).Abs() >= window {
			q.resends.recent[mark] = &acceptance{at: at, pending: make(chan struct{})}
			q.mu.Unlock()
			return "", true
		}
		pending := a.pending
		q.mu.Unlock()
		if pending == nil {
			return a.id, false
		}
		<-pending
	}
}

// settle says what became of a claim; an empty id: nothing.
func (q *queue) settle(mark, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.resends.recent[mark]
	if a == nil || a.pending == nil {
		return
	}
	close(a.pending)
	if id == "" {
		delete(q.resends.recent, mark)
		return
	}
	// Those who wait hold the old one.
	q.resends.recent[mark] = &acceptance{id: id, at: a.at}
}

// remember is claim and settle for an entry that was found on the disk.
func (r *resends) remember(id string, at time.Time) {
	if a := r.recent[markOf(id)]; a == nil || a.at.Before(at) {
		r.recent[markOf(id)] = &acceptance{id: id, at: at}
	}
}

// forget makes a later message with this entry's mark a new one.
func (r *resends) forget(id string) {
	if a := r.recent[markOf(id)]; a != nil && a.id == id {
		delete(r.recent, markOf(id))
	}
}

// Sent takes a message out of the queue that all its recipients have got, for
// good when it returns nil, and remembers it, so that Accept knows it again.
// ErrUnsure is as for Remove. A message that came back to its sender in part is
// not remembered: if he sends it again he means it.
func (s *Spool) Sent(id string) error {
	q := &s.queue
	q.mu.Lock()
	env, ok := q.entries[id]
	q.mu.Unlock()
	switch {
	case !ok:
		return ErrNoMessage
	case env.Bounced || q.resends.window < 0:
		return s.Remove(id)
	}
	// This rename decides; Open removes the mail of an entry that was sent.
	renamed, err := s.replace(s.queuePath(id, ".sent"), sentMark{env.Accepted})
	if err != nil && !renamed {
		return err
	}
	q.mu.Lock()
	delete(q.entries, id)
	q.resends.sent[id] = env.Accepted
	q.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnsure, err)
	} else {
		s.removeRest(id, ".mail", ".state")
		s.pruneSent(env.Accepted)
	}
	s.changed(env.User)
	return err
}

// removeRest removes files that mean nothing any more. What fails is done at the
// next start.
func (s *Spool) removeRest(id string, kinds ...string) {
	for _, kind := range kinds {
		if err := s.disk.remove(s.queuePath(id, kind)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("spool: rest of a removed message stays until the next start", "id", id, "err", err)
		}
	}
}

// pruneSent forgets what was accepted longer than the window before now.
func (s *Spool) pruneSent(now time.Time) {
	q := &s.queue
	var old []string
	q.mu.Lock()
	for id, at := range q.resends.sent {
		if now.Sub(at) >= q.resends.window {
			old = append(old, id)
		}
	}
	q.mu.Unlock()
	if len(old) == 0 {
		return
	}
	// Not before it is certain that their mail will not come back.
	if err := s.syncDir(s.queuePath("", "")); err != nil {
		return
	}
	for _, id := range old {
		if err := s.disk.remove(s.queuePath(id, ".sent")); err != nil && !errors.Is(err, os.ErrNotExist) {
			continue
		}
		q.mu.Lock()
		delete(q.resends.sent, id)
		q.resends.forget(id)
		q.mu.Unlock()
	}
}

// loadSent indexes a .sent file and finishes the removal that it decided.
func (s *Spool) loadSent(id string) error {
	var m sentMark
	if _, err := s.readHeader(s.queuePath(id, ".sent"), &m); err != nil && !errors.Is(err, errPoisoned) {
		return diskError(err)
	}
	// With an unreadable one the message was sent all the same, long ago.
	s.removeRest(id, ".mail", ".state")
	q := &s.queue
	q.resends.sent[id] = m.Accepted
	q.resends.remember(id, m.Accepted)
	if seq, _ := entrySeq(id); seq >= q.next {
		q.next = seq + 1
	}
	return nil
}

// digest makes a message's fingerprint as it passes.
type digest struct {
	header []byte
	ended  bool // the header
	body   hash.Hash
}

func newDigest() *digest { return &digest{body: sha256.New()} }

// Write never fails.
func (d *digest) Write(p []byte) (int, error) {
	n := len(p)
	if d.ended {
		d.body.Write(p)
		return n, nil
	}
	from := max(len(d.header)-3, 0)
	d.header = append(d.header, p...)
	end := headerEnd(d.header, from)
	if end < 0 && len(d.header) < maxDigestHeader {
		return n, nil
	}
	if end < 0 || end > maxDigestHeader { // the same in whatever pieces it comes
		end = maxDigestHeader
	}
	d.ended = true
	d.body.Write(d.header[end:])
	d.header = d.header[:end]
	return n, nil
}

// headerEnd is where the empty line begins, sought from an octet on; -1 if it
// has not come.
func headerEnd(b []byte, from int) int {
	if bytes.HasPrefix(b, []byte("\r\n")) || bytes.HasPrefix(b, []byte("\n")) {
		return 0
	}
	for i := from; i < len(b); i++ {
		rest := b[i:]
		if bytes.HasPrefix(rest, []byte("\n\r\n")) || bytes.HasPrefix(rest, []byte("\n\n")) {
			return i + 1
		}
	}
	return -1
}

// mark is the fingerprint of the message and its envelope: who sends it to whom,
// the Message-ID (RFC 5322 section 3.6.4) and the body. Other fields may differ,
// for clients write Date or Received anew when they send again. Without a
// Message-ID the whole header counts, and identified is false.
func (d *digest) mark(env Envelope) (mark string, identified bool) {
	h := sha256.New()
	field := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	to := slices.Clone(env.To)
	slices.Sort(to)
	field(env.User)
	field(env.From)
	field(strings.Join(slices.Compact(to), "\n"))
	id := MessageID(d.header)
	if id != "" {
		field("id")
		field(id)
	} else {
		field("whole")
		field(string(d.header))
	}
	h.Write(d.body.Sum(nil))
	return base32.StdEncoding.EncodeToString(h.Sum(nil))[:markLength], id != ""
}

// MessageID is the content of the first Message-ID field of a header, unfolded
// and without white space; empty if there is none.
func MessageID(header []byte) string {
	const name = "message-id:"
	for len(header) > 0 {
		line, rest, _ := bytes.Cut(header, []byte("\n"))
		header = rest
		if len(line) < len(name) || !strings.EqualFold(string(line[:len(name)]), name) {
			continue
		}
		value := line[len(name):]
		for len(header) > 0 && (header[0] == ' ' || header[0] == '\t') {
			line, header, _ = bytes.Cut(header, []byte("\n"))
			value = append(bytes.Clone(value), line...)
		}
		return strings.Join(strings.Fields(string(value)), "")
	}
	return ""
}
