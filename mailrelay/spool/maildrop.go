package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Maildrop is a mailbox held by one session (RFC 1939 section 4). Its list of
// messages is that of the moment of Lock; what is delivered later is not in it.
// It belongs to one goroutine.
type Maildrop struct {
	spool    *Spool
	user     string
	box      *mailbox
	messages []Message
}

// Lock takes a user's mailbox. The error is ErrLocked while another session has
// it. Delivery goes on meanwhile.
func (s *Spool) Lock(user string) (*Maildrop, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locked {
		return nil, ErrLocked
	}
	b.locked = true
	return &Maildrop{s, user, b, slices.Clone(b.messages)}, nil
}

// Unlock gives the mailbox back and deletes nothing. The Maildrop must not be
// used afterwards.
func (m *Maildrop) Unlock() {
	m.box.mu.Lock()
	m.box.locked = false
	m.box.mu.Unlock()
}

// Messages returns the messages in the order of arrival. The slice is the
// Maildrop's own.
func (m *Maildrop) Messages() []Message { return m.messages }

// Open returns the octets of a message as they were delivered.
func (m *Maildrop) Open(uid string) (io.ReadCloser, error) {
	if !slices.ContainsFunc(m.messages, func(msg Message) bool { return msg.UID == uid }) {
		return nil, ErrNoMessage
	}
	var header messageHeader
	body, _, err := m.spool.openEntry(filepath.Join(m.box.dir, uid), &header)
	if err != nil {
		return nil, diskError(err)
	}
	return body, nil
}

// Delete removes messages, all of them or after an error none, for good when it
// returns nil. Those that came from upstream are in Deletions from then on.
func (m *Maildrop) Delete(uids []string) error {
	if len(uids) == 0 {
		return nil
	}
	m.box.mu.Lock()
	err := m.spool.delete(m.box, uids)
	m.box.mu.Unlock()
	if err != nil {
		return err
	}
	m.spool.changed(m.user)
	return nil
}

// delete is Maildrop.Delete for a holder of b.mu.
func (s *Spool) delete(b *mailbox, uids []string) error {
	gone := make(map[string]bool, len(uids))
	for _, uid := range uids {
		gone[uid] = true
	}
	deleted := slices.Clone(b.deleted)
	left := make([]Message, 0, len(b.messages))
	for _, msg := range b.messages {
		if gone[msg.UID] {
			deleted = append(deleted, deletion{UID: msg.UID, Source: msg.Source})
			delete(gone, msg.UID)
		} else {
			left = append(left, msg)
		}
	}
	if len(gone) > 0 {
		return ErrNoMessage
	}
	if err := s.writeJournal(b, deleted); err != nil {
		return fmt.Errorf("nothing was deleted: %w", err)
	}
	b.messages = left
	s.unlinkDeleted(b)
	return nil
}

// writeJournal makes deleted the mailbox's deletions, durably, and forgets those
// of which nothing is left to do. After an error those of before hold.
func (s *Spool) writeJournal(b *mailbox, deleted []deletion) error {
	path := filepath.Join(b.dir, "journal")
	deleted = slices.DeleteFunc(deleted, func(d deletion) bool {
		return d.unlinked && d.Source.Upstream == ""
	})
	if renamed, err := s.replace(path, journal{Next: b.next, Deleted: deleted}); err != nil {
		// The caller is going to be told that nothing was deleted, so nothing may
		// be: put the old journal back if the disk lets us.
		if renamed {
			if _, undo := s.replace(path, journal{Next: b.next, Deleted: b.deleted}); undo != nil {
				s.log.Error("spool: a failed deletion could not be undone; it may take effect at the next start", "file", path, "err", undo)
			}
		}
		return err
	}
	b.deleted = deleted
	b.indexSources()
	return nil
}

func (b *mailbox) indexSources() {
	b.sources = make(map[Source]bool, len(b.messages)+len(b.deleted))
	for _, m := range b.messages {
		b.sources[m.Source] = true
	}
	for _, d := range b.deleted {
		b.sources[d.Source] = true
	}
}

// unlinkDeleted removes the files of deleted messages. The journal has decided
// already; what fails here is done at the next deletion or start.
func (s *Spool) unlinkDeleted(b *mailbox) {
	var done []int
	for i, d := range b.deleted {
		if d.unlinked {
			continue
		}
		err := s.disk.remove(filepath.Join(b.dir, d.UID))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("spool: a deleted message's file could not be removed; it is tried again later", "file", d.UID, "err", err)
			continue
		}
		done = append(done, i)
	}
	if len(done) == 0 {
		return
	}
	if err := s.disk.syncDir(b.dir); err != nil {
		s.log.Warn("spool: removal of deleted messages is not yet durable; it is tried again later", "dir", b.dir, "err", err)
		return
	}
	for _, i := range done {
		b.deleted[i].unlinked = true
	}
}
