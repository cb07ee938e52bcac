package spool

import (
	"errors"
	"strings"
	"testing"
)

func TestAQuotaHoldsForMailboxAndQueueTogetherAndForOneUserOnly(t *testing.T) {
	d := newFaultyDisk(nil)
	limits := map[string]Quota{"alice": {Octets: 100}, "bob": {Messages: 2}}
	s, err := open("/", Options{Quota: func(user string) Quota { return limits[user] }}, d)
	if err != nil {
		t.Fatal(err)
	}
	mustDeliver(t, s, "alice", Source{"isp", "a"}, strings.Repeat("x", 60))
	if err := s.Fits("alice", 40, 1); err != nil {
		t.Error(err)
	}
	if err := s.Fits("alice", 41, 1); !errors.Is(err, ErrQuota) || !strings.Contains(err.Error(), "60 of 100 octets") {
		t.Errorf("%v", err)
	}
	if _, err := tryAccept(s, letterTo(noon, "b@x"), strings.Repeat("y", 41)); !errors.Is(err, ErrQuota) {
		t.Errorf("accepted: %v", err)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
	// What was refused is not remembered as accepted.
	limits["alice"] = Quota{Octets: 101}
	env := mustBeNew(t, s, letterTo(noon, "b@x"), strings.Repeat("y", 41))
	// Full: but who was accepted hears so again, and the box can tell the user.
	mustKnow(t, s, letterTo(noon, "b@x"), strings.Repeat("y", 41), env.ID)
	mustDeliver(t, s, "alice", Source{UID: "bounce"}, "returned")

	for _, uid := range []string{"a", "b"} {
		if err := s.Fits("bob", 1<<40, 1); err != nil {
			t.Error(err)
		}
		mustDeliver(t, s, "bob", Source{"isp", uid}, "x")
	}
	if err := s.Fits("bob", 0, 1); !errors.Is(err, ErrQuota) || !strings.Contains(err.Error(), "2 of 2 messages") {
		t.Errorf("%v", err)
	}
	if err := s.Fits("carol", 1<<40, 1000); err != nil {
		t.Error(err)
	}
}
