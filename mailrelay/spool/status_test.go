package spool

import (
	"errors"
	"strings"
	"testing"
)

func setStatus(s *Spool, state string) error {
	return s.SetStatus("alice", state, strings.NewReader("state "+state+"\r\n"))
}

// mustShow checks which state the mailbox tells of, and that once.
func mustShow(t *testing.T, s *Spool, states ...string) {
	t.Helper()
	var got []string
	for _, m := range mustMessages(t, s, "alice") {
		if state, ok := statusState(m); ok {
			got = append(got, state)
		}
	}
	if len(got) > 1 || strings.Join(got, ",") != strings.Join(states, ",") {
		t.Fatalf("status messages %q, want %q", got, states)
	}
}

func TestThereIsOneStatusMessageWithAUIDOfItsOwnForEachState(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	mustDeliver(t, s, "alice", Source{"isp", "a"}, "x")
	uids := map[string]bool{}
	for _, state := range []string{"down", "down", "refused", "down", ""} {
		if err := setStatus(s, state); err != nil {
			t.Fatal(err)
		}
		if state == "" {
			mustShow(t, s)
			break
		}
		mustShow(t, s, state)
		ms := mustMessages(t, s, "alice")
		uids[ms[len(ms)-1].UID] = true
		if got, ok, err := s.Status("alice"); !ok || got != state || err != nil {
			t.Errorf("status %q, %v, %v", got, ok, err)
		}
	}
	if len(uids) != 3 {
		t.Errorf("UIDs %v", uids)
	}
	if d, _ := s.Deletions("alice", "isp"); len(d) != 0 || len(mustMessages(t, s, "alice")) != 1 {
		t.Errorf("other mail was touched: %v", d)
	}
}

func TestAStatusMessageIsNotTakenFromUnderASession(t *testing.T) {
	s := openOn(t, newFaultyDisk(nil))
	if err := setStatus(s, "down"); err != nil {
		t.Fatal(err)
	}
	drop := mustLock(t, s, "alice")
	for _, state := range []string{"refused", ""} {
		if err := setStatus(s, state); !errors.Is(err, ErrLocked) {
			t.Errorf("%q: %v", state, err)
		}
	}
	mustShow(t, s, "down")
	drop.Unlock()
	if err := setStatus(s, ""); err != nil {
		t.Fatal(err)
	}
	mustShow(t, s)
}

func TestNoKillLeavesTwoStatusMessages(t *testing.T) {
	for at := 1; ; at++ {
		d := newFaultyDisk(func(op int) error {
			if op >= at {
				return errDead
			}
			return nil
		})
		s, err := open("/", Options{}, d)
		for _, state := range []string{"a", "b", "a", ""} {
			if err == nil {
				err = setStatus(s, state)
			}
		}
		if len(d.ops) < at {
			return
		}
		for what := range survivorEnd {
			again := openOn(t, d.after(what))
			state, _, err := again.Status("alice")
			if err != nil {
				t.Fatal(err)
			}
			if state == "" {
				mustShow(t, again)
			} else {
				mustShow(t, again, state)
			}
			if err := setStatus(again, "c"); err != nil {
				t.Fatal(err)
			}
			mustShow(t, again, "c")
		}
	}
}
