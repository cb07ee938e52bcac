package spool

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// FolderName is one of a user's mailboxes, by the name of its directory.
type FolderName string

const (
	InboxFolder FolderName = "mail" // what Deliver fills and a Maildrop empties
	SentFolder  FolderName = "sent" // copies of what the user has sent
)

// Folder is a user's mailbox as IMAP sees it. Many sessions may use one at the
// same time, and each must expect that another changes it.
type Folder struct {
	spool *Spool
	user  string
	box   *mailbox
}

// Folder opens a user's mailbox; there is nothing to close.
func (s *Spool) Folder(user string, name FolderName) (*Folder, error) {
	b, err := s.mailboxIn(name, user)
	if err != nil {
		return nil, err
	}
	return &Folder{s, user, b}, nil
}

// FolderState is what a folder has at one moment.
type FolderState struct {
	UIDValidity uint32
	UIDNext     uint32 // the least Seq of the next message
	Messages    []Message
}

// State returns what is in the folder, in the order of arrival. A folder asked
// for the first time takes its UIDVALIDITY from now.
func (f *Folder) State(now time.Time) (FolderState, error) {
	b := f.box
	b.mu.Lock()
	defer b.mu.Unlock()
	validity, err := f.spool.uidValidity(b, now)
	if err != nil {
		return FolderState{}, err
	}
	return FolderState{validity, uint32(b.next), slices.Clone(b.messages)}, nil
}

// Open returns the octets of a message as they came. The error is ErrNoMessage
// when it is gone.
func (f *Folder) Open(uid string) (io.ReadCloser, error) {
	f.box.mu.Lock()
	here := f.box.has(uid)
	f.box.mu.Unlock()
	if !here {
		return nil, ErrNoMessage
	}
	var header messageHeader
	body, _, err := f.spool.openEntry(filepath.Join(f.box.dir, uid), &header)
	if err != nil {
		return nil, diskError(err)
	}
	return body, nil
}

func (b *mailbox) has(uid string) bool {
	_, found := slices.BinarySearchFunc(b.messages, uid, byUID)
	return found
}

// byUID orders as arrival does; see entryName.
func byUID(m Message, uid string) int {
	switch {
	case m.UID < uid:
		return -1
	case m.UID > uid:
		return 1
	}
	return 0
}

// Append puts a message into the folder that a client gives us to keep: it is
// sent to nobody, and no upstream knows of it. What holds for Deliver's body and
// errors holds here. Date may be zero.
func (f *Folder) Append(date time.Time, flags Flags, body io.Reader) (Message, error) {
	return f.spool.deliver(f.box, f.user, messageHeader{Date: date, Flags: flags}, body)
}

// SetFlags gives each of these messages the flags that change makes of its
// present ones, durably when it returns nil; after an error the old ones hold,
// though a restart may show the new. It returns the flags that those of them
// now have which are still here.
func (f *Folder) SetFlags(uids []string, change func(Flags) Flags) (map[string]Flags, error) {
	now, changed, err := f.setFlags(uids, change)
	if changed {
		f.spool.changed(f.user)
	}
	return now, err
}

func (f *Folder) setFlags(uids []string, change func(Flags) Flags) (now map[string]Flags, changed bool, err error) {
	b := f.box
	b.mu.Lock()
	defer b.mu.Unlock()
	messages := slices.Clone(b.messages)
	now = make(map[string]Flags, len(uids))
	for _, uid := range uids {
		i, here := slices.BinarySearchFunc(messages, uid, byUID)
		if !here {
			continue
		}
		flags := change(messages[i].Flags)
		changed = changed || flags != messages[i].Flags
		messages[i].Flags, now[uid] = flags, flags
	}
	if !changed {
		return now, false, nil
	}
	if b.validity == 0 {
		return nil, false, fmt.Errorf("spool: flags of a folder whose State was never asked for")
	}
	if err := f.spool.writeFlags(b, messages, b.validity); err != nil {
		return nil, false, fmt.Errorf("no flag was changed: %w", err)
	}
	b.messages = messages
	return now, true, nil
}

// Expunge removes those of the messages that are still here, all of them or
// after an error none. Those that came from upstream are in Deletions from then
// on. The error is ErrLocked while a Maildrop has the mailbox: RFC 1939 section 4
// promises its session that the messages stay.
func (f *Folder) Expunge(uids []string) error {
	removed, err := f.expunge(uids)
	if removed {
		f.spool.changed(f.user)
	}
	return err
}

func (f *Folder) expunge(uids []string) (removed bool, err error) {
	b := f.box
	b.mu.Lock()
	defer b.mu.Unlock()
	here := make([]string, 0, len(uids))
	for _, uid := range uids {
		if b.has(uid) {
			here = append(here, uid)
		}
	}
	if len(here) == 0 {
		return false, nil
	}
	if b.locked {
		return false, ErrLocked
	}
	if err := f.spool.delete(b, here); err != nil {
		return false, err
	}
	return true, nil
}
