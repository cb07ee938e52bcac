package spool

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Flags are the system flags of a message (RFC 3501 section 2.3.2) that are
// kept; together they make a set.
type Flags uint8

const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted // until it is expunged; has nothing to do with POP3's mark
	Draft
)

// flagsFile is beside the messages of a mailbox in which IMAP was used. It is
// replaced as a whole, as the journal is.
const flagsFile = "flags"

// flagsJournal is the content of flagsFile. To remove the file, say after an
// old backup was put back, makes clients forget what they knew.
type flagsJournal struct {
	Validity uint32 `json:"uidvalidity"`
	// Next is the mailbox's at the last writing. Should the mailbox know less,
	// then UIDs would come back that clients remember.
	Next uint64 `json:"next"`
	// Flags has the ranges of arrival numbers, first and last, of the messages
	// that have each flag, in the order of the constants. Numbers between them
	// that are gone do no harm, and a mailbox that was read to its end is one
	// range and not ten thousand numbers.
	Flags [flagCount][][2]uint64 `json:"flags"`
}

const flagCount = 5

// Seq is the arrival number of a message: greater than that of all before it
// in its mailbox, and never given to another as long as UIDValidity holds.
func (m Message) Seq() uint32 {
	seq, _ := entrySeq(m.UID)
	return uint32(seq)
}

// loadFlags gives the messages of b the flags that were written down.
func (s *Spool) loadFlags(b *mailbox) error {
	var j flagsJournal
	switch _, err := s.readHeader(filepath.Join(b.dir, flagsFile), &j); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, errPoisoned):
		return s.forgetFlags(b) // unread mail is better than none
	case err != nil:
		return diskError(err)
	}
	if j.Next > b.next {
		return s.forgetFlags(b)
	}
	b.validity = j.Validity
	for i := range b.messages {
		m := &b.messages[i]
		seq, _ := entrySeq(m.UID)
		if seq >= j.Next {
			continue // it came later and has those of its first line
		}
		m.Flags = 0
		for bit, ranges := range j.Flags {
			if inRanges(ranges, seq) {
				m.Flags |= 1 << bit
			}
		}
	}
	return nil
}

func inRanges(ranges [][2]uint64, seq uint64) bool {
	i, _ := slices.BinarySearchFunc(ranges, seq, func(r [2]uint64, seq uint64) int { return cmp.Compare(r[1], seq) })
	return i < len(ranges) && ranges[i][0] <= seq
}

// forgetFlags puts the file away because it does not fit the mailbox.
func (s *Spool) forgetFlags(b *mailbox) error {
	path := filepath.Join(b.dir, flagsFile)
	f, err := s.disk.open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError(err)
	}
	f.Close()
	return s.setAside(path, errors.New("flags do not fit the mailbox; clients will read it anew"))
}

// writeFlags writes down the flags of messages, which are those of b, changed.
func (s *Spool) writeFlags(b *mailbox, messages []Message, validity uint32) error {
	j := flagsJournal{Validity: validity, Next: b.next}
	for bit := range j.Flags {
		open := false // the last range, to which the next message may belong
		for _, m := range messages {
			if m.Flags&(1<<bit) == 0 {
				open = false
				continue
			}
			seq, _ := entrySeq(m.UID)
			if ranges := j.Flags[bit]; open {
				ranges[len(ranges)-1][1] = seq
				continue
			}
			j.Flags[bit] = append(j.Flags[bit], [2]uint64{seq, seq})
			open = true
		}
	}
	_, err := s.replace(filepath.Join(b.dir, flagsFile), j)
	return err
}

// uidValidity returns the mailbox's UIDVALIDITY, made of now at the first time.
// The caller holds b.mu.
func (s *Spool) uidValidity(b *mailbox, now time.Time) (uint32, error) {
	if b.next > math.MaxUint32 {
		return 0, fmt.Errorf("spool: mailbox %s has used up the numbers that IMAP has", b.dir)
	}
	if b.validity != 0 {
		return b.validity, nil
	}
	// RFC 3501 section 2.3.1.1 wants a greater one each time, and suggests the
	// clock.
	validity := uint32(max(now.Unix(), 1))
	if err := s.writeFlags(b, b.messages, validity); err != nil {
		return 0, err
	}
	b.validity = validity
	return validity, nil
}
