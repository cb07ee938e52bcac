package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustOpen(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func reopen(t *testing.T, s *Spool) *Spool {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, s.dir)
}

func mustDeliver(t *testing.T, s *Spool, user string, src Source, body string) Message {
	t.Helper()
	m, err := s.Deliver(user, src, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustMessages(t *testing.T, s *Spool, user string) []Message {
	t.Helper()
	ms, err := s.Messages(user)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func mustLock(t *testing.T, s *Spool, user string) *Maildrop {
	t.Helper()
	m, err := s.Lock(user)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustRead(t *testing.T, r io.ReadCloser, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// leftovers are the files that only an unfinished write may leave.
func leftovers(t *testing.T, s *Spool) []string {
	t.Helper()
	names, err := s.disk.list(filepath.Join(s.dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestMessagesComeBackOctetForOctetInTheOrderOfArrival(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	bodies := []string{"Subject: a\r\n\r\nb\r\n", "", string(all), "lone\rand\nbare\n.\n", strings.Repeat("x", 300000)}
	var want []Message
	for i, b := range bodies {
		want = append(want, mustDeliver(t, s, "alice", Source{"isp", fmt.Sprint("u", i)}, b))
	}
	for range 2 {
		if got := mustMessages(t, s, "alice"); !slices.Equal(got, want) {
			t.Fatalf("messages are\n%v, want\n%v", got, want)
		}
		drop := mustLock(t, s, "alice")
		for i, m := range drop.Messages() {
			r, err := drop.Open(m.UID)
			if got := mustRead(t, r, err); got != bodies[i] || m.Size != int64(len(bodies[i])) {
				t.Errorf("message %d of %d octets came back as %d octets, size %d", i, len(bodies[i]), len(got), m.Size)
			}
		}
		s = reopen(t, s)
	}
}

func TestUIDsAreUniqueForEverEvenWhenAllMailIsDeletedBetween(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	seen := make(map[string]bool)
	last := ""
	for range 20 {
		m := mustDeliver(t, s, "alice", Source{}, "x")
		if seen[m.UID] || m.UID <= last {
			t.Fatalf("UID %s after %s", m.UID, last)
		}
		if len(m.UID) > 70 || strings.ContainsFunc(m.UID, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			t.Fatalf("UID %q is none of RFC 1939", m.UID)
		}
		seen[m.UID], last = true, m.UID
		drop := mustLock(t, s, "alice")
		if err := drop.Delete([]string{m.UID}); err != nil {
			t.Fatal(err)
		}
		drop.Unlock()
		s = reopen(t, s)
	}
}

func TestDeletionsWaitForUpstreamAndAreNotFetchedAgain(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	a := mustDeliver(t, s, "alice", Source{"isp", "A"}, "a")
	mustDeliver(t, s, "alice", Source{"isp", "B"}, "b")
	bounce := mustDeliver(t, s, "alice", Source{}, "bounce")
	drop := mustLock(t, s, "alice")
	if err := drop.Delete([]string{a.UID, bounce.UID}); err != nil {
		t.Fatal(err)
	}
	drop.Unlock()

	check := func(wantKnown, wantDeleted string) {
		t.Helper()
		for range 2 { // also after a restart
			known, err := s.Known("alice", "isp")
			if err != nil {
				t.Fatal(err)
			}
			var uids []string
			for uid := range known {
				uids = append(uids, uid)
			}
			slices.Sort(uids)
			deleted, err := s.Deletions("alice", "isp")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(uids, " "); got != wantKnown {
				t.Errorf("known are %q, want %q", got, wantKnown)
			}
			if got := strings.Join(deleted, " "); got != wantDeleted {
				t.Errorf("deletions are %q, want %q", got, wantDeleted)
			}
			s = reopen(t, s)
		}
	}
	check("A B", "A")
	if _, err := s.Deliver("alice", Source{"isp", "A"}, strings.NewReader("a")); !errors.Is(err, ErrKnown) {
		t.Errorf("a deleted message could be delivered again: %v", err)
	}
	if err := s.Gone("alice", "isp", "A", "never heard of"); err != nil {
		t.Fatal(err)
	}
	check("B", "")
	if err := s.Gone("alice", "isp", "B"); err != nil {
		t.Fatal(err)
	}
	check("B", "") // it is still here, and the same message if listed again
	if ms := mustMessages(t, s, "alice"); len(ms) != 1 || ms[0].Source.UID != "B" {
		t.Errorf("mailbox holds %v", ms)
	}
	if n := len(leftovers(t, s)); n != 0 {
		t.Errorf("%d files left in tmp", n)
	}
}

func TestDeleteOfAnUnknownUIDDeletesNothing(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	a := mustDeliver(t, s, "alice", Source{}, "a")
	drop := mustLock(t, s, "alice")
	if err := drop.Delete([]string{a.UID, "0000000099-AAAAAAAAAAAAA"}); !errors.Is(err, ErrNoMessage) {
		t.Errorf("error is %v", err)
	}
	if _, err := drop.Open("../../lock"); !errors.Is(err, ErrNoMessage) {
		t.Errorf("a path could be opened as a message: %v", err)
	}
	if len(mustMessages(t, s, "alice")) != 1 {
		t.Error("message was deleted")
	}
}

func TestOneSessionHoldsAMailboxAndDeliveryGoesOn(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustDeliver(t, s, "alice", Source{}, "a")
	drop := mustLock(t, s, "alice")
	if _, err := s.Lock("alice"); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	mustLock(t, s, "bob").Unlock()
	mustDeliver(t, s, "alice", Source{}, "b")
	if n := len(drop.Messages()); n != 1 {
		t.Errorf("a session's list grew to %d", n)
	}
	drop.Unlock()
	if n := len(mustLock(t, s, "alice").Messages()); n != 2 {
		t.Errorf("the next session sees %d messages", n)
	}
}

func TestASecondProcessIsToldThatTheSpoolIsInUse(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	_, err := Open(s.dir, Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("error is %v", err)
	}
	mustDeliver(t, s, "alice", Source{}, "a")
}

func TestHostileUserNamesStayInsideAndApart(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	names := []string{
		"alice", "Alice", "alice@example.org", "", ".", "..", "../x", "/etc/passwd", "a/b", "a\x00b", "%", "%%", "%2e",
		"ü", "u\u0308", strings.Repeat("a", 120), strings.Repeat("a", 121), strings.Repeat("/", 5000), strings.Repeat("a", 5000), "aux", "a\nb", " ",
	}
	for _, name := range names {
		mustDeliver(t, s, name, Source{}, name)
	}
	dirs := make(map[string]bool)
	for _, name := range names {
		drop := mustLock(t, s, name)
		if len(drop.Messages()) != 1 {
			t.Fatalf("%q has %d messages: it shares a mailbox", name, len(drop.Messages()))
		}
		r, err := drop.Open(drop.Messages()[0].UID)
		if mustRead(t, r, err) != name {
			t.Errorf("%q has another's mail", name)
		}
		dirs[strings.ToLower(dirName(name))] = true
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) || len(dirs) != len(names) {
		t.Errorf("%d names made %d directories, %d if case is folded", len(names), len(entries), len(dirs))
	}
}

func TestPoisonedFilesAreSetAsideAndTheRestIsServed(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustDeliver(t, s, "alice", Source{}, "good")
	if _, err := s.Accept(Envelope{User: "alice"}, strings.NewReader("good")); err != nil {
		t.Fatal(err)
	}
	poison := map[string]string{
		"mail/alice/0000000002-AAAAAAAAAAAAA":       "",
		"mail/alice/0000000003-AAAAAAAAAAAAA":       "no line end",
		"mail/alice/0000000004-AAAAAAAAAAAAA":       "not json\nbody",
		"mail/alice/0000000005-AAAAAAAAAAAAA":       `{"upstream": 5}` + "\nbody",
		"mail/alice/hello":                          "{}\nbody",
		"mail/alice/journal":                        "{\n",
		"queue/0000000002-AAAAAAAAAAAAA.mail":       "\x00\x00\x00\x00",
		"queue/0000000002-AAAAAAAAAAAAA.somewhat":   "{}\n",
		"queue/notes.txt":                           "{}\n",
		"queue/-AAAAAAAAAAAAA.state":                "{}\n",
		"tmp/half":                                  "half",
		"queue/0000000009-AAAAAAAAAAAAA.state":      "{}\n", // rest of a removal
		"mail/alice/99999999999-AAAAAAAAAAAAA":      "{}\n",
		"mail/alice/000000000x-AAAAAAAAAAAAA":       "{}\n",
		"mail/alice/0000000006-AAAAAAAAAAAAAAAAAAA": "{}\n",
	}
	for name, content := range poison {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s)
	if ms := mustMessages(t, s, "alice"); len(ms) != 1 || ms[0].Size != 4 {
		t.Errorf("messages are %v", ms)
	}
	if q, _ := s.Queue(); len(q) != 1 || q[0].Size != 4 {
		t.Errorf("queue is %v", q)
	}
	aside, err := os.ReadDir(filepath.Join(s.dir, "aside"))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(poison) - 2; len(aside) != want {
		t.Errorf("%d files were set aside, want %d: %v", len(aside), want, aside)
	}
	if n := len(leftovers(t, s)); n != 0 {
		t.Errorf("%d files left in tmp", n)
	}
	if m := mustDeliver(t, s, "alice", Source{}, "next"); mustMessages(t, s, "alice")[1] != m {
		t.Error("delivery does not go on")
	}
}

func TestQueueKeepsEnvelopesAndBodiesAcrossRestarts(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	var ids []string
	for i := range 3 {
		env, err := s.Accept(Envelope{User: "alice", From: "alice@example.org", To: []string{"b@c", "d@e"}, EightBit: true, Accepted: at}, strings.NewReader(fmt.Sprint("body ", i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, env.ID)
	}
	env, _ := s.Queue()
	env[1].Attempts, env[1].Next, env[1].LastError, env[1].To = 2, at.Add(time.Hour), "451 later", []string{"d@e"}
	if err := s.Update(env[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ids[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Queue()
		if err != nil || len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(env[1]) || fmt.Sprint(got[1]) != fmt.Sprint(env[2]) {
			t.Fatalf("queue is %v, %v", got, err)
		}
		r, err := s.OpenQueued(ids[1])
		if body := mustRead(t, r, err); body != "body 1" || got[0].Size != 6 {
			t.Errorf("body %q, size %d", body, got[0].Size)
		}
		if st, err := s.Stat("alice"); err != nil || st.Waiting != 2 || !st.NextTry.IsZero() {
			t.Errorf("stat is %+v, %v", st, err)
		}
		s = reopen(t, s)
	}
	for _, err := range []error{s.Update(Envelope{ID: ids[0]}), s.Remove(ids[0])} {
		if !errors.Is(err, ErrNoMessage) {
			t.Errorf("a removed message: %v", err)
		}
	}
	if _, err := s.OpenQueued("../lock"); !errors.Is(err, ErrNoMessage) {
		t.Errorf("a path could be opened as a message: %v", err)
	}
	if err := s.Remove(ids[1]); err != nil {
		t.Fatal(err)
	}
	if names, _ := s.disk.list(filepath.Join(s.dir, "queue")); len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

// broken gives some octets and then an error, as a line that drops.
type broken struct{ left int }

var errLine = errors.New("line dropped")

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errLine
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

func TestABodyCutShortLeavesNothing(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	if _, err := s.Deliver("alice", Source{"isp", "1"}, &broken{100000}); !errors.Is(err, errLine) {
		t.Errorf("deliver: %v", err)
	}
	if _, err := s.Accept(Envelope{User: "alice"}, &broken{100000}); !errors.Is(err, errLine) {
		t.Errorf("accept: %v", err)
	}
	if _, err := s.Deliver("alice", Source{"isp", "1"}, Limit(strings.NewReader("12345"), 4)); !errors.Is(err, ErrTooBig) {
		t.Errorf("too big: %v", err)
	}
	if n := len(leftovers(t, s)); n != 0 {
		t.Errorf("%d files left in tmp", n)
	}
	if st, err := s.Stat("alice"); err != nil || st != (Stat{}) {
		t.Errorf("something was kept: %+v %v", st, err)
	}
	if _, err := s.Deliver("alice", Source{"isp", "1"}, Limit(strings.NewReader("1234"), 4)); err != nil {
		t.Errorf("as big as allowed: %v", err)
	}
}

func TestChangedIsCalledAfterEachChangeWithTheSpoolUnlocked(t *testing.T) {
	var s *Spool
	var story []string
	s, err := Open(t.TempDir(), Options{Changed: func(user string) {
		st, err := s.Stat(user)
		story = append(story, fmt.Sprint(user, " ", st.Messages, " ", st.Octets, " ", st.Waiting, " ", err))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := mustDeliver(t, s, "alice", Source{}, "12345")
	env, err := s.Accept(Envelope{User: "alice"}, strings.NewReader("1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(env); err != nil {
		t.Fatal(err)
	}
	if err := mustLock(t, s, "alice").Delete([]string{m.UID}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(env.ID); err != nil {
		t.Fatal(err)
	}
	want := "alice 1 5 0 <nil>,alice 1 5 1 <nil>,alice 1 5 1 <nil>,alice 0 0 1 <nil>,alice 0 0 0 <nil>"
	if got := strings.Join(story, ","); got != want {
		t.Errorf("heard\n%s, want\n%s", got, want)
	}
}

func TestManyWritersAndReadersAtOnce(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	const writers, each = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				src := Source{"isp", fmt.Sprint(w, "-", i)}
				if _, err := s.Deliver("alice", src, strings.NewReader(src.UID)); err != nil {
					t.Error(err)
				}
				if _, err := s.Accept(Envelope{User: "alice"}, strings.NewReader(src.UID)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	deleted := 0
	wg.Go(func() {
		for deleted < writers*each/2 {
			drop, err := s.Lock("alice")
			if err != nil {
				t.Error(err)
				return
			}
			for _, m := range drop.Messages() {
				if err := drop.Delete([]string{m.UID}); err != nil {
					t.Error(err)
				}
				deleted++
			}
			drop.Unlock()
		}
	})
	wg.Wait()
	s = reopen(t, s)
	ms := mustMessages(t, s, "alice")
	q, _ := s.Queue()
	if len(ms)+deleted != writers*each || len(q) != writers*each {
		t.Errorf("%d here, %d deleted, %d queued", len(ms), deleted, len(q))
	}
	if !slices.IsSortedFunc(ms, func(a, b Message) int { return strings.Compare(a.UID, b.UID) }) {
		t.Error("not in order")
	}
}

func TestAFullDiskIsRefusedBeforeDeletionsCouldNotBeWritten(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Reserve: 1 << 62, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Deliver("alice", Source{}, strings.NewReader("x")); !errors.Is(err, ErrFull) {
		t.Errorf("deliver: %v", err)
	}
	if _, err := s.Accept(Envelope{User: "alice"}, strings.NewReader("x")); !errors.Is(err, ErrFull) {
		t.Errorf("accept: %v", err)
	}
}
