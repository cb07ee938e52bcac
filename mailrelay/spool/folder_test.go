package spool

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func mustFolder(t testing.TB, s *Spool, name FolderName) *Folder {
	t.Helper()
	f, err := s.Folder("alice", name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustState(t testing.TB, f *Folder) FolderState {
	t.Helper()
	state, err := f.State(time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// folderPromises is what a folder has acknowledged, and what may have happened.
type folderPromises struct {
	validity uint32
	next     uint32
	flags    map[uint32][]Flags // by Seq: those that it may have
	gone     map[uint32]bool    // expunged: true when acknowledged
	bodies   map[uint32]string
}

type folderAct func(f *Folder, p *folderPromises) error

func look(f *Folder, p *folderPromises) error {
	state, err := f.State(time.Unix(1000+int64(p.next), 0))
	if err != nil {
		return err
	}
	p.validity, p.next = state.UIDValidity, state.UIDNext
	return nil
}

func keep(flags Flags, body string) folderAct {
	return func(f *Folder, p *folderPromises) error {
		m, err := f.Append(time.Time{}, flags, strings.NewReader(body))
		if err == nil {
			p.flags[m.Seq()], p.bodies[m.Seq()] = []Flags{flags}, body
			p.next = max(p.next, m.Seq()+1)
		}
		return err
	}
}

func mark(flags Flags, seqs ...uint32) folderAct {
	return func(f *Folder, p *folderPromises) error {
		uids := f.named(seqs)
		for _, seq := range seqs {
			p.flags[seq] = append(p.flags[seq], flags)
		}
		now, err := f.SetFlags(uids, func(Flags) Flags { return flags })
		if err == nil {
			for _, seq := range seqs {
				p.flags[seq] = []Flags{flags}
			}
			if len(now) != len(uids) {
				return errors.New("flags of too few messages")
			}
		}
		return err
	}
}

func expunge(seqs ...uint32) folderAct {
	return func(f *Folder, p *folderPromises) error {
		for _, seq := range seqs {
			p.gone[seq] = false
		}
		err := f.Expunge(f.named(seqs))
		for _, seq := range seqs {
			p.gone[seq] = err == nil
		}
		return err
	}
}

func (f *Folder) named(seqs []uint32) (uids []string) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	for _, m := range f.box.messages {
		if slices.Contains(seqs, m.Seq()) {
			uids = append(uids, m.UID)
		}
	}
	return uids
}

var folderStory = []folderAct{
	look, keep(Seen, "one"), keep(0, "two"), mark(Flagged|Deleted, 1, 2), keep(Draft, "three"), keep(0, "four"), look,
	mark(Seen, 1, 4), expunge(2, 4), mark(Answered, 3), keep(Seen, "five"), expunge(5), mark(0, 1), look, keep(0, "six"),
}

// check finds every promise kept.
func (p *folderPromises) check(t *testing.T, f *Folder) {
	t.Helper()
	state := mustState(t, f)
	if p.validity != 0 && state.UIDValidity != p.validity || state.UIDNext < p.next {
		t.Errorf("validity %d, next %d, were %d, %d", state.UIDValidity, state.UIDNext, p.validity, p.next)
	}
	here := map[uint32]bool{}
	for _, m := range state.Messages {
		seq := m.Seq()
		here[seq] = true
		body, known := p.bodies[seq]
		if !known {
			continue // one that was not acknowledged
		}
		if sure, was := p.gone[seq]; was && sure {
			t.Errorf("message %d is back", seq)
		}
		if !slices.Contains(p.flags[seq], m.Flags) {
			t.Errorf("message %d has flags %b, may have %b", seq, m.Flags, p.flags[seq])
		}
		r, err := f.Open(m.UID)
		if got := mustRead(t, r, err); got != body {
			t.Errorf("message %d reads %q", seq, got)
		}
	}
	for seq := range p.bodies {
		if _, was := p.gone[seq]; !here[seq] && !was {
			t.Errorf("message %d is lost", seq)
		}
	}
}

// TestNoCrashChangesUIDsOrFlags kills the process at each operation on the disk
// and cuts the power there.
func TestNoCrashChangesUIDsOrFlags(t *testing.T) {
	for _, name := range []FolderName{InboxFolder, SentFolder} {
		for at := 1; ; at++ {
			d := newFaultyDisk(func(op int) error {
				if op >= at {
					return errDead
				}
				return nil
			})
			p := &folderPromises{flags: map[uint32][]Flags{}, gone: map[uint32]bool{}, bodies: map[uint32]string{}}
			if s, err := open("/", Options{}, d); err == nil {
				if f, err := s.Folder("alice", name); err == nil {
					for _, a := range folderStory {
						if a(f, p) != nil {
							break
						}
					}
				}
			}
			if len(d.ops) < at {
				if at < 80 {
					t.Errorf("the story has only %d operations", at)
				}
				break
			}
			for what := range survivorEnd {
				s := openOn(t, d.after(what))
				p.check(t, mustFolder(t, s, name))
				if t.Failed() {
					t.Fatalf("killed at operation %d (%s), survivors %d", at, d.ops[at-1], what)
				}
			}
		}
	}
}

func TestAFailedChangeOfFlagsChangesNothingHere(t *testing.T) {
	var fault error
	d := newFaultyDisk(func(int) error { return fault })
	s := openOn(t, d)
	f := mustFolder(t, s, InboxFolder)
	mustDeliver(t, s, "alice", Source{}, "x")
	mustState(t, f)
	fault = syscall.ENOSPC
	if _, err := f.SetFlags(f.named([]uint32{1}), func(Flags) Flags { return Seen }); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v", err)
	}
	fault = nil
	if flags := mustState(t, f).Messages[0].Flags; flags != 0 {
		t.Errorf("flags are %b", flags)
	}
}

func TestPOP3AndIMAPShareTheInbox(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	f := mustFolder(t, s, InboxFolder)
	m := mustDeliver(t, s, "alice", Source{"isp", "1"}, "x")
	mustDeliver(t, s, "alice", Source{"isp", "2"}, "y")
	drop := mustLock(t, s, "alice")
	if err := f.Expunge([]string{m.UID}); !errors.Is(err, ErrLocked) {
		t.Errorf("EXPUNGE during a POP3 session: %v", err)
	}
	drop.Unlock()
	if err := f.Expunge([]string{m.UID, "gone before"}); err != nil {
		t.Fatal(err)
	}
	if uids, err := s.Deletions("alice", "isp"); err != nil || !slices.Equal(uids, []string{"1"}) {
		t.Errorf("deletions are %q, %v", uids, err)
	}
	if ms, _ := s.Messages("alice"); len(ms) != 1 {
		t.Errorf("messages are %v", ms)
	}
}

func TestUIDsThatMayComeBackHaveAnotherValidity(t *testing.T) {
	for _, file := range []string{"journal", flagsFile} {
		d := newFaultyDisk(nil)
		s := openOn(t, d)
		f := mustFolder(t, s, InboxFolder)
		m := mustDeliver(t, s, "alice", Source{}, "x")
		if v := mustState(t, f).UIDValidity; v != 1000 {
			t.Errorf("validity is %d", v)
		}
		if err := f.Expunge([]string{m.UID}); err != nil {
			t.Fatal(err)
		}
		d.node("/mail/alice").dir[file].content = []byte("not ours")
		again, err := open("/", Options{}, d.after(everything))
		if err != nil {
			t.Fatal(err)
		}
		state, err := mustFolder(t, again, InboxFolder).State(time.Unix(2000, 0))
		if err != nil || state.UIDValidity != 2000 {
			t.Errorf("without %s: %+v, %v", file, state, err)
		}
	}
}

func TestManyFlagsMakeASmallFile(t *testing.T) {
	d := newFaultyDisk(nil)
	s := openOn(t, d)
	f := mustFolder(t, s, InboxFolder)
	var uids []string
	for range 1000 {
		uids = append(uids, mustDeliver(t, s, "alice", Source{}, "x").UID)
	}
	mustState(t, f)
	if _, err := f.SetFlags(uids, func(Flags) Flags { return Seen }); err != nil {
		t.Fatal(err)
	}
	if n := len(d.node("/mail/alice/" + flagsFile).content); n > 200 {
		t.Errorf("%d octets", n)
	}
}

func TestAWatchSeesEveryChangeOfItsUser(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	changes, cancel := s.Watch("alice")
	seen := func() bool {
		select {
		case <-changes:
			return true
		default:
			return false
		}
	}
	f := mustFolder(t, s, SentFolder)
	mustState(t, f)
	mustDeliver(t, s, "bob", Source{}, "x")
	if seen() {
		t.Error("bob's mail was seen by alice")
	}
	for range 3 {
		mustDeliver(t, s, "alice", Source{}, "x")
	}
	if !seen() || seen() {
		t.Error("three deliveries are not one change")
	}
	m, err := f.Append(time.Time{}, 0, strings.NewReader("y"))
	if err != nil || !seen() {
		t.Errorf("an APPEND was not seen: %v", err)
	}
	if _, err := f.SetFlags([]string{m.UID}, func(Flags) Flags { return Seen }); err != nil || !seen() {
		t.Errorf("new flags were not seen: %v", err)
	}
	if err := f.Expunge([]string{m.UID}); err != nil || !seen() {
		t.Errorf("an EXPUNGE was not seen: %v", err)
	}
	cancel()
	mustDeliver(t, s, "alice", Source{}, "x")
	if seen() {
		t.Error("a change was told after cancel")
	}
}
