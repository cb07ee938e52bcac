package spool

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// promises is what the spool has acknowledged, and what was under way when it
// failed and may have happened or not.
type promises struct {
	last      string                // highest UID acknowledged
	delivered map[string]string     // upstream's UID -> ours, "" if not acknowledged
	deletions [][]string            // sets of upstream's UIDs, each all-or-nothing
	deleted   map[string]bool       // acknowledged, or its set is under way
	sure      map[string]bool       // deleted, acknowledged
	gone      map[string]bool       // told to be gone, acknowledged or not
	queued    map[string]Envelope   // by From
	maybe     map[string]bool       // From of entries whose Accept or Remove is under way
	states    map[string][]Envelope // what an entry may look like
	removed   map[string]bool
	sent      map[string]bool // removed because all have got it, acknowledged
}

func newPromises() *promises {
	return &promises{
		delivered: map[string]string{}, deleted: map[string]bool{}, sure: map[string]bool{}, gone: map[string]bool{},
		queued: map[string]Envelope{}, maybe: map[string]bool{}, states: map[string][]Envelope{}, removed: map[string]bool{}, sent: map[string]bool{},
	}
}

// bodyOf a message is told by its name, and differs in length.
func bodyOf(name string) string {
	return "Subject: " + name + "\r\n\r\n" + strings.Repeat(name+"\r\n", 1+len(name)%5)
}

// act is one call of a story. It returns the call's error after it has written
// down what was promised.
type act func(s *Spool, p *promises) error

func deliver(uid string) act {
	return func(s *Spool, p *promises) error {
		p.delivered[uid] = ""
		m, err := s.Deliver("alice", Source{"isp", uid}, strings.NewReader(bodyOf(uid)))
		if err == nil {
			p.delivered[uid], p.last = m.UID, m.UID
		}
		return err
	}
}

func del(uids ...string) act {
	return func(s *Spool, p *promises) error {
		drop, err := s.Lock("alice")
		if err != nil {
			return err
		}
		defer drop.Unlock()
		var ours []string
		for _, uid := range uids {
			ours = append(ours, p.delivered[uid])
		}
		p.deletions = append(p.deletions, uids)
		for _, uid := range uids {
			p.deleted[uid] = true
		}
		err = drop.Delete(ours)
		for _, uid := range uids {
			p.sure[uid] = err == nil
		}
		return err
	}
}

func gone(uids ...string) act {
	return func(s *Spool, p *promises) error {
		for _, uid := range uids {
			p.gone[uid] = true
		}
		return s.Gone("alice", "isp", uids...)
	}
}

func accept(from string) act {
	return func(s *Spool, p *promises) error {
		p.maybe[from] = true
		env, err := handIn(s, from)
		if err == nil {
			delete(p.maybe, from)
			p.queued[from], p.states[from] = env, []Envelope{env}
		}
		return err
	}
}

func handIn(s *Spool, from string) (Envelope, error) {
	return s.Accept(Envelope{User: "alice", From: from, To: []string{"x@y"}}, strings.NewReader(bodyOf(from)))
}

func update(from string) act {
	return func(s *Spool, p *promises) error {
		env := p.queued[from]
		env.Attempts++
		env.LastError = strings.Repeat("451 ", env.Attempts)
		p.states[from] = append(p.states[from], env)
		err := s.Update(env)
		if err == nil {
			p.queued[from], p.states[from] = env, []Envelope{env}
		}
		return err
	}
}

func remove(from string) act {
	return func(s *Spool, p *promises) error {
		p.maybe[from] = true
		err := s.Remove(p.queued[from].ID)
		switch {
		case errors.Is(err, ErrUnsure):
			if _, err := s.OpenQueued(p.queued[from].ID); !errors.Is(err, ErrNoMessage) {
				return fmt.Errorf("out of the queue, but: %v", err)
			}
		case err == nil:
			p.removed[from] = true
		}
		return err
	}
}

func sent(from string) act {
	return func(s *Spool, p *promises) error {
		p.maybe[from] = true
		err := s.Sent(p.queued[from].ID)
		switch {
		case errors.Is(err, ErrUnsure):
			if _, err := s.OpenQueued(p.queued[from].ID); !errors.Is(err, ErrNoMessage) {
				return fmt.Errorf("out of the queue, but: %v", err)
			}
		case err == nil:
			p.removed[from], p.sent[from] = true, true
		}
		return err
	}
}

// reborn closes and opens the spool, as at an orderly restart.
func reborn(s *Spool, _ *promises) error {
	if err := s.Close(); err != nil {
		return err
	}
	again, err := open(s.dir, Options{}, s.disk)
	if err != nil {
		return err
	}
	s.lock, s.boxes = again.lock, again.boxes
	s.queue.next, s.queue.entries, s.queue.resends = again.queue.next, again.queue.entries, again.queue.resends
	return nil
}

var story = []act{
	deliver("a"), deliver("b"), accept("1@x"), deliver("c"), accept("2@x"), update("1@x"),
	del("a", "c"), deliver("d"), gone("a"), update("1@x"), reborn, remove("1@x"), del("b"), accept("3@x"),
	gone("b", "c"), deliver("e"), deliver("f"), reborn, del("d", "e", "f"), deliver("g"), remove("3@x"), gone("d", "e", "f"),
	accept("4@x"), update("4@x"), sent("2@x"), reborn, accept("5@x"), sent("4@x"), accept("6@x"),
}

// play runs the story until an act fails.
func play(t *testing.T, d *faultyDisk) *promises {
	t.Helper()
	p := newPromises()
	s, err := open("/", Options{}, d)
	if err != nil {
		return p
	}
	for _, a := range story {
		if err := a(s, p); err != nil {
			break
		}
	}
	return p
}

// openOn opens the spool on a disk that has been left behind.
func openOn(t *testing.T, d *faultyDisk) *Spool {
	t.Helper()
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check finds every promise kept.
func (p *promises) check(t *testing.T, s *Spool) {
	t.Helper()
	ms, err := s.Messages("alice")
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]bool{}
	drop := mustLock(t, s, "alice")
	defer drop.Unlock()
	for i, m := range ms {
		uid := m.Source.UID
		ours, known := p.delivered[uid]
		if here[uid] || !known || ours != "" && ours != m.UID || i > 0 && ms[i-1].UID >= m.UID {
			t.Errorf("message %q is doubled, unknown, renamed or out of order: %v", uid, ms)
		}
		here[uid] = true
		r, err := drop.Open(m.UID)
		if got := mustRead(t, r, err); got != bodyOf(uid) || m.Size != int64(len(got)) {
			t.Errorf("message %q reads %.40q", uid, got)
		}
	}
	known, err := s.Known("alice", "isp")
	if err != nil {
		t.Fatal(err)
	}
	deletions, err := s.Deletions("alice", "isp")
	if err != nil {
		t.Fatal(err)
	}
	for uid, ours := range p.delivered {
		if ours != "" && !p.deleted[uid] && !here[uid] {
			t.Errorf("message %q was acknowledged and is lost", uid)
		}
		if ours != "" && !known[uid] && !p.gone[uid] {
			t.Errorf("message %q would be fetched again", uid)
		}
		if p.sure[uid] && (here[uid] || !p.gone[uid] && !slices.Contains(deletions, uid)) {
			t.Errorf("message %q was deleted and is here, or upstream is not to be told", uid)
		}
		if here[uid] && slices.Contains(deletions, uid) {
			t.Errorf("message %q is both here and deleted", uid)
		}
	}
	for _, set := range p.deletions {
		for _, uid := range set[1:] {
			if here[uid] != here[set[0]] {
				t.Errorf("of %q only some are deleted", set)
			}
		}
	}
	p.checkQueue(t, s)
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
	if aside, _ := s.disk.list(filepath.Join(s.dir, "aside")); len(aside) > 0 {
		t.Errorf("set aside: %v", aside)
	}
}

func (p *promises) checkQueue(t *testing.T, s *Spool) {
	t.Helper()
	queue, err := s.Queue()
	if err != nil {
		t.Fatal(err)
	}
	waiting := map[string]bool{}
	for _, env := range queue {
		if waiting[env.From] || p.removed[env.From] {
			t.Errorf("%s is queued twice, or again", env.From)
		}
		waiting[env.From] = true
		r, err := s.OpenQueued(env.ID)
		if got := mustRead(t, r, err); got != bodyOf(env.From) || env.Size != int64(len(got)) {
			t.Errorf("%s reads %.40q", env.From, got)
		}
		if states := p.states[env.From]; len(states) > 0 && !slices.ContainsFunc(states, func(e Envelope) bool { return fmt.Sprint(e) == fmt.Sprint(env) }) {
			t.Errorf("envelope is %+v, must be one of %+v", env, states)
		}
	}
	for from := range p.queued {
		if !waiting[from] && !p.maybe[from] {
			t.Errorf("%s was accepted and is lost", from)
		}
	}
	// Whoever was told 250, or might have been, tries again.
	for from := range p.queued {
		if p.sent[from] || waiting[from] {
			if _, err := handIn(s, from); !errors.Is(err, ErrResent) {
				t.Errorf("%s, handed in again: %v", from, err)
			}
		}
	}
}

// TestNoCrashBreaksAPromise kills the process at each of its operations on the
// disk, and cuts the power there, and then opens what is found, after dying
// again at each operation of the recovery.
func TestNoCrashBreaksAPromise(t *testing.T) {
	dead := func(at int) func(int) error {
		return func(op int) error {
			if op >= at {
				return errDead
			}
			return nil
		}
	}
	for at := 1; ; at++ {
		d := newFaultyDisk(dead(at))
		p := play(t, d)
		if len(d.ops) < at {
			if at < 100 {
				t.Errorf("the story has only %d operations", at)
			}
			return
		}
		for what := range survivorEnd {
			left := d.after(what)
			for again := 1; ; again++ {
				recovering := left.after(everything)
				recovering.faulty = dead(again)
				s, err := open("/", Options{}, recovering)
				if err == nil {
					_, err = s.Messages("alice")
				}
				p.check(t, openOn(t, recovering.after(what)))
				if err == nil {
					break
				}
			}
			if m := mustDeliver(t, openOn(t, left), "alice", Source{}, "x"); m.UID <= p.last {
				t.Errorf("UID %s after %s", m.UID, p.last)
			}
			if t.Failed() {
				t.Fatalf("killed at operation %d (%s), survivors %d", at, d.ops[at-1], what)
			}
		}
	}
}

// TestNoFailingOperationBreaksAPromise lets each operation fail once, as a full
// or ageing disk does, while the process lives on. A call that fails must have
// done nothing.
func TestNoFailingOperationBreaksAPromise(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for at := 1; ; at++ {
			d := newFaultyDisk(func(op int) error {
				if op == at {
					return fault
				}
				return nil
			})
			p := newPromises()
			s, err := open("/", Options{}, d)
			for err == nil {
				err = tell(t, s, p, fault)
			}
			if len(d.ops) < at {
				break
			}
			if s == nil {
				continue // told at start
			}
			p.check(t, openOn(t, d.after(syncedOnly)))
			if t.Failed() {
				t.Fatalf("%v at operation %d (%s)", fault, at, d.ops[at-1])
			}
		}
	}
}

var errEnd = errors.New("the story is over")

// tell plays the whole story, going on after an act that failed; such an act is
// told again, for the fault has passed.
func tell(t *testing.T, s *Spool, p *promises, fault error) error {
	t.Helper()
	for _, a := range story {
		before, _ := s.Stat("alice")
		err := a(s, p)
		if err == nil {
			continue
		}
		if fault == syscall.ENOSPC != errors.Is(err, ErrFull) {
			t.Errorf("%v is told as %v", fault, err)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Errorf("left in tmp: %v", left)
		}
		p.check(t, s)
		p.unchanged(t, s, before)
		if err := a(s, p); err != nil && !errors.Is(err, ErrNoMessage) {
			t.Errorf("again: %v", err)
		}
	}
	return errEnd
}

// unchanged tells whether a failed call has done nothing: not here, and not on
// the disk as a later start would find it.
func (p *promises) unchanged(t *testing.T, s *Spool, before Stat) {
	t.Helper()
	later := openOn(t, s.disk.(*faultyDisk).after(everything))
	for _, s := range []*Spool{s, later} {
		after, err := s.Stat("alice")
		if err != nil || after.Messages != before.Messages || after.Octets != before.Octets || after.Waiting > before.Waiting {
			t.Errorf("a failed call changed %+v to %+v, %v", before, after, err)
		}
	}
}

func TestAFullDiskMidMessageIsAClearErrorAndLeavesNothing(t *testing.T) {
	d := newFaultyDisk(nil)
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := deliver("a")(s, newPromises()); err != nil {
		t.Fatal(err)
	}
	d.faulty = func(int) error {
		if strings.HasPrefix(d.ops[len(d.ops)-1], "write") {
			return syscall.ENOSPC
		}
		return nil
	}
	for range 3 {
		if _, err := s.Deliver("alice", Source{}, io.LimitReader(strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20)); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("error is %v", err)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Errorf("left in tmp: %v", left)
		}
	}
	if n := len(mustMessages(t, s, "alice")); n != 1 {
		t.Errorf("%d messages", n)
	}
}
