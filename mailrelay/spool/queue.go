package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Envelope is what SMTP knows of a message beside its octets, and how its
// submission stands.
type Envelope struct {
	ID   string   `json:"-"` // given by Accept
	Size int64    `json:"-"` // octets of the message, given by Accept
	User string   `json:"user"`
	From string   `json:"from"` // reverse-path without brackets
	To   []string `json:"to"`   // who has still to get it
	// EightBit says that MAIL FROM had BODY=8BITMIME (RFC 6152).
	EightBit bool `json:"eight_bit,omitempty"`
	// UTF8 says that MAIL FROM had SMTPUTF8 (RFC 6531).
	UTF8     bool      `json:"utf8,omitempty"`
	Accepted time.Time `json:"accepted"`

	Attempts  int       `json:"attempts,omitempty"`
	Next      time.Time `json:"next,omitzero"`        // not to be tried before
	LastError string    `json:"last_error,omitempty"` // upstream's words

	// Bounced says that a report of failure to some recipient is in the sender's
	// mailbox: if he sends the message again he means it.
	Bounced bool `json:"bounced,omitempty"`
	// InDoubt are those of To who may have got the message: all of it was sent to
	// them and no answer came. Doubts is how often that has happened.
	InDoubt []string `json:"in_doubt,omitempty"`
	Doubts  int      `json:"doubts,omitempty"`
	// DelayTold says that the sender has had the notice that the message waits.
	DelayTold bool `json:"delay_told,omitempty"`
}

// queue is the index of the queue directory. An entry's body and its envelope
// as accepted are <ID>.mail; the envelope as last updated, if it ever was, is
// <ID>.state, so that a retry does not write the body again. <ID>.sent says that
// the entry was sent (see Sent).
type queue struct {
	sync sharedSync // of the directory

	mu      sync.Mutex
	next    uint64
	entries map[string]Envelope // by ID
	resends resends
}

func (s *Spool) queuePath(id, kind string) string {
	return filepath.Join(s.dir, "queue", id+kind)
}

func (s *Spool) loadQueue() error {
	s.queue.next, s.queue.entries = 1, make(map[string]Envelope)
	names, err := s.disk.list(filepath.Join(s.dir, "queue"))
	if err != nil {
		return diskError(err)
	}
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[name] = true
	}
	for _, name := range names {
		id, isMail := strings.CutSuffix(name, ".mail")
		sent, isSent := strings.CutSuffix(name, ".sent")
		_, wellNamed := entrySeq(strings.TrimSuffix(strings.TrimSuffix(id, ".state"), ".sent"))
		switch {
		case !wellNamed:
			err = s.setAside(s.queuePath(name, ""), fmt.Errorf("%w: a strange name", errPoisoned))
		case isSent:
			err = s.loadSent(sent)
		case present[strings.TrimSuffix(id, ".state")+".sent"]:
			// loadSent sees to it
		case isMail:
			err = s.loadQueued(id, present[id+".state"])
		case !present[strings.TrimSuffix(name, ".state")+".mail"]:
			// Remove takes the mail first, so this is the rest of a removal.
			err = diskError(s.disk.remove(s.queuePath(name, "")))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadQueued indexes one entry. If only its state is poisoned, the envelope as
// accepted is used: trying too early is better than not at all.
func (s *Spool) loadQueued(id string, hasState bool) error {
	var env Envelope
	size, err := s.readHeader(s.queuePath(id, ".mail"), &env)
	if errors.Is(err, errPoisoned) {
		return s.setAside(s.queuePath(id, ".mail"), err)
	}
	if err != nil {
		return diskError(err)
	}
	if hasState {
		var state Envelope
		_, err := s.readHeader(s.queuePath(id, ".state"), &state)
		switch {
		case err == nil:
			env = state
		case !errors.Is(err, errPoisoned):
			return diskError(err)
		default:
			if err := s.setAside(s.queuePath(id, ".state"), err); err != nil {
				return err
			}
		}
	}
	env.ID, env.Size = id, size
	if seq, _ := entrySeq(id); seq >= s.queue.next {
		s.queue.next = seq + 1
	}
	s.queue.entries[id] = env
	if !env.Bounced {
		s.queue.resends.remember(id, env.Accepted)
	}
	return nil
}

// Accept puts a message into the queue and returns its envelope with ID and
// Size. When it returns nil the message survives a power cut, and whoever handed
// it in may be told so. If body ends with another error than io.EOF nothing is
// kept. Errors: ErrResent with the ID of the entry that the message has or had
// (see Sent), ErrFull, ErrQuota, that of body, or the disk's.
func (s *Spool) Accept(env Envelope, body io.Reader) (Envelope, error) {
	if err := s.room(); err != nil {
		return Envelope{}, err
	}
	d := newDigest()
	tmp, size, err := s.stage(env, io.TeeReader(body, d))
	if err != nil {
		return Envelope{}, err
	}
	q := &s.queue
	mark, identified := d.mark(env)
	window := q.resends.window
	if !identified {
		window = q.resends.bare
	}
	if known, ok := q.claim(mark, env.Accepted, window); !ok {
		s.disk.remove(tmp)
		return Envelope{ID: known}, ErrResent
	}
	if err := s.Fits(env.User, size, 1); err != nil {
		q.settle(mark, "")
		s.disk.remove(tmp)
		return Envelope{}, err
	}
	q.mu.Lock()
	env.ID, env.Size = markedName(q.next, mark), size
	q.next++
	q.mu.Unlock()

	// Outside of the lock, so that the syncs of many sessions overlap.
	if err := s.publish(tmp, s.queuePath(env.ID, ".mail")); err != nil {
		q.settle(mark, "")
		return Envelope{}, err
	}
	q.put(env)
	q.settle(mark, env.ID)
	s.changed(env.User)
	return env, nil
}

func (q *queue) put(env Envelope) {
	env.To, env.InDoubt = slices.Clone(env.To), slices.Clone(env.InDoubt)
	q.mu.Lock()
	q.entries[env.ID] = env
	q.mu.Unlock()
}

func (q *queue) has(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.entries[id]
	return ok
}

func (q *queue) stat(user string, st *Stat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, env := range q.entries {
		if env.User != user {
			continue
		}
		if st.Waiting == 0 || env.Next.Before(st.NextTry) {
			st.NextTry = env.Next
		}
		st.Waiting++
		st.WaitingOctets += env.Size
	}
}

// Queue returns all that waits to be submitted, in the order of acceptance.
func (s *Spool) Queue() ([]Envelope, error) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	envs := make([]Envelope, 0, len(s.queue.entries))
	for _, env := range s.queue.entries {
		env.To, env.InDoubt = slices.Clone(env.To), slices.Clone(env.InDoubt)
		envs = append(envs, env)
	}
	slices.SortFunc(envs, func(a, b Envelope) int { return strings.Compare(a.ID, b.ID) })
	return envs, nil
}

// OpenQueued returns the octets of a queued message as they were accepted.
func (s *Spool) OpenQueued(id string) (io.ReadCloser, error) {
	if !s.queue.has(id) {
		return nil, ErrNoMessage
	}
	var env Envelope
	body, _, err := s.openEntry(s.queuePath(id, ".mail"), &env)
	if err != nil {
		return nil, diskError(err)
	}
	return body, nil
}

// Update replaces the envelope of a queued message, durably and at one instant.
// Who updates and removes one entry must not do so from two goroutines.
func (s *Spool) Update(env Envelope) error {
	s.queue.mu.Lock()
	old, ok := s.queue.entries[env.ID]
	s.queue.mu.Unlock()
	if !ok {
		return ErrNoMessage
	}
	env.Size = old.Size
	if _, err := s.replace(s.queuePath(env.ID, ".state"), env); err != nil {
		return err
	}
	s.queue.put(env)
	if env.Bounced {
		s.queue.mu.Lock()
		s.queue.resends.forget(env.ID)
		s.queue.mu.Unlock()
	}
	s.changed(env.User)
	return nil
}

// Remove takes a message out of the queue that was not sent to all, for good
// when it returns nil, and forgets it; see Sent for the other end. If it
// fails with ErrUnsure the message is out, but a power cut now might bring it
// back; after another error it is still there.
func (s *Spool) Remove(id string) error {
	s.queue.mu.Lock()
	env, ok := s.queue.entries[id]
	s.queue.mu.Unlock()
	if !ok {
		return ErrNoMessage
	}
	if err := s.disk.remove(s.queuePath(id, ".mail")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return diskError(err)
	}
	syncErr := s.syncDir(filepath.Join(s.dir, "queue"))
	s.queue.mu.Lock()
	delete(s.queue.entries, id)
	s.queue.resends.forget(id)
	s.queue.mu.Unlock()
	s.changed(env.User)
	if syncErr != nil {
		return fmt.Errorf("%w: %w", ErrUnsure, diskError(syncErr))
	}
	// Without its mail a state means nothing, and Open removes it.
	s.removeRest(id, ".state")
	return nil
}
