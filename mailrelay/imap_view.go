package mailrelay

import (
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/mailrelay/spool"
)

// imapView is a mailbox as the client knows it: its sequence numbers are those
// of messages, and what other sessions or deliveries change is told to it only
// when RFC 3501 section 7.4.1 allows. Its session's lock guards it.
type imapView struct {
	session  *imapSession
	folder   *spool.Folder
	inbox    bool
	readOnly bool
	validity uint32
	messages []spool.Message // with the flags that the client has been told
	stale    bool            // the folder may have changed since
	saved    imap.UIDSet     // RFC 5182's search result, which $ stands for
}

// updates are written to the client; *imapserver.UpdateWriter is one.
type updates interface {
	WriteExpunge(seqNum uint32) error
	WriteNumMessages(n uint32) error
	WriteMessageFlags(seqNum uint32, uid imap.UID, flags []imap.Flag) error
}

// Poll is called at the end of most commands.
func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update(w, allowExpunge)
}

// Idle is RFC 2177: it tells of changes until stop is closed.
func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return nil
	}
	s.idling.Add(1)
	changes := s.changes
	s.mu.Unlock()
	defer s.idling.Done()
	for {
		if err := s.idle(w, stop); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-changes:
		}
	}
}

func (s *imapSession) idle(w updates, stop <-chan struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-stop:
		return nil // another command may be under way already
	default:
	}
	if s.selected != nil {
		s.selected.stale = true
	}
	return s.update(w, true)
}

// update tells the client what has changed in the selected mailbox.
func (s *imapSession) update(w updates, allowExpunge bool) error {
	v := s.selected
	select {
	case <-s.changes:
		if v != nil {
			v.stale = true
		}
	default:
	}
	if v == nil || !v.stale {
		return nil
	}
	state, err := v.folder.State(time.Now())
	if err != nil {
		return s.spoolError(err)
	}
	return v.follow(w, state.Messages, allowExpunge)
}

// follow makes now of the view's messages. Those that are gone stay in the view,
// and hold their numbers, until the client may be told.
func (v *imapView) follow(w updates, now []spool.Message, allowExpunge bool) error {
	here := make(map[string]spool.Flags, len(now))
	for _, m := range now {
		here[m.UID] = m.Flags
	}
	last := ""
	if len(v.messages) > 0 {
		last = v.messages[len(v.messages)-1].UID
	}
	v.stale = false
	for i := len(v.messages) - 1; i >= 0; i-- { // from behind: EXPUNGE moves those that follow
		if _, ok := here[v.messages[i].UID]; ok {
			continue
		}
		if !allowExpunge {
			v.stale = true
			continue
		}
		v.messages = slices.Delete(v.messages, i, i+1)
		if err := w.WriteExpunge(uint32(i) + 1); err != nil {
			return err
		}
	}
	fresh, _ := slices.BinarySearchFunc(now, last, func(m spool.Message, uid string) int {
		if m.UID <= uid {
			return -1
		}
		return 1
	})
	if fresh < len(now) {
		v.messages = append(v.messages, now[fresh:]...)
		if err := w.WriteNumMessages(uint32(len(v.messages))); err != nil {
			return err
		}
	}
	for i := range v.messages {
		m := &v.messages[i]
		if flags, ok := here[m.UID]; ok && flags != m.Flags {
			m.Flags = flags
			if err := w.WriteMessageFlags(uint32(i)+1, imap.UID(m.Seq()), imapFlags(flags)); err != nil {
				return err
			}
		}
	}
	return nil
}

// in tells whether message i of the view is in the set.
func (v *imapView) in(set imap.NumSet, i int) bool {
	if imap.IsSearchRes(set) {
		set = v.saved
	}
	switch set := set.(type) {
	case imap.SeqSet:
		for _, r := range set {
			if inRange(uint32(i)+1, r.Start, r.Stop, uint32(len(v.messages))) {
				return true
			}
		}
	case imap.UIDSet:
		for _, r := range set {
			if inRange(v.messages[i].Seq(), uint32(r.Start), uint32(r.Stop), v.messages[len(v.messages)-1].Seq()) {
				return true
			}
		}
	}
	return false
}

// inRange has zero for "*", the greatest number in use (RFC 3501 section 9,
// seq-range).
func inRange(n, start, stop, greatest uint32) bool {
	if start == 0 {
		start = greatest
	}
	if stop == 0 {
		stop = greatest
	}
	return min(start, stop) <= n && n <= max(start, stop)
}

// each calls do with the index of every message in the set.
func (v *imapView) each(set imap.NumSet, do func(i int) error) error {
	for i := range v.messages {
		if v.in(set, i) {
			if err := do(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// uids are the names in the spool of the messages in the set.
func (v *imapView) uids(set imap.NumSet) (uids []string) {
	v.each(set, func(i int) error {
		uids = append(uids, v.messages[i].UID)
		return nil
	})
	return uids
}

// imapFlags has them in the order of RFC 3501.
func imapFlags(flags spool.Flags) []imap.Flag {
	list := []imap.Flag{}
	for i, f := range flagTable() {
		if flags&(1<<i) != 0 {
			list = append(list, f)
		}
	}
	return list
}

// spoolFlags drops those that are not kept: \Recent and keywords, which
// PERMANENTFLAGS does not offer.
func spoolFlags(list []imap.Flag) (flags spool.Flags) {
	for i, f := range flagTable() {
		if slices.Contains(list, f) {
			flags |= 1 << i
		}
	}
	return flags
}

// flagTable is in the order of spool's bits.
func flagTable() [5]imap.Flag {
	return [...]imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}
}
