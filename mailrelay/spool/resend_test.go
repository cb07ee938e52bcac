package spool

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const identified = "Date: today\r\nMessage-ID: <1@pc>\r\nSubject: x\r\n\r\nbody\r\n"

func letterTo(at time.Time, to ...string) Envelope {
	return Envelope{User: "alice", From: "alice@x", To: to, Accepted: at}
}

func tryAccept(s *Spool, env Envelope, body string) (Envelope, error) {
	return s.Accept(env, strings.NewReader(body))
}

func mustKnow(t *testing.T, s *Spool, env Envelope, body, id string) {
	t.Helper()
	again, err := tryAccept(s, env, body)
	if !errors.Is(err, ErrResent) || again.ID != id {
		t.Errorf("handed in again: %q, %v; want %q", again.ID, err, id)
	}
}

func mustBeNew(t *testing.T, s *Spool, env Envelope, body string) Envelope {
	t.Helper()
	env, err := tryAccept(s, env, body)
	if err != nil {
		t.Errorf("taken for a resend: %v", err)
	}
	return env
}

func TestAMessageHandedInAgainIsKnownWhileItWaitsAfterItWentAndAfterRestarts(t *testing.T) {
	d := newFaultyDisk(nil)
	open1 := func() *Spool { return openOn(t, d.after(syncedOnly)) }
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	env := mustBeNew(t, s, letterTo(noon, "b@x", "c@x"), identified)
	later := letterTo(noon.Add(24*time.Hour-time.Second), "c@x", "b@x")
	mustKnow(t, s, later, identified, env.ID)
	mustKnow(t, open1(), later, identified, env.ID)
	// Some have got it; the rest waits.
	left := env
	left.To = []string{"c@x"}
	if err := s.Update(left); err != nil {
		t.Fatal(err)
	}
	mustKnow(t, s, later, identified, env.ID)
	mustKnow(t, open1(), later, identified, env.ID)
	if err := s.Sent(env.ID); err != nil {
		t.Fatal(err)
	}
	mustKnow(t, s, later, identified, env.ID)
	mustKnow(t, open1(), later, identified, env.ID)
	if q, _ := open1().Queue(); len(q) != 0 {
		t.Errorf("queue %v", q)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
	mustBeNew(t, s, letterTo(noon.Add(24*time.Hour), "b@x", "c@x"), identified)
}

func TestOnlyTheSameMessageToTheSameRecipientsIsAResend(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	env := mustBeNew(t, s, letterTo(noon, "b@x"), identified)
	// Clients of some makes write the date and other fields anew.
	mustKnow(t, s, letterTo(noon, "b@x"), strings.Replace(identified, "today", "later", 1), env.ID)
	mustKnow(t, s, letterTo(noon, "b@x"), strings.Replace(identified, "Message-ID: ", "message-id:\r\n\t", 1), env.ID)
	mustBeNew(t, s, letterTo(noon, "c@x"), identified)
	mustBeNew(t, s, letterTo(noon, "b@x", "c@x"), identified)
	mustBeNew(t, s, Envelope{User: "bob", From: "alice@x", To: []string{"b@x"}, Accepted: noon}, identified)
	mustBeNew(t, s, Envelope{User: "alice", From: "a@x", To: []string{"b@x"}, Accepted: noon}, identified)
	mustBeNew(t, s, letterTo(noon, "b@x"), strings.Replace(identified, "<1@", "<2@", 1))
	mustBeNew(t, s, letterTo(noon, "b@x"), identified+"more\r\n")
}

func TestWithoutAMessageIDOnlyTheSameOctetsWithinMinutesAreAResend(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	bare := "Subject: alarm\r\n\r\ndoor 3\r\n"
	env := mustBeNew(t, s, letterTo(noon, "b@x"), bare)
	mustKnow(t, s, letterTo(noon.Add(14*time.Minute), "b@x"), bare, env.ID)
	mustBeNew(t, s, letterTo(noon, "b@x"), strings.Replace(bare, "alarm", "all clear", 1))
	mustBeNew(t, s, letterTo(noon.Add(15*time.Minute), "b@x"), bare)
}

func TestWhatCameBackToItsSenderIsNoResend(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	whole := mustBeNew(t, s, letterTo(noon, "b@x"), identified)
	if err := s.Remove(whole.ID); err != nil {
		t.Fatal(err)
	}
	again := mustBeNew(t, s, letterTo(noon, "b@x"), identified)
	again.Bounced = true
	if err := s.Update(again); err != nil {
		t.Fatal(err)
	}
	third := mustBeNew(t, s, letterTo(noon, "b@x"), identified)
	third.Bounced = true
	if err := errors.Join(s.Update(third), s.Sent(third.ID)); err != nil {
		t.Fatal(err)
	}
	mustBeNew(t, openOn(t, s.disk.(*faultyDisk).after(everything)), letterTo(noon, "b@x"), identified)
}

func TestTheMemoryOfSentMessagesEndsWithTheWindow(t *testing.T) {
	d := newFaultyDisk(nil)
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		env := mustBeNew(t, s, letterTo(noon.Add(time.Duration(i)*time.Hour), "b@x"), fmt.Sprintf("Message-ID: <%d>\r\n\r\n", i))
		if err := s.Sent(env.ID); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := d.list("/queue"); len(names) != 24 || len(s.queue.resends.recent) != 24 || len(s.queue.resends.sent) != 24 {
		t.Errorf("%d files, %d and %d in memory; want 24", len(names), len(s.queue.resends.recent), len(s.queue.resends.sent))
	}
}

func TestTwoSessionsThatHandInTheSameAtOnceMakeOneEntry(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() { _, errs[i] = tryAccept(s, letterTo(noon, "b@x"), identified) })
	}
	wg.Wait()
	taken := 0
	for _, err := range errs {
		if err == nil {
			taken++
		} else if !errors.Is(err, ErrResent) {
			t.Error(err)
		}
	}
	if q, _ := s.Queue(); taken != 1 || len(q) != 1 {
		t.Errorf("%d taken, %d in the queue", taken, len(q))
	}
}

func TestAFailedAcceptIsNotRemembered(t *testing.T) {
	d := newFaultyDisk(nil)
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	d.faulty = func(int) error {
		if strings.HasPrefix(d.ops[len(d.ops)-1], "rename") {
			return errors.New("input/output error")
		}
		return nil
	}
	if _, err := tryAccept(s, letterTo(noon, "b@x"), identified); err == nil || errors.Is(err, ErrResent) {
		t.Fatal(err)
	}
	d.faulty = nil
	mustBeNew(t, s, letterTo(noon, "b@x"), identified)
}

func FuzzFingerprintIsTheSameHoweverTheMessageComesInPieces(f *testing.F) {
	f.Add("Message-ID: <a>\r\n\r\nbody")
	f.Add("\r\nbody")
	f.Add("Subject: x\nMessage-Id:\n <b>\n\nbody\n\n")
	f.Add("no end of the header")
	f.Fuzz(func(t *testing.T, message string) {
		whole, pieces := newDigest(), newDigest()
		io.WriteString(whole, message)
		io.Copy(struct{ io.Writer }{pieces}, iotest.OneByteReader(strings.NewReader(message)))
		a, idA := whole.mark(Envelope{})
		b, idB := pieces.mark(Envelope{})
		if a != b || idA != idB || len(a) != markLength {
			t.Errorf("%q %v and %q %v", a, idA, b, idB)
		}
	})
}

func TestAHeaderWithoutEndMakesTheSameFingerprintInAnyPieces(t *testing.T) {
	message := strings.Repeat("X: y\r\n", maxDigestHeader/6) + "Z: z\r\n\r\nbody\r\n"
	marks := map[string]bool{}
	for _, size := range []int{1, 999, len(message)} {
		d := newDigest()
		for rest := message; rest != ""; {
			n := min(size, len(rest))
			io.WriteString(d, rest[:n])
			rest = rest[n:]
		}
		mark, _ := d.mark(Envelope{})
		marks[mark] = true
	}
	if len(marks) != 1 {
		t.Errorf("fingerprints %v", marks)
	}
}
