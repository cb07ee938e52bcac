package spool

import (
	"errors"
	"fmt"
)

// ErrQuota says that a user has used up what he may keep here. Nothing was kept.
var ErrQuota = errors.New("the quota is used up")

// Quota is what one user may keep in mailboxes and queue together; 0 is no limit.
type Quota struct {
	Octets   int64
	Messages int
}

// Fits says whether a user may keep so much more: nil, an error that wraps
// ErrQuota, or the disk's. Accept asks by itself, and so must who fetches.
// Deliver does not: what the box has to tell a user, a bounce say, he must get,
// and then most of all. Sessions at the same time may together exceed the quota
// by a message each.
func (s *Spool) Fits(user string, octets int64, messages int) error {
	if s.quota == nil {
		return nil
	}
	q := s.quota(user)
	if q == (Quota{}) {
		return nil
	}
	st, err := s.Stat(user)
	if err != nil {
		return err
	}
	sent, err := s.mailboxIn(SentFolder, user)
	if err != nil {
		return err
	}
	sentMessages, sentOctets := sent.sum()
	have, count := st.Octets+st.WaitingOctets+sentOctets, st.Messages+st.Waiting+sentMessages
	switch {
	case q.Octets > 0 && have+octets > q.Octets:
		return fmt.Errorf("%w: %d of %d octets are taken", ErrQuota, have, q.Octets)
	case q.Messages > 0 && count+messages > q.Messages:
		return fmt.Errorf("%w: there are %d of %d messages", ErrQuota, count, q.Messages)
	}
	return nil
}
