package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup"
	"postern/internal/config"
	"postern/internal/status"
	"postern/ppp"
)

// newCallers are alice, who must be encrypted, and what change makes of it.
func newCallers(t *testing.T, change func(*config.Config)) (*callers, *status.Board, *strings.Builder) {
	t.Helper()
	require := config.EncryptionRequire
	cfg := &config.Config{StateDir: t.TempDir(), Users: []config.User{
		{Name: "alice", DialPassword: config.NewSecret("wonderland"), Encryption: &require},
	}}
	cfg.PPP.GuessLimit, cfg.PPP.MinPassword = 10, 8
	if change != nil {
		change(cfg)
	}
	passwords, err := config.OpenPasswords(filepath.Join(cfg.StateDir, "passwords.json"), cfg.Users)
	if err != nil {
		t.Fatal(err)
	}
	board, log := &status.Board{}, &strings.Builder{}
	return &callers{cfg: cfg, passwords: passwords, guard: newGuard(cfg.PPP.GuessLimit), post: board.Post, log: newLog(log, slog.LevelDebug)}, board, log
}

func pap(name, password string) ppp.AuthRequest {
	return ppp.AuthRequest{Method: ppp.PAP, Name: name, Password: password}
}

func TestACallerIsFoundHoweverTheNameIsTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newCallers(t, nil)
		for _, tc := range []struct {
			name, password string
			user           string
			ok             bool
		}{
			{"alice", "wonderland", "alice", true},
			{"ALICE", "wonderland", "alice", true},
			{`OFFICE\Alice`, "wonderland", "alice", true},
			{"alice", "Wonderland", "alice", false},
			{"alice", "", "alice", false},
			{"bob", "wonderland", "", false},
			{"", "", "", false},
		} {
			user, answer := c.Authenticate(t.Context(), home, pap(tc.name, tc.password))
			if user != tc.user || answer.OK != tc.ok {
				t.Errorf("%q with %q is %q, let in: %v", tc.name, tc.password, user, answer.OK)
			}
			if answer.OK && (answer.Encryption == nil || *answer.Encryption != ppp.EncryptionRequire) {
				t.Errorf("%q: the user's own encryption policy is not in the answer", tc.name)
			}
		}
	})
}

func TestAGuesserIsSlowedDownAndThenRefusedAndSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, board, log := newCallers(t, func(cfg *config.Config) { cfg.PPP.GuessLimit = 4 })
		begun := time.Now()
		for range 4 {
			if _, answer := c.Authenticate(t.Context(), stranger, pap("alice", "guess")); answer.OK || answer.Code != 691 {
				t.Fatalf("a guess is answered %+v", answer)
			}
		}
		if waited := time.Since(begun); waited != 7*time.Second {
			t.Errorf("four guesses took %v", waited)
		}
		// Even the right password: a guesser must not learn that it is.
		if _, answer := c.Authenticate(t.Context(), stranger, pap("alice", "wonderland")); answer.OK || answer.Code != 649 || !strings.Contains(answer.Message, "an hour") {
			t.Errorf("the fifth is answered %+v", answer)
		}
		if _, answer := c.Authenticate(t.Context(), home, pap("alice", "wonderland")); !answer.OK {
			t.Error("alice is locked out at home")
		}
		if r := board.Snapshot().Refused; len(r) != 1 || r[0].Number != stranger.Number || !strings.Contains(r[0].String(), "5550666") {
			t.Errorf("the page shows %v", r)
		}
		if !strings.Contains(log.String(), "number is refused") || strings.Contains(log.String(), "guess") || strings.Contains(log.String(), "wonderland") {
			t.Errorf("the log says %s", log)
		}
		time.Sleep(time.Hour)
		if _, answer := c.Authenticate(t.Context(), stranger, pap("alice", "wonderland")); !answer.OK {
			t.Error("the number is refused for longer than an hour")
		}
	})
}

func TestACallThatEndsDoesNotWaitForItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newCallers(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun := time.Now()
		for range 9 {
			c.Authenticate(ctx, dialup.Origin{Line: "line1"}, pap("alice", "guess"))
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("it waited %v", waited)
		}
	})
}
