package ppp

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Callback is a set of what a caller may choose from that asks about callback. Windows asks by
// default ("Request LCP extensions", Q143200) and is content with CallbackNone.
type Callback uint8

const (
	CallbackNone   Callback = 1 << iota // to go on with this call
	CallbackPreset                      // to be called at the number that is kept for the user
	CallbackNamed                       // to be called at a number that the caller names
)

// CallbackRequest is what a caller has agreed to be called back at.
type CallbackRequest struct {
	Number string        // as the caller wrote it, 1 to 32 dialling characters; empty: the one kept for the user
	Delay  time.Duration // to be waited before dialling, so that the caller's modem is ready
}

// The operations of LCP's callback option (RFC 1570 section 2.3).
const (
	callbackByUser byte = 0 // the number follows from who the caller is
	callbackDial   byte = 1 // a dialling string
	callbackE164   byte = 3 // a telephone number
	callbackCBCP   byte = 6 // ask in CBCP, after the log-in
)

// The codes and option types of [MS-CBCP] section 2.2. Its messages have the form of LCP's packets,
// and its options that of LCP's options.
const (
	cbcpRequest  byte = 1 // the answerer's list
	cbcpResponse byte = 2 // the caller's choice
	cbcpAck      byte = 3

	cbcpNone   byte = 1
	cbcpNamed  byte = 2 // delay in seconds, address type, address with a zero octet behind it
	cbcpPreset byte = 3 // delay

	cbcpTelephone byte = 1 // address type
)

const maxNumber = 32

// phoneNumber returns what can be dialled in b. What a modem takes for a command or an end of
// line is no number.
func phoneNumber(b []byte) (string, bool) {
	if len(b) == 0 || len(b) > maxNumber {
		return "", false
	}
	for _, c := range b {
		if strings.IndexByte("0123456789*#+-()., ", c) < 0 {
			return "", false
		}
	}
	return string(b), true
}

// callsBack reports whether callback is spoken of at all.
func (l *lcpLayer) callsBack() bool { return l.s.cfg.Role == Answerer && l.s.cfg.Callback != 0 }

// grantsCallback reports whether LCP's callback option can be agreed to. Whether this user may
// have it is known only after the log-in.
func (l *lcpLayer) grantsCallback(o option) bool {
	if len(o.data) == 0 {
		return false
	}
	switch _, dials := phoneNumber(o.data[1:]); o.data[0] {
	case callbackCBCP:
		return len(o.data) == 1
	case callbackByUser:
		return len(o.data) == 1 && l.s.cfg.Callback&CallbackPreset != 0
	case callbackDial, callbackE164:
		return dials && l.s.cfg.Callback&CallbackNamed != 0
	}
	return false
}

// loggedIn goes on once it is known who calls.
func (s *Session) loggedIn() {
	offer := s.cfg.Callback
	if s.known && s.offer != 0 {
		offer = s.offer
	}
	asked := s.link.peer.callback
	switch {
	case len(asked) == 0:
		s.startNetwork()
	case asked[0] == callbackCBCP:
		s.phase = phaseCallback
		s.callback = &callbackServer{s: s, offer: offer}
		s.callback.start()
	case asked[0] == callbackByUser && offer&CallbackPreset != 0:
		s.callBack(CallbackRequest{})
	case asked[0] != callbackByUser && offer&CallbackNamed != 0:
		s.callBack(CallbackRequest{Number: string(asked[1:])})
	default:
		s.end(Reason{Us, CodeCallbackFailed, fmt.Sprintf("%s asks to be called back, which %q may not", s.them(), s.user)})
	}
}

// callBack hangs up for the owner to dial.
func (s *Session) callBack(r CallbackRequest) {
	s.emit(Event{Kind: EventCallback, Callback: r})
	at := "its own number"
	if r.Number != "" {
		at = r.Number
	}
	s.end(Reason{Us, CodeCallback, fmt.Sprintf("%s is to be called back at %s", s.them(), at)})
}

// callbackServer is the answerer of CBCP ([MS-CBCP] section 3.2; the draft was
// draft-gidwani-ppp-callback-cp), between the log-in and the network phase.
type callbackServer struct {
	s     *Session
	offer Callback

	id    byte // of the newest Request; an answer to an earlier one is only late
	again retry
	wrong int    // choices that were not to be had
	reply packet // the Ack given, repeated to copies of the Response
}

func (c *callbackServer) start() {
	c.again.start(c.s.now, &c.s.pace)
	c.send()
}

func (c *callbackServer) send() {
	c.id++
	c.s.send(protoCBCP, packet{cbcpRequest, c.id, appendOptions(nil, c.offers())})
}

// offers is the list of section 2.2.4.1.
func (c *callbackServer) offers() (opts []option) {
	if c.offer&CallbackNone != 0 {
		opts = append(opts, option{kind: cbcpNone})
	}
	if c.offer&CallbackNamed != 0 {
		opts = append(opts, option{cbcpNamed, []byte{0, cbcpTelephone, 0}})
	}
	if c.offer&CallbackPreset != 0 {
		opts = append(opts, option{cbcpPreset, []byte{0}})
	}
	return opts
}

func (c *callbackServer) timer() time.Time { return c.again.at }

func (c *callbackServer) expire() {
	due, ok := c.again.expire(c.s.now, &c.s.pace)
	switch {
	case !ok:
		c.s.end(Reason{Peer, CodeCallbackFailed, c.s.them() + " wanted to speak of callback and then did not answer"})
	case due:
		c.send()
	}
}

func (c *callbackServer) input(b []byte) {
	in, err := parsePacket(b)
	if err != nil || in.code != cbcpResponse {
		c.s.counts.Ignored++
		return
	}
	if c.reply.code != 0 {
		// Our Ack was lost: until it has it, the caller hears of nothing else.
		if bytes.Equal(in.data, c.reply.data) {
			c.s.send(protoCBCP, packet{cbcpAck, in.id, in.data})
		}
		return
	}
	if in.id == 0 || in.id > c.id {
		c.s.counts.Ignored++
		return
	}
	kind, request, ok := c.choice(in.data)
	if !ok {
		// Section 3.2.5.3: the list again.
		if c.wrong++; c.wrong > maxFailure {
			c.s.end(Reason{Peer, CodeCallbackFailed, c.s.them() + " insists on a callback that is not offered"})
			return
		}
		c.send()
		return
	}
	c.again.stop()
	c.reply = packet{cbcpAck, in.id, bytes.Clone(in.data)}
	c.s.send(protoCBCP, c.reply)
	if kind == cbcpNone {
		c.s.startNetwork()
		return
	}
	c.s.callBack(request)
}

// rejected takes the Protocol-Reject of a caller that asked for what it does not know.
func (c *callbackServer) rejected() {
	if c.offer&CallbackNone != 0 {
		c.again.stop()
		c.s.startNetwork()
		return
	}
	c.s.end(Reason{Peer, CodeCallbackFailed, c.s.them() + " wanted to speak of callback and does not know how"})
}

// choice reads what the caller has chosen of the offers (section 2.2.4.2).
func (c *callbackServer) choice(data []byte) (kind byte, r CallbackRequest, ok bool) {
	opts, err := parseOptions(data)
	if err != nil || len(opts) != 1 {
		return 0, r, false
	}
	o := opts[0]
	if len(o.data) > 0 {
		r.Delay = time.Duration(o.data[0]) * time.Second
	}
	switch o.kind {
	case cbcpNone:
		return o.kind, r, c.offer&CallbackNone != 0 && len(o.data) == 0
	case cbcpPreset:
		return o.kind, r, c.offer&CallbackPreset != 0 && len(o.data) == 1
	case cbcpNamed:
		if len(o.data) < 3 || o.data[1] != cbcpTelephone || o.data[len(o.data)-1] != 0 {
			return 0, r, false
		}
		r.Number, ok = phoneNumber(o.data[2 : len(o.data)-1])
		return o.kind, r, ok && c.offer&CallbackNamed != 0
	}
	return 0, r, false
}
