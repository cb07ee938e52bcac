package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"postern/internal/status"
)

// story tells what happens as it happens, a line a step.
type story struct {
	began time.Time

	mu sync.Mutex
	w  io.Writer
}

func newStory(w io.Writer) *story {
	return &story{began: time.Now(), w: w}
}

// tell writes one step: when, who, what.
func (s *story) tell(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "%7.2f s  %-9s %s\n", time.Since(s.began).Seconds(), who, fmt.Sprintf(format, args...))
}

// say writes lines that are no step.
func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// event tells what the caller's end of the call reports.
func (s *story) event(e status.Event) {
	switch e := e.(type) {
	case status.CallConnected:
		s.tell("modems", "trained: %s", e.Result)
	case status.CallAuthenticated:
		s.tell("ppp", "logged in as %s by %s; %s", e.User, e.Method, passwordWords(e.Method))
	case status.CallEncrypted:
		if e.Cipher == "" {
			s.tell("ppp", "the line is no longer encrypted")
		} else {
			s.tell("ppp", "the line is encrypted: %s", e.Cipher)
		}
	case status.CallIPUp:
		s.tell("ppp", "IP is up; the box is at %v", e.Peer)
	}
}

func (s *story) summary(r demoResult) {
	encryption := r.Encryption
	if encryption == "" {
		encryption = "none: the mail crossed the phone line in clear text"
	}
	s.say("\n%s\n", strings.Repeat("-", 64))
	for _, row := range [][2]string{
		{"phone line", fmt.Sprintf("%d bit/s, %d bytes up, %d bytes down", r.ConnectRate, r.BytesUp, r.BytesDown)},
		{"log-in", r.Auth},
		{"encryption", encryption},
		{"upstream", r.UpstreamTLS + ", certificate verified"},
		{"fetched", fmt.Sprintf("%d messages, every byte as the provider had it", r.Fetched)},
		{"sent", fmt.Sprintf("%d messages, every byte arrived at the provider", r.Sent)},
		{"took", fmt.Sprintf("%.1f s from dialling to hanging up", r.Seconds)},
		{"the end", r.Verdict},
	} {
		s.say("  %-11s %s", row[0], row[1])
	}
	s.say("")
}
