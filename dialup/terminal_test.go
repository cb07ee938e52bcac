package dialup

import (
	"strings"
	"testing"
	"time"
)

var dawn = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// typeAt types at a terminal session and returns what it says.
func typeAt(t *terminal, s string) string {
	t.input(dawn, []byte(s))
	return string(t.output(nil))
}

func TestAPasswordIsNotEchoedAndTheMenuAnswers(t *testing.T) {
	s := newTerminal("post.office", true, dawn)
	if got := typeAt(s, ""); got != "\r\npost.office login: " {
		t.Errorf("the prompt is %q", got)
	}
	if got := typeAt(s, "alicx\be\r"); got != "alicx\b \be\r\nPassword: " {
		t.Errorf("a name is answered %q", got)
	}
	if got := typeAt(s, "wonderx\bland\r"); got != "\r\n" {
		t.Errorf("a password is answered %q", got)
	}
	if s.next() != judgeLogin || s.name != "alice" || s.password != "wonderland" {
		t.Errorf("%q with %q is to be judged", s.name, s.password)
	}
	if got := typeAt(s, "typed too early\r"); got != "" {
		t.Errorf("what was typed while the log-in was judged is answered %q", got)
	}
	s.judged(dawn, "Alice", true)
	if got := typeAt(s, ""); s.password != "" || !strings.Contains(got, "Welcome, Alice. This is post.office.") || !strings.HasSuffix(got, "Alice> ") {
		t.Errorf("the welcome is %q", got)
	}
	for typed, want := range map[string]string{"3\r": "You are Alice, on post.office.", "Who am I\r": "You are Alice", "help\r": "2  start PPP", "\r": "Alice> "} {
		if got := typeAt(s, typed); !strings.Contains(got, want) {
			t.Errorf("%q is answered %q", typed, got)
		}
	}
	typeAt(s, "1\r")
	if s.next() != showMailbox {
		t.Error("1 does not ask for the mailbox")
	}
	s.told(dawn, "Nothing waits.")
	if got := typeAt(s, ""); got != "Nothing waits.\r\n\r\nAlice> " {
		t.Errorf("the mailbox is %q", got)
	}
	if got := typeAt(s, "ppp\r"); s.next() != startPPP || !strings.Contains(got, "Starting PPP.") {
		t.Errorf("ppp is answered %q", got)
	}
	s.ask(dawn, inMenu)
	if got := typeAt(s, "bye\r"); s.next() != endCall || s.reason.Code != "peer-hangup" || !strings.Contains(got, "Goodbye") {
		t.Errorf("bye is answered %q, %v", got, s.reason)
	}
}

func TestGuessingAtTheTerminalIsSlowAndEnds(t *testing.T) {
	s := newTerminal("post.office", true, dawn)
	now := dawn
	for try := range loginTries {
		s.input(now, []byte("alice\rguess\r"))
		if s.next() != judgeLogin {
			t.Fatalf("try %d is not judged", try+1)
		}
		s.judged(now, "alice", false)
		s.output(nil)
		s.input(now, []byte("alice\rguess\r"))
		if s.next() != noWish || s.due() != now.Add(refusedWait) {
			t.Fatalf("after try %d the next is due at %v", try+1, s.due().Sub(now))
		}
		now = s.due()
		s.advance(now)
		if got := string(s.output(nil)); !strings.Contains(got, "Login incorrect") || strings.Contains(got, "guess") {
			t.Errorf("a wrong password is answered %q", got)
		}
	}
	if s.next() != endCall || s.reason.Code != "auth-failed" {
		t.Errorf("after %d tries the call ends for %v", loginTries, s.reason)
	}
}

func TestATerminalDoesNotWaitForEver(t *testing.T) {
	s := newTerminal("post.office", true, dawn)
	s.advance(s.due())
	if s.next() != endCall || s.reason.Code != codeLoginTimeout {
		t.Errorf("without log-in the call ends for %v", s.reason)
	}
	s = newTerminal("post.office", true, dawn)
	typeAt(s, "alice\rwonderland\r")
	s.next()
	s.judged(dawn, "alice", true)
	s.advance(s.due().Add(-1))
	if s.next() != noWish {
		t.Error("the menu has ended early")
	}
	s.advance(s.due())
	if s.next() != endCall || s.reason.Code != "idle-limit" {
		t.Errorf("without a key the call ends for %v", s.reason)
	}
}

// Where no PAP is allowed, no password is typed either.
func TestNoPasswordIsTypedWhereNoneMayBeSentInClear(t *testing.T) {
	s := newTerminal("post.office", false, dawn)
	if got := typeAt(s, "alice\rwonderland\r"); !strings.Contains(got, "takes no typed passwords") || strings.Contains(got, "alice") || s.next() != noWish {
		t.Errorf("it says %q", got)
	}
}

func FuzzTerminal(f *testing.F) {
	f.Add("alice\rwonderland\r1\r2\r", true)
	f.Add("\x15\x7f\b\x04\r\r\r", false)
	f.Fuzz(func(t *testing.T, typed string, ok bool) {
		s := newTerminal("post.office", true, dawn)
		s.output(nil)
		const secret = "\x01never shown"
		s.key(dawn, 'x')
		s.enter(dawn, "mallory")
		s.output(nil)
		if got := typeAt(s, secret[1:]); got != "" {
			t.Fatalf("a password is echoed as %q", got)
		}
		typeAt(s, "\r")
		s.next()
		s.judged(dawn, "mallory", ok)
		s.advance(s.due())
		out := 0
		for i := range len(typed) {
			out += len(typeAt(s, typed[i:i+1]))
			switch s.next() {
			case judgeLogin:
				s.judged(dawn, s.name, ok)
			case showMailbox:
				s.told(dawn, "Nothing waits.")
			}
			if len(s.line) > typedMax {
				t.Fatalf("keeps %d characters", len(s.line))
			}
		}
		if most := 500 * (len(typed) + 1); out > most {
			t.Errorf("%d bytes typed are answered with %d", len(typed), out)
		}
	})
}
