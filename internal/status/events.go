package status

import (
	"net/netip"
	"slices"
	"time"
)

// Event is one thing that happened. The set is closed: every event lives in
// this file, because the Snapshot must know how to fold each of them in.
type Event interface {
	apply(*Snapshot)
}

// LineChanged says that a telephone line entered a new state. Detail is one
// sentence for a person, required for LineFault ("modem on /dev/ttyUSB0 did
// not answer ATZ within 5 s; check its power and cable") and optional else.
type LineChanged struct {
	At     time.Time
	Line   string
	State  LineState
	Detail string
}

// CallStarted says that a line rang and the box is about to answer.
type CallStarted struct {
	At     time.Time
	Call   CallID
	Line   string
	Number string // caller ID as the modem reported it, empty if none came
}

// CallConnected says that the modems have trained. Rate is in bit/s, 0 if the
// CONNECT result carried none; Result is the modem's own line.
type CallConnected struct {
	At     time.Time
	Call   CallID
	Rate   int
	Result string
}

// CallAuthenticated says who is calling and how that was proved
// ("MS-CHAPv2", "PAP", ...).
type CallAuthenticated struct {
	At     time.Time
	Call   CallID
	User   string
	Method string
}

// CallEncrypted says what protects the phone line: "MPPE 128 bit, stateless".
// A call that never posts it is not encrypted.
type CallEncrypted struct {
	At     time.Time
	Call   CallID
	Cipher string
}

// CallCompressed says what shortens the packets of a call: "MPPC", "Deflate".
// Empty: nothing any more.
type CallCompressed struct {
	At          time.Time
	Call        CallID
	Compression string
}

// CallRecognised says what software seems to be calling: "Windows 98".
type CallRecognised struct {
	At     time.Time
	Call   CallID
	Client string
}

// CallIPUp says that the caller can reach the mail services from Peer.
type CallIPUp struct {
	At   time.Time
	Call CallID
	Peer netip.Addr
}

// CallTraffic carries the bytes of a call so far, counted on the line
// (after framing and escaping). Up is from the caller to the box.
type CallTraffic struct {
	Call     CallID
	Up, Down int64
}

// NumberRefused says that too many log-ins from a number have failed, and until
// when further ones are not judged.
type NumberRefused struct {
	At     time.Time
	Number string
	Until  time.Time
}

// CallEnded closes a call with the one sentence that says who ended it and why.
type CallEnded struct {
	At      time.Time
	Call    CallID
	Verdict Verdict
}

// MailboxChanged gives the number and total octets of the messages that wait
// in a user's mailbox on the box.
type MailboxChanged struct {
	User     string
	Messages int
	Octets   int64
}

// QueueChanged gives the number of accepted messages of a user that wait to be
// submitted upstream. NextTry is zero when nothing waits.
type QueueChanged struct {
	User    string
	Waiting int
	NextTry time.Time
}

// MailFetched says that messages arrived from upstream and are on disk.
type MailFetched struct {
	At       time.Time
	User     string
	Messages int
	Octets   int64
}

// MailAccepted says that a caller's message is durably in the queue.
type MailAccepted struct {
	At     time.Time
	User   string
	Octets int64
}

// MailSubmitted says that upstream took a message of the user.
type MailSubmitted struct {
	At     time.Time
	User   string
	Octets int64
}

// MailBounced says that upstream refused a message for good and that its
// sender has been told. Reason is the server's own reply.
type MailBounced struct {
	At     time.Time
	User   string
	Reason string
}

// UpstreamChanged reports one leg (user, direction) of the way to a provider.
// Fault is empty when the leg works, else one sentence that says what failed,
// on whose side, and what to do. TLS names the version and suite last used.
type UpstreamChanged struct {
	At        time.Time
	User      string
	Upstream  string
	Direction Direction
	Fault     string
	TLS       string
}

func (e LineChanged) apply(s *Snapshot) {
	l := s.line(e.Line)
	l.State, l.Detail, l.Since = e.State, e.Detail, e.At
}

func (e CallStarted) apply(s *Snapshot) {
	s.Counters.Calls++
	s.Calls = append(s.Calls, Call{ID: e.Call, Line: e.Line, Number: e.Number, Started: e.At})
	s.line(e.Line).Call = e.Call
}

func (e CallConnected) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.Connected, c.Rate, c.Result = e.At, e.Rate, e.Result })
}

func (e CallAuthenticated) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.User, c.Method = e.User, e.Method })
}

func (e CallEncrypted) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.Cipher = e.Cipher })
}

func (e CallCompressed) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.Compression = e.Compression })
}

func (e CallRecognised) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.Client = e.Client })
}

func (e CallIPUp) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) { c.IPUp, c.Peer = e.At, e.Peer })
}

func (e CallTraffic) apply(s *Snapshot) {
	s.call(e.Call, func(c *Call) {
		s.Counters.BytesUp += e.Up - c.Up
		s.Counters.BytesDown += e.Down - c.Down
		c.Up, c.Down = e.Up, e.Down
	})
}

func (e NumberRefused) apply(s *Snapshot) {
	s.Refused = slices.DeleteFunc(s.Refused, func(r Refused) bool { return r.Number == e.Number })
	s.Refused = slices.Insert(s.Refused, 0, Refused{Number: e.Number, Since: e.At, Until: e.Until})
	if len(s.Refused) > keepRefused {
		s.Refused = s.Refused[:keepRefused]
	}
}

func (e CallEnded) apply(s *Snapshot) {
	i := s.find(e.Call)
	if i < 0 {
		return
	}
	done := s.Calls[i]
	done.Ended, done.Verdict = e.At, e.Verdict
	s.Calls = append(s.Calls[:i:i], s.Calls[i+1:]...)
	s.Ended = append([]Call{done}, s.Ended...)
	if len(s.Ended) > keepEnded {
		s.Ended = s.Ended[:keepEnded]
	}
	if l := s.line(done.Line); l.Call == done.ID {
		l.Call = 0
	}
}

func (e MailboxChanged) apply(s *Snapshot) {
	u := s.user(e.User)
	u.Messages, u.Octets = e.Messages, e.Octets
}

func (e QueueChanged) apply(s *Snapshot) {
	u := s.user(e.User)
	u.Queued, u.NextTry = e.Waiting, e.NextTry
}

func (e MailFetched) apply(s *Snapshot)   { s.Counters.Fetched += int64(e.Messages) }
func (e MailAccepted) apply(s *Snapshot)  { s.Counters.Accepted++ }
func (e MailSubmitted) apply(s *Snapshot) { s.Counters.Submitted++ }
func (e MailBounced) apply(s *Snapshot)   { s.Counters.Bounced++ }

func (e UpstreamChanged) apply(s *Snapshot) {
	u := s.user(e.User)
	leg := &u.Fetch
	if e.Direction == Submit {
		leg = &u.Submit
	}
	if leg.Fault != e.Fault || leg.Since.IsZero() {
		leg.Since = e.At
	}
	leg.Upstream, leg.Fault, leg.Last = e.Upstream, e.Fault, e.At
	if e.TLS != "" {
		leg.TLS = e.TLS
	}
}
