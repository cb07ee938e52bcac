package status

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// keepEnded bounds the ended calls that a Snapshot remembers; the page shows
// them all and the box must not grow over years of calls.
const keepEnded = 20

// keepRefused bounds the refused numbers likewise: a stranger can make up any
// number of them.
const keepRefused = 10

// CallID numbers the calls of one run of the box, from 1. 0 is "no call".
type CallID uint64

// LineState is where a line is in its day.
type LineState int

// The states of a line, in the order in which a call walks through them.
const (
	LineAbsent      LineState = iota // its port is not there (unplugged)
	LineStarting                     // the modem's init dialogue runs
	LineReady                        // waiting for RING
	LineRinging                      // RING seen, not yet answered
	LineTraining                     // ATA sent, waiting for CONNECT
	LineNegotiating                  // carrier up, PPP not yet
	LineOnline                       // the caller reaches the mail services
	LineHangingUp                    // the call is being cleared
	LineFault                        // the modem does not do as told; Detail says what
)

var lineStates = [...]string{"absent", "starting", "ready", "ringing", "training", "negotiating", "online", "hanging up", "fault"}

// String is the word the page and the console show.
func (s LineState) String() string { return word(lineStates[:], s) }

// MarshalText is String: programs get words that stay when states are added.
func (s LineState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *LineState) UnmarshalText(b []byte) error { return parseWord(s, lineStates[:], b) }

func word[T ~int](words []string, n T) string {
	if n < 0 || int(n) >= len(words) {
		return "unknown"
	}
	return words[n]
}

func parseWord[T ~int](into *T, words []string, b []byte) error {
	n := slices.Index(words, string(b))
	if n < 0 {
		return fmt.Errorf("status: %q is none of %q", b, words)
	}
	*into = T(n)
	return nil
}

// Direction of mail between the box and a provider.
type Direction int

// Fetch is from the provider to the box, Submit the other way.
const (
	Fetch Direction = iota
	Submit
)

// String is "fetch" or "submit".
func (d Direction) String() string {
	if d == Submit {
		return "submit"
	}
	return "fetch"
}

// Side says who brought an end about.
type Side int

// The three parties of a call.
const (
	Us   Side = iota // this box
	Peer             // the caller's PPP
	Wire             // the telephone line or the modem
)

var sides = [...]string{"this box", "the caller", "the line"}

// String is the word used in sentences: "this box", "the caller", "the line".
func (s Side) String() string { return word(sides[:], s) }

// MarshalText is String.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Side) UnmarshalText(b []byte) error { return parseWord(s, sides[:], b) }

// Verdict is how a call ended: whose doing, a stable code for programs
// ("peer-hangup", "auth-failed", "carrier-lost", ...), and one sentence for people.
type Verdict struct {
	Side Side
	Code string
	Text string
}

// Line is one telephone line.
type Line struct {
	Name   string
	State  LineState
	Detail string
	Since  time.Time
	Call   CallID // 0 when no call is on it
}

// Call is one telephone call, running or ended.
type Call struct {
	ID          CallID
	Line        string
	Number      string
	Started     time.Time
	Connected   time.Time
	IPUp        time.Time
	Ended       time.Time
	Rate        int    // bit/s
	Result      string // the modem's CONNECT line
	User        string
	Method      string
	Cipher      string // empty: the phone line is not encrypted
	Compression string // empty: packets go as they are
	Client      string // what software is calling, as far as it can be told
	Peer        netip.Addr
	Up, Down    int64 // bytes on the line; Up is from the caller
	Verdict     Verdict
}

// Leg is one direction of the way to a provider.
type Leg struct {
	Upstream string
	Fault    string // empty: works
	TLS      string
	Since    time.Time // of the present state
	Last     time.Time // of the last attempt
}

// User is one mailbox owner.
type User struct {
	Name     string
	Messages int
	Octets   int64
	Queued   int
	NextTry  time.Time
	Fetch    Leg
	Submit   Leg
}

// Refused is a number from which too many log-ins have failed.
type Refused struct {
	Number       string
	Since, Until time.Time
}

// String is the sentence for the page and the console.
func (r Refused) String() string {
	return fmt.Sprintf("Log-ins from %s are refused until %s, since too many failed; who has logged in from there before still can.",
		r.Number, r.Until.Format("2006-01-02 15:04"))
}

// Counters only grow.
type Counters struct {
	Calls              int64
	BytesUp, BytesDown int64
	Fetched            int64
	Accepted           int64
	Submitted          int64
	Bounced            int64
}

// Snapshot is the state of the whole box at one moment. It is a value: a
// watcher may keep it and compare it with a later one.
type Snapshot struct {
	Lines    []Line    // in the order of the configuration
	Calls    []Call    // running, oldest first
	Ended    []Call    // newest first, at most keepEnded
	Users    []User    // by name
	Refused  []Refused // newest first, at most keepRefused; some may be over
	Counters Counters
}

// Clone returns a Snapshot that shares no memory with s.
func (s Snapshot) Clone() Snapshot {
	s.Lines = slices.Clone(s.Lines)
	s.Calls = slices.Clone(s.Calls)
	s.Ended = slices.Clone(s.Ended)
	s.Users = slices.Clone(s.Users)
	s.Refused = slices.Clone(s.Refused)
	return s
}

func (s *Snapshot) line(name string) *Line {
	for i := range s.Lines {
		if s.Lines[i].Name == name {
			return &s.Lines[i]
		}
	}
	s.Lines = append(s.Lines, Line{Name: name})
	return &s.Lines[len(s.Lines)-1]
}

func (s *Snapshot) find(id CallID) int {
	return slices.IndexFunc(s.Calls, func(c Call) bool { return c.ID == id })
}

func (s *Snapshot) call(id CallID, change func(*Call)) {
	if i := s.find(id); i >= 0 {
		change(&s.Calls[i])
	}
}

func (s *Snapshot) user(name string) *User {
	i, found := slices.BinarySearchFunc(s.Users, name, func(u User, n string) int {
		switch {
		case u.Name < n:
			return -1
		case u.Name > n:
			return 1
		}
		return 0
	})
	if !found {
		s.Users = slices.Insert(s.Users, i, User{Name: name})
	}
	return &s.Users[i]
}
