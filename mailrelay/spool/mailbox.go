package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Message is one message that waits for a user.
type Message struct {
	// UID is RFC 1939's unique-id: 24 octets, the same after a restart, and never
	// given to another message.
	UID string
	// Size is the number of octets as they came over the wire, CRLF included.
	Size   int64
	Source Source
	// Flags are those of IMAP; POP3 knows none.
	Flags Flags
	// Date is RFC 3501's internal date of a message that a client appended with
	// one, else zero.
	Date time.Time
}

// Source says where a message came from: the unique-id that an upstream listed
// it under. With an empty Upstream it was made on this box (a bounce); its UID
// may then be empty or name what the message is about, so that it is not made
// a second time while the first is here.
type Source struct {
	Upstream string `json:"upstream,omitempty"`
	UID      string `json:"uid,omitempty"`
}

// mailbox is the index of one user's directory. The directory is the truth; the
// index is read from it once and kept in step under mu.
type mailbox struct {
	dir string

	mu       sync.Mutex
	loaded   bool
	locked   bool // by a Maildrop
	next     uint64
	messages []Message // in order of arrival
	sources  map[Source]bool
	deleted  []deletion
	validity uint32 // RFC 3501's UIDVALIDITY; 0 until IMAP has asked for it
}

// messageHeader is the first line of a message's file.
type messageHeader struct {
	Source
	Date  time.Time `json:"date,omitzero"`
	Flags Flags     `json:"flags,omitempty"` // it came with; the flags file overrides them
}

// journal is the file of the same name: what has been deleted here. Replacing
// it is what deletes messages; see Maildrop.Delete.
type journal struct {
	// Next is the lowest arrival number never given out. Only a deletion could
	// make the files forget it, and that writes the journal anyhow.
	Next    uint64     `json:"next"`
	Deleted []deletion `json:"deleted"`
}

// deletion is kept until the file is unlinked for good and, for a message that
// came from upstream, until upstream does not list it any more.
type deletion struct {
	UID    string `json:"message"`
	Source Source `json:"source"`

	unlinked bool
}

func (s *Spool) mailbox(user string) (*mailbox, error) { return s.mailboxIn(InboxFolder, user) }

func (s *Spool) mailboxIn(folder FolderName, user string) (*mailbox, error) {
	dir := filepath.Join(s.dir, string(folder), dirName(user))
	s.mu.Lock()
	b := s.boxes[dir]
	if b == nil {
		b = &mailbox{dir: dir}
		s.boxes[dir] = b
	}
	s.mu.Unlock()

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loaded {
		return b, nil
	}
	if err := s.load(b); err != nil {
		return nil, fmt.Errorf("mailbox of %q: %w", user, err)
	}
	return b, nil
}

// load reads a user's directory, and finishes deletions that a crash interrupted.
func (s *Spool) load(b *mailbox) error {
	if err := s.disk.mkdir(b.dir); err != nil {
		return diskError(err)
	}
	if err := s.disk.syncDir(filepath.Dir(b.dir)); err != nil {
		return diskError(err)
	}
	var j journal
	journalPath := filepath.Join(b.dir, "journal")
	switch _, err := s.readHeader(journalPath, &j); {
	case err == nil, errors.Is(err, os.ErrNotExist):
	case errors.Is(err, errPoisoned):
		// Losing the journal brings deleted mail back, which is better than
		// keeping the caller from all of it.
		if err := s.setAside(journalPath, err); err != nil {
			return err
		}
		j = journal{}
		// Without it arrival numbers may be given out again.
		if err := s.forgetFlags(b); err != nil {
			return err
		}
	default:
		return diskError(err)
	}
	names, err := s.disk.list(b.dir)
	if err != nil {
		return diskError(err)
	}
	deleted := make(map[string]bool, len(j.Deleted))
	for _, d := range j.Deleted {
		deleted[d.UID] = true
	}
	b.next, b.messages, b.sources, b.deleted = max(j.Next, 1), nil, make(map[Source]bool), j.Deleted
	for _, name := range names {
		if name == "journal" || name == flagsFile {
			continue
		}
		if seq, ok := entrySeq(name); ok && seq >= b.next {
			b.next = seq + 1
		}
		if deleted[name] {
			continue // unlinkDeleted sees to it
		}
		if err := s.loadMessage(b, name); err != nil {
			return err
		}
	}
	for _, d := range b.deleted {
		b.sources[d.Source] = true
	}
	if err := s.loadFlags(b); err != nil {
		return err
	}
	s.unlinkDeleted(b)
	b.loaded = true
	return nil
}

func (s *Spool) loadMessage(b *mailbox, name string) error {
	path := filepath.Join(b.dir, name)
	var header messageHeader
	size, err := s.readHeader(path, &header)
	if _, ok := entrySeq(name); !ok {
		err = fmt.Errorf("%w: a strange name", errPoisoned)
	}
	if errors.Is(err, errPoisoned) {
		return s.setAside(path, err)
	}
	if err != nil {
		return diskError(err)
	}
	m := Message{UID: name, Size: size, Source: header.Source, Flags: header.Flags, Date: header.Date}
	b.messages = append(b.messages, m)
	b.sources[m.Source] = true
	return nil
}

// Deliver puts a message into a user's mailbox, octet for octet, behind those
// already there. When it returns nil the message survives a power cut. If body
// ends with another error than io.EOF nothing is kept. Errors: ErrKnown,
// ErrFull, that of body, or the disk's.
func (s *Spool) Deliver(user string, src Source, body io.Reader) (Message, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return Message{}, err
	}
	return s.deliver(b, user, messageHeader{Source: src}, body)
}

func (s *Spool) deliver(b *mailbox, user string, header messageHeader, body io.Reader) (Message, error) {
	if err := s.room(); err != nil {
		return Message{}, err
	}
	tmp, size, err := s.stage(header, body)
	if err != nil {
		return Message{}, err
	}
	m, err := s.admit(b, tmp, Message{Size: size, Source: header.Source, Flags: header.Flags, Date: header.Date})
	if err != nil {
		return Message{}, err
	}
	s.changed(user)
	return m, nil
}

// admit gives a staged message its place in the mailbox.
func (s *Spool) admit(b *mailbox, tmp string, m Message) (Message, error) {
	// The lock is held over the directory's sync, so that nobody sees a later
	// message before an earlier one.
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Source != (Source{}) && b.sources[m.Source] {
		s.disk.remove(tmp)
		return Message{}, ErrKnown
	}
	m.UID = entryName(b.next)
	if err := s.publish(tmp, filepath.Join(b.dir, m.UID)); err != nil {
		return Message{}, err
	}
	b.next++
	b.messages = append(b.messages, m)
	b.sources[m.Source] = true
	return m, nil
}

// Messages returns what waits for a user, in the order of arrival.
func (s *Spool) Messages(user string) ([]Message, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages), nil
}

// Known returns the unique-ids of an upstream that must not be fetched again:
// their messages are here, or were and have been deleted by the caller.
func (s *Spool) Known(user, upstream string) (map[string]bool, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := make(map[string]bool)
	for src := range b.sources {
		if src.Upstream == upstream {
			known[src.UID] = true
		}
	}
	return known, nil
}

// Deletions returns the unique-ids of an upstream whose messages the caller has
// deleted, and which Gone has not yet been told of.
func (s *Spool) Deletions(user, upstream string) ([]string, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var uids []string
	for _, d := range b.deleted {
		if upstream != "" && d.Source.Upstream == upstream {
			uids = append(uids, d.Source.UID)
		}
	}
	return uids, nil
}

// Gone says that an upstream does not list these unique-ids any more, so that
// their deletions need not be remembered. Messages that are still in the
// mailbox stay there, and stay known.
func (s *Spool) Gone(user, upstream string, uids ...string) error {
	b, err := s.mailbox(user)
	if err != nil {
		return err
	}
	gone := make(map[Source]bool, len(uids))
	for _, uid := range uids {
		gone[Source{upstream, uid}] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := slices.Clone(b.deleted)
	any := false
	for i, d := range kept {
		if gone[d.Source] {
			kept[i].Source = Source{} // the file may still have to go
			any = true
		}
	}
	if !any {
		return nil
	}
	return s.writeJournal(b, kept)
}

func (b *mailbox) sum() (messages int, octets int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		octets += m.Size
	}
	return len(b.messages), octets
}
