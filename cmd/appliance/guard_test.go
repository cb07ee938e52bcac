package main

import (
	"fmt"
	"testing"
	"time"

	"postern/dialup"
)

var (
	guardNoon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	home      = dialup.Origin{Line: "line1", Number: "5550199"}
	stranger  = dialup.Origin{Line: "line1", Number: "5550666"}
	withheld  = dialup.Origin{Line: "line1"}
)

func TestAnswersToFailuresWaitLongerAndLonger(t *testing.T) {
	g := newGuard(10)
	var waits []string
	for range 8 {
		wait, _ := g.failed(guardNoon, withheld, "alice")
		waits = append(waits, wait.String())
	}
	if got := fmt.Sprint(waits); got != "[0s 1s 2s 4s 8s 8s 8s 8s]" {
		t.Errorf("the answers wait %s", got)
	}
	if wait, _ := g.failed(guardNoon.Add(time.Hour), withheld, "alice"); wait != 0 {
		t.Errorf("an hour later an answer waits %v", wait)
	}
	if wait, _ := g.failed(guardNoon, dialup.Origin{Line: "line2"}, "alice"); wait != 0 {
		t.Errorf("an answer on another line waits %v", wait)
	}
}

func TestANumberThatGuessesIsRefusedForAnHour(t *testing.T) {
	g := newGuard(3)
	now := guardNoon
	for i := range 3 {
		if !g.refused(now, stranger, "alice").IsZero() {
			t.Fatalf("refused after %d failures", i)
		}
		now = now.Add(time.Minute)
		_, until := g.failed(now, stranger, "alice")
		if want := i == 2; until.IsZero() == want {
			t.Errorf("after failure %d it is refused until %v", i+1, until)
		}
	}
	elsewhere := stranger
	elsewhere.Line = "line2"
	for _, user := range []string{"alice", "bob", ""} {
		if g.refused(now, elsewhere, user).IsZero() {
			t.Errorf("%q is judged on another line, from the same number", user)
		}
	}
	if until := g.refused(now.Add(time.Hour), stranger, "alice"); !until.IsZero() {
		t.Errorf("an hour later it is refused until %v", until)
	}
	if _, until := g.failed(now.Add(time.Hour), stranger, "alice"); !until.IsZero() {
		t.Error("and the first failure is one too many")
	}
}

func TestFailuresOfOthersHinderNobodyWhoHasLoggedInBefore(t *testing.T) {
	for _, from := range []dialup.Origin{home, withheld} {
		g := newGuard(3)
		g.succeeded(guardNoon, from, "alice")
		for range 20 {
			g.failed(guardNoon, from, "bob")
			g.failed(guardNoon, from, "")
		}
		if until := g.refused(guardNoon, from, "alice"); !until.IsZero() {
			t.Errorf("%+v: alice is refused until %v", from, until)
		}
		if wait, _ := g.failed(guardNoon, from, "alice"); wait != 0 {
			t.Errorf("%+v: alice's first typing error waits %v", from, wait)
		}
		for range 20 { // somebody with alice's telephone, or with a forged number
			g.failed(guardNoon, from, "alice")
		}
		if until := g.refused(guardNoon, from, "alice"); !until.IsZero() {
			t.Errorf("%+v: alice is locked out until %v", from, until)
		}
		if wait, _ := g.failed(guardNoon, from, "alice"); wait != guardPatience && from == withheld {
			t.Errorf("guesses at alice wait %v", wait)
		}
	}
}

func TestGuessingFromElsewhereNeverLocksAName(t *testing.T) {
	g := newGuard(3)
	for i := range 1000 {
		g.failed(guardNoon, dialup.Origin{Line: "line1", Number: fmt.Sprint(5550200 + i/4)}, "alice")
	}
	if until := g.refused(guardNoon, home, "alice"); !until.IsZero() {
		t.Errorf("alice, who never logged in from home, is refused until %v", until)
	}
}

func TestCallsWithoutANumberAreNeverRefused(t *testing.T) {
	g := newGuard(3)
	for range 100 {
		if _, until := g.failed(guardNoon, withheld, "alice"); !until.IsZero() {
			t.Fatal("the line is refused")
		}
	}
	if until := g.refused(guardNoon, withheld, "bob"); !until.IsZero() {
		t.Errorf("bob is refused until %v", until)
	}
}

func TestALogInForgivesTheTypingErrorsBeforeIt(t *testing.T) {
	g := newGuard(3)
	for range 10 {
		g.failed(guardNoon, home, "alice")
		g.failed(guardNoon, home, "alice")
		g.succeeded(guardNoon, home, "alice")
	}
	if until := g.refused(guardNoon, home, "bob"); !until.IsZero() {
		t.Errorf("the number is refused until %v", until)
	}
	g.failed(guardNoon, home, "bob")
	g.failed(guardNoon, home, "bob")
	g.succeeded(guardNoon, home, "alice") // forgives alice's, not the guesses at bob
	if _, until := g.failed(guardNoon, home, "bob"); until.IsZero() {
		t.Error("a user with a password of its own may guess others' for ever")
	}
}

func TestALimitOfZeroRefusesNoNumber(t *testing.T) {
	g := newGuard(0)
	for range 100 {
		if _, until := g.failed(guardNoon, home, "alice"); !until.IsZero() {
			t.Fatal("the number is refused")
		}
	}
}

func TestTheGuardForgetsTheOldestFirst(t *testing.T) {
	g := newGuard(2)
	for i := range 3 * guardPlaces {
		from := dialup.Origin{Number: fmt.Sprint(i)}
		now := guardNoon.Add(time.Duration(i) * time.Millisecond)
		g.failed(now, from, "")
		g.failed(now, from, "")
		g.succeeded(now, from, "alice")
	}
	if len(g.places) != guardPlaces || len(g.pairs) != guardPairs {
		t.Errorf("it remembers %d places and %d pairs", len(g.places), len(g.pairs))
	}
	if g.refused(guardNoon.Add(time.Minute), dialup.Origin{Number: fmt.Sprint(3*guardPlaces - 1)}, "").IsZero() {
		t.Error("the newest is forgotten")
	}
}
