package ppp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"postern/ppp/hdlc"
	"postern/ppp/mschap"
)

// phase is the phase of RFC 1661 section 3.2. Its order is the order in which a
// session goes through them; only a restarted LCP leads back.
type phase int

const (
	phaseEstablish phase = iota
	phaseAuthenticate
	phaseCallback // CBCP, between the two
	phaseNetwork
	phaseTerminate
	phaseDead
)

// Session is one end of one call. It is not safe for concurrent use.
//
// EventEnded comes with the peer's Terminate-Request, as the call is over then. Its owner writes the
// Output that waits, our Terminate-Ack; to go on with Input and Advance as long as there is a
// Deadline answers a peer that did not get it.
type Session struct {
	cfg   Config
	now   time.Time
	phase phase
	pace  pace

	lcp, ccp, ipcp automaton
	ipv6cp         automaton
	link           *lcpLayer
	crypt          *ccpLayer
	net            *ipcpLayer
	net6           *ipv6Layer

	auth       party       // the authentication under way or done; nil if none
	judging    bool        // an EventAuth waits for its Answer,
	abandoned  bool        // which no longer matters, as LCP started again
	method     AuthMethod  // by which the caller was authenticated,
	user       string      // and under which name
	tries      int         // log-ins refused in this call,
	refusal    Reason      // and why the last one was
	offer      Callback    // of the box, or of this user
	known      bool        // user is set: a second log-in must be the same person
	keys       mschap.Keys // what the authentication yielded for MPPE
	encryption Policy      // of the box, or of this user
	peerIP     netip.Addr  // likewise

	callback *callbackServer // nil if the caller did not ask in CBCP
	heldIPCP []byte          // a request of the peer's that came before encryption was up

	deframer hdlc.Deframer
	out      []byte // waits for the line
	scratch  []byte // a packet being built
	sealed   []byte // and encrypted
	header   [4]byte
	rejectID byte

	events []Event
	next   int    // the first event not taken yet
	rx     []byte // what the packets in events point into

	heardAt time.Time // when the last sign of the peer came,
	goodAt  time.Time // and the last good frame
	echoes  int       // sent since
	badFCS  uint64    // bad frames noticed so far
	echoID  byte
	quality monitor
	setupBy time.Time // IP must be up by then; zero once it is

	cause  Reason // the first cause of the end
	told   bool   // EventEnded is out
	counts Counts
}

// Counts is what a Session has seen since it began. They only grow.
type Counts struct {
	Line        hdlc.Counts // frames, good and bad
	Ignored     uint64      // packets that made no sense where they came
	Unencrypted uint64      // IP packets dropped since they came in clear
	Undecrypted uint64      // encrypted packets lost to MPPE's loss of step
	Overflow    uint64      // replies not sent because the line did not keep up
	Quality     Quality     // what Link Quality Monitoring tells
}

// The bounds on what waits for the line, in octets. A flood of requests is answered only
// as far as the line keeps up; the packets of the retry timers come again.
const (
	maxReplies = 8 << 10
	maxOut     = 32 << 10
)

// New starts a session, with LCP's first packet. now is the time; all later calls
// give a later one.
func New(cfg Config, now time.Time) *Session {
	s := &Session{cfg: cfg.withDefaults(), now: now, heardAt: now, goodAt: now}
	s.setupBy = now.Add(s.cfg.SetupLimit)
	s.pace.slow = 2 * airtime(controlFrame, cfg.LineRate)
	s.link, s.crypt, s.net, s.net6 = newLCP(s), &ccpLayer{s: s}, &ipcpLayer{s: s}, &ipv6Layer{s: s}
	s.quality.s = s
	s.lcp = s.automaton(protoLCP, s.link)
	s.ccp = s.automaton(protoCCP, s.crypt)
	s.ipcp = s.automaton(protoIPCP, s.net)
	s.ipv6cp = s.automaton(protoIPv6CP, s.net6)
	s.deframer.ACCM = allControls
	s.lcp.open()
	s.lcp.on(evUp)
	if s.phase == phaseTerminate { // there was no randomness for a magic number
		s.lcp.close()
	}
	return s
}

// Format implements fmt.Formatter, so that no verb prints what a Session knows.
func (s *Session) Format(f fmt.State, _ rune) { io.WriteString(f, "ppp.Session") }

// Input takes bytes from the line, however they are cut. It never fails: what makes no
// sense is counted and dropped. Packets in events not yet taken are lost.
func (s *Session) Input(now time.Time, wire []byte) {
	s.now = now
	s.forgetPackets()
	for s.phase != phaseDead {
		var frame []byte
		frame, wire = s.deframer.Next(wire)
		if bad := s.deframer.Counts().BadFCS; bad != s.badFCS {
			s.badFCS = bad
			s.spoiled()
			s.net.lost()
		}
		if frame == nil {
			return
		}
		s.quality.in.count(len(frame))
		s.frame(frame)
	}
}

// Output appends all bytes that wait for the line to dst.
func (s *Session) Output(dst []byte) []byte {
	dst = append(dst, s.out...)
	s.out = s.out[:0]
	return dst
}

// NextEvent takes the oldest event. Its Kind is NoEvent if there is none.
func (s *Session) NextEvent() Event {
	if s.next == len(s.events) {
		s.events, s.next = s.events[:0], 0
		return Event{}
	}
	e := s.events[s.next]
	s.events[s.next] = Event{}
	s.next++
	return e
}

// Deadline returns when Advance is next due; zero if never.
func (s *Session) Deadline() time.Time {
	if s.phase == phaseDead {
		return time.Time{}
	}
	var d time.Time
	for _, t := range [...]time.Time{s.lcp.timer, s.ccp.timer, s.ipcp.timer, s.ipv6cp.timer, s.authTimer(), s.callbackTimer(), s.qualityTimer(), s.echoTimer(), s.setupBy} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

// Advance runs the timers that are due.
func (s *Session) Advance(now time.Time) {
	s.now = now
	if s.phase == phaseDead {
		return
	}
	if !s.setupBy.IsZero() && !now.Before(s.setupBy) && s.phase < phaseTerminate {
		s.setupBy = time.Time{}
		s.end(Reason{Line, CodeSetupTimeout, fmt.Sprintf("IP was not up after %v", s.cfg.SetupLimit)})
	}
	s.echo()
	if s.lcp.state == opened && s.phase < phaseTerminate {
		s.quality.expire()
	}
	if s.auth != nil && s.phase < phaseTerminate {
		s.auth.expire()
	}
	if s.callback != nil && s.phase == phaseCallback {
		s.callback.expire()
	}
	s.ipcp.expire(now)
	s.ipv6cp.expire(now)
	s.ccp.expire(now)
	s.lcp.expire(now)
}

// Close ends the session: in order if the line still carries bytes, at once if
// why is the line's (carrier lost). EventEnded follows, with the first cause.
func (s *Session) Close(now time.Time, why Reason) {
	s.now = now
	if why.Side == Line {
		s.blame(why)
		s.die()
		return
	}
	s.end(why)
}

// Ident returns what the peer calls itself in LCP Identification (RFC 1570), newest
// last.
func (s *Session) Ident() []string { return s.link.ident }

// TimeRemaining tells the peer how long the call may still last, and why (RFC 1570 section 2.2).
// It is a courtesy, which binds nobody and which few peers show. The result is false if LCP is not up.
func (s *Session) TimeRemaining(now time.Time, left time.Duration, message string) bool {
	s.now = now
	if s.lcp.state != opened || s.phase >= phaseTerminate {
		return false
	}
	const forever = 1<<32 - 1
	seconds := uint32(min(max(left/time.Second, 0), forever-1))
	s.lcp.id++
	data := binary.BigEndian.AppendUint32(s.link.magicNow(), seconds)
	s.send(protoLCP, packet{codeTimeRemaining, s.lcp.id, append(data, clipText(message)...)})
	return true
}

// Counts returns the counts so far.
func (s *Session) Counts() Counts {
	c := s.counts
	c.Line, c.Quality = s.deframer.Counts(), s.quality.quality
	c.Ignored += uint64(s.lcp.bad + s.ccp.bad + s.ipcp.bad + s.ipv6cp.bad)
	return c
}

// them is what the texts call the peer.
func (s *Session) them() string {
	if s.cfg.Role == Answerer {
		return "the caller"
	}
	return "the answering side"
}

// blame sets the cause of the end, if none came first.
func (s *Session) blame(r Reason) {
	if s.cause.IsZero() {
		s.cause = r
	}
}

// end begins an orderly end: LCP's Terminate-Request says why.
func (s *Session) end(r Reason) {
	s.blame(r)
	if s.phase >= phaseTerminate {
		return
	}
	s.phase = phaseTerminate
	s.setupBy = time.Time{}
	s.lcp.farewell = []byte(r.Text)
	s.lcp.close()
}

// die is the very end.
func (s *Session) die() {
	if s.phase == phaseDead {
		return
	}
	s.phase = phaseDead
	s.auth, s.callback = nil, nil
	s.forgetSecrets()
	s.tell()
}

// tell says that the session has ended. There is nothing more to say.
func (s *Session) tell() {
	if !s.told {
		s.emit(Event{Kind: EventEnded, Reason: s.cause})
	}
	s.told = true
}

// leave follows a peer that ends an opened link; what remains is to acknowledge it.
func (s *Session) leave() {
	s.phase, s.setupBy = phaseTerminate, time.Time{}
	s.tell()
}

func (s *Session) forgetSecrets() {
	s.keys = mschap.Keys{}
	s.crypt.tx, s.crypt.rx = nil, nil
}

func (s *Session) emit(e Event) {
	if !s.told {
		s.events = append(s.events, e)
	}
}

// forgetPackets makes room for the packets of the next Input.
func (s *Session) forgetPackets() {
	s.rx = s.rx[:0]
	keep := s.events[:0]
	for _, e := range s.events[s.next:] {
		if e.Kind != EventPacket {
			keep = append(keep, e)
		}
	}
	s.events, s.next = keep, 0
}

func (s *Session) clock() time.Time { return s.now }

// random fills b. Without randomness there is no session.
func (s *Session) random(b []byte) bool {
	if _, err := io.ReadFull(s.cfg.Rand, b); err != nil {
		s.end(Reason{Us, CodeNoRandomness, fmt.Sprintf("no random bytes for a challenge: %v", err)})
		return false
	}
	return true
}

func (s *Session) authTimer() time.Time {
	if s.auth == nil || s.phase >= phaseTerminate {
		return time.Time{}
	}
	return s.auth.timer()
}

func (s *Session) callbackTimer() time.Time {
	if s.callback == nil || s.phase != phaseCallback {
		return time.Time{}
	}
	return s.callback.timer()
}
