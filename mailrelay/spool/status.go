package spool

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// statusPrefix begins the unique-id of the source of a status message.
const statusPrefix = "status "

// Status returns the state that the status message in a user's mailbox tells of;
// ok is false if there is none, or the user has deleted it.
func (s *Spool) Status(user string) (state string, ok bool, err error) {
	b, err := s.mailbox(user)
	if err != nil {
		return "", false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if state, ok := statusState(m); ok {
			return state, true, nil
		}
	}
	return "", false, nil
}

func statusState(m Message) (state string, ok bool) {
	if m.Source.Upstream != "" {
		return "", false
	}
	return strings.CutPrefix(m.Source.UID, statusPrefix)
}

// SetStatus makes the one status message in a user's mailbox that of a state,
// with a UID of its own; an empty state takes it away. There is never more than
// one, whenever the process is killed, for the old one goes first. The error is
// ErrLocked while a session that must not lose it (RFC 1939) has the mailbox.
func (s *Spool) SetStatus(user, state string, body io.Reader) error {
	b, err := s.mailbox(user)
	if err != nil {
		return err
	}
	removed, err := s.removeStatus(b, state)
	if removed {
		s.changed(user)
	}
	if err != nil || state == "" {
		return err
	}
	if _, err := s.Deliver(user, Source{UID: statusPrefix + state}, body); !errors.Is(err, ErrKnown) {
		return err
	}
	return nil
}

// removeStatus deletes the status message of every state but one.
func (s *Spool) removeStatus(b *mailbox, except string) (removed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	deleted := slices.Clone(b.deleted)
	var left []Message
	for _, m := range b.messages {
		if state, ok := statusState(m); ok && state != except {
			deleted = append(deleted, deletion{UID: m.UID, Source: m.Source})
		} else {
			left = append(left, m)
		}
	}
	switch {
	case len(deleted) == len(b.deleted):
		return false, nil
	case b.locked:
		return false, ErrLocked
	}
	if err := s.writeJournal(b, deleted); err != nil {
		return false, fmt.Errorf("the status message was not removed: %w", err)
	}
	b.messages = left
	s.unlinkDeleted(b)
	return true, nil
}
