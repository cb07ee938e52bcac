package mailrelay

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

// health keeps one status message in the mailbox of every user whose mail does
// not come or go, so that a caller learns of it without the page: what does not
// work, since when, and what to do, in the words of status.UpstreamChanged. The
// spool remembers the state in the message itself, so it outlasts a restart.
type health struct {
	hostname string
	after    time.Duration // that a fault lasts before it is told; negative: no message ever
	now      func() time.Time
	legs     map[legName]bool // that there are

	mu    sync.Mutex
	users map[string]*userHealth
}

type userHealth struct {
	legs  map[legName]*legHealth // those with a fault
	shown string                 // the state of the status message
}

type legHealth struct {
	Upstream  string    `json:"upstream"`
	Direction string    `json:"direction"`
	Since     time.Time `json:"since"`
	Fault     string    `json:"fault"`

	told bool // for a person at once, or the message says it already
}

// healthState is the state of a status message. It is another every day, so that
// whoever deletes the message is told again while the fault lasts.
type healthState struct {
	Days int         `json:"days"`
	Legs []legHealth `json:"legs"`
}

// needsPerson says that waiting does not help: a log-in that is refused, a
// certificate that cannot be trusted.
func needsPerson(f *fault) bool {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		pinned    errPinned
	)
	return f.auth || errors.As(f.err, &authority) || errors.As(f.err, &name) || errors.As(f.err, &invalid) ||
		errors.As(f.err, &roots) || errors.As(f.err, &pinned)
}

// note takes down how a leg stands, f nil when it works, and sees to the status
// message. What it cannot do now, because a session has the mailbox, it does
// when a leg is heard of next.
func (h *health) note(sp UpstreamSpool, leg legName, f *fault) error {
	if h.after < 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	user, err := h.user(sp, leg.user)
	if err != nil {
		return err
	}
	now := h.now()
	user.note(leg, f, now)
	state := user.state(now, h.after)
	want := state.String()
	if want == user.shown {
		return nil
	}
	err = sp.SetStatus(leg.user, want, bytes.NewReader(h.message(leg.user, state, now)))
	if errors.Is(err, spool.ErrLocked) {
		return nil
	}
	if err == nil {
		user.shown = want
	}
	return err
}

// user is what is known of a user; at first, what the status message in his
// mailbox says.
func (h *health) user(sp UpstreamSpool, name string) (*userHealth, error) {
	if u := h.users[name]; u != nil {
		return u, nil
	}
	shown, _, err := sp.Status(name)
	if err != nil {
		return nil, err
	}
	u := &userHealth{legs: make(map[legName]*legHealth), shown: shown}
	var state healthState
	if json.Unmarshal([]byte(shown), &state) == nil {
		for _, l := range state.Legs {
			direction := status.Fetch
			if l.Direction == status.Submit.String() {
				direction = status.Submit
			}
			l.told = true
			if leg := (legName{name, l.Upstream, direction}); h.legs[leg] {
				u.legs[leg] = &l
			}
		}
	}
	h.users[name] = u
	return u, nil
}

func (u *userHealth) note(leg legName, f *fault, now time.Time) {
	if f == nil {
		delete(u.legs, leg)
		return
	}
	l := u.legs[leg]
	// What began before the box knew the date began now.
	if l == nil || !ClockPlausible(l.Since) && ClockPlausible(now) {
		l = &legHealth{Upstream: leg.upstream, Direction: leg.direction.String(), Since: now}
		u.legs[leg] = l
	}
	l.Fault = f.text
	l.told = l.told || needsPerson(f)
}

// state is what the user is to be told.
func (u *userHealth) state(now time.Time, after time.Duration) (s healthState) {
	for _, l := range u.legs {
		if l.told = l.told || now.Sub(l.Since) >= after; l.told {
			s.Legs = append(s.Legs, *l)
			s.Days = max(s.Days, int(now.Sub(l.Since).Hours()/24))
		}
	}
	slices.SortFunc(s.Legs, func(a, b legHealth) int {
		return strings.Compare(a.Direction+" "+a.Upstream, b.Direction+" "+b.Upstream)
	})
	return s
}

// String is empty if there is nothing to tell.
func (s healthState) String() string {
	if len(s.Legs) == 0 {
		return ""
	}
	text, _ := json.Marshal(s) // strings and times of these years always marshal
	return string(text)
}

// message is the status message, with CR LF line ends.
func (h *health) message(user string, s healthState, now time.Time) []byte {
	var m bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&m, format+"\r\n", args...) }
	sum := sha256.Sum256([]byte(s.String()))
	line("Return-Path: <>")
	line("From: %s <MAILER-DAEMON@%s>", mime.QEncoding.Encode("utf-8", "Mail Box Status"), h.hostname)
	line("To: <%s@%s>", legible(user, 100), h.hostname)
	line("Subject: Status: %s", s.subject())
	line("Date: %s", now.Format(time.RFC1123Z))
	line("Message-ID: <status-%x@%s>", sum[:8], h.hostname)
	line("Auto-Submitted: auto-generated") // RFC 3834
	line("MIME-Version: 1.0")
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	line("This message was written by %s itself. It is taken away when", h.hostname)
	line("all works again.")
	for _, l := range s.Legs {
		line("")
		line("%s has a fault since %s:", l.doing(), l.Since.Format(time.RFC1123Z))
		line("")
		line("  %s", legible(l.Fault, 900)) // RFC 5322 section 2.1.1: 998 octets
	}
	line("")
	line("What you send meanwhile is kept on the box and goes out later. The person")
	line("who looks after the box sees the same words.")
	return m.Bytes()
}

func (s healthState) subject() string {
	var what []string
	for _, l := range s.Legs {
		word := "fetching"
		if l.Direction == status.Submit.String() {
			word = "sending"
		}
		if !slices.Contains(what, word) {
			what = append(what, word)
		}
	}
	return strings.Join(what, " and ") + " mail has a fault"
}

func (l legHealth) doing() string {
	if l.Direction == status.Submit.String() {
		return "Sending mail through " + legible(l.Upstream, 80)
	}
	return "Fetching mail from " + legible(l.Upstream, 80)
}
