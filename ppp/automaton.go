package ppp

import (
	"bytes"
	"time"
)

// The counters of RFC 1661 section 4.6, with the RFC's defaults.
const (
	maxConfigure = 10
	maxTerminate = 2
	maxFailure   = 5
)

// maxRepeats is how often an opened layer takes the request it has already
// acknowledged for a late copy. Over a satellite the peer's restart timer runs out
// before our Ack arrives, and to start again for that is what made NT4 circle for
// ever (Q219353). A peer that goes on really has started again.
const maxRepeats = 3

// A layer makes the decisions of one control protocol; its automaton does the
// rest. Options are in the order of the packet.
type layer interface {
	// request returns the options of our next Configure-Request.
	request() []option
	// judge looks at the peer's Configure-Request and returns what to reject, or
	// if that is nothing, what to Nak with the values we would like; nothing of
	// both acknowledges it.
	judge(opts []option) (reject, nak []option)
	// naked and rejected take the peer's answer to our request.
	naked(opts []option)
	rejected(opts []option)
	// control takes a packet whose code the automaton does not know, and reports
	// whether the layer knows it.
	control(p packet) bool
	// terminated takes the data of the peer's Terminate-Request.
	terminated(data []byte)
	up()       // This-Layer-Up
	down()     // This-Layer-Down
	finished() // This-Layer-Finished
}

// A wire is what an automaton needs of the session around it.
type wire interface {
	clock() time.Time
	send(proto uint16, p packet)
}

// automaton is the option negotiation automaton of RFC 1661 section 4 for one
// control protocol.
type automaton struct {
	proto uint16
	layer layer
	wire  wire
	pace  *pace // shared by all of a session's timers

	state   state
	restart int       // the restart counter
	timer   time.Time // when the restart timer runs out; zero if it does not run

	id      byte      // of the newest packet that we began
	reqID   byte      // of our Configure-Request
	request []byte    // its options; kept, since the Ack must echo them
	asked   bool      // it is unanswered: a second reply to it is a copy of the first
	askedAt time.Time // when it was sent; zero once it has been sent again

	failures int    // Naks sent in a row
	heard    packet // the peer's last Configure-Request
	reply    packet // and our answer to it
	repeats  int    // copies of it that an opened layer has answered

	in       packet // the packet at hand, for the actions that answer it
	farewell []byte // data for our Terminate-Request: why, for the peer's log
	bad      int    // packets dropped because no peer in its right mind sends them
}

func (a *automaton) open()  { a.on(evOpen) }
func (a *automaton) close() { a.on(evClose) }

// lowerDown says that what this layer stands on is gone; the layer may never have been
// up.
func (a *automaton) lowerDown() {
	if a.state > starting {
		a.on(evDown)
	}
}

// on takes one event through the table.
func (a *automaton) on(ev event) {
	c := transitions[ev][a.state]
	if c.next == illegal {
		a.bad++
		return
	}
	if ev == evUp {
		a.heard, a.asked, a.failures, a.repeats = packet{}, false, 0, 0
	}
	// The state is set first: an action may bring about another event.
	a.state = c.next
	if c.do&(scr|str|zrc) != 0 {
		a.timer = a.wire.clock().Add(a.pace.period())
	} else if !a.timed() {
		a.timer = time.Time{}
	}
	for act := tld; act <= tlf; act <<= 1 {
		if c.do&act != 0 {
			a.do(act, ev)
		}
	}
}

// timed reports whether the restart timer runs in the present state.
func (a *automaton) timed() bool { return a.state >= closing && a.state <= ackSent }

func (a *automaton) do(act action, ev event) {
	switch act {
	case tld:
		a.failures, a.repeats = 0, 0
		a.layer.down()
	case irc:
		a.restart = maxConfigure
		if ev == evClose || ev == evRXJMinus {
			a.restart = maxTerminate
		}
	case zrc:
		a.restart = 0
	case scr:
		a.sendRequest(ev == evTOPlus)
	case sca, scn:
		a.wire.send(a.proto, a.reply)
	case str:
		a.restart--
		a.id++
		a.wire.send(a.proto, packet{codeTerminateRequest, a.id, clip(a.farewell, maxQuoted)})
	case sta:
		a.wire.send(a.proto, packet{codeTerminateAck, a.in.id, nil})
	case scj:
		a.id++
		a.wire.send(a.proto, packet{codeCodeReject, a.id, clip(a.in.append(nil), maxQuoted)})
	case ser:
		a.layer.control(a.in) // LCP knows the magic number that the reply bears
	case tlu:
		a.failures = 0
		a.layer.up()
	case tlf:
		a.layer.finished()
	}
}

// maxQuoted bounds what we quote of a rejected packet, so that it fits any MRU.
const maxQuoted = 128

func clip(b []byte, n int) []byte { return b[:min(len(b), n)] }

// sendRequest sends our Configure-Request. A copy of one that ran out of time keeps its
// identifier, so that a late answer to the first still counts.
func (a *automaton) sendRequest(again bool) {
	a.restart--
	opts := appendOptions(nil, a.layer.request())
	if again && a.asked && bytes.Equal(opts, a.request) {
		a.askedAt = time.Time{} // an answer will not say which copy it is for
	} else {
		a.id++
		a.reqID, a.askedAt = a.id, a.wire.clock()
	}
	a.request, a.asked = opts, true
	a.wire.send(a.proto, packet{codeConfigureRequest, a.reqID, opts})
}

// expire runs the restart timer out if it is time.
func (a *automaton) expire(now time.Time) {
	if a.timer.IsZero() || now.Before(a.timer) {
		return
	}
	forgiven := a.state >= reqSent && a.pace.forgives(now)
	if forgiven {
		a.restart++
	}
	if a.restart <= 0 {
		a.on(evTOMinus)
		return
	}
	if !forgiven {
		a.pace.late()
	}
	a.on(evTOPlus)
}

// input takes a packet of this protocol.
func (a *automaton) input(b []byte) {
	p, err := parsePacket(b)
	if err != nil || a.state <= starting {
		a.bad++
		return
	}
	a.in = p
	switch p.code {
	case codeConfigureRequest:
		a.configureRequest(p)
	case codeConfigureAck:
		// RFC 1661 section 5.2: it must be our request to the byte.
		if a.answers(p) && bytes.Equal(p.data, a.request) {
			a.answered()
			a.on(evRCA)
		} else {
			a.bad++
		}
	case codeConfigureNak, codeConfigureReject:
		a.refusal(p)
	case codeTerminateRequest:
		a.layer.terminated(p.data)
		a.on(evRTR)
	case codeTerminateAck:
		a.on(evRTA)
	case codeCodeReject:
		// A code that every implementation must know cannot be done without.
		if len(p.data) > 0 && p.data[0] >= codeConfigureRequest && p.data[0] <= codeCodeReject {
			a.on(evRXJMinus)
		} else {
			a.on(evRXJPlus)
		}
	default:
		switch {
		case a.proto == protoLCP && p.code >= codeEchoRequest && p.code <= codeDiscardRequest:
			a.on(evRXR)
		case !a.layer.control(p):
			a.on(evRUC)
		}
	}
}

// answers reports whether p answers our outstanding request. A copy of an answer that has
// already been taken must not restart an opened layer: a slow line makes two answers
// to two copies of one request.
func (a *automaton) answers(p packet) bool { return a.asked && p.id == a.reqID }

func (a *automaton) answered() {
	a.asked = false
	if !a.askedAt.IsZero() {
		a.pace.answered(a.wire.clock().Sub(a.askedAt))
	}
}

func (a *automaton) refusal(p packet) {
	opts, err := parseOptions(p.data)
	if err != nil || !a.answers(p) || p.code == codeConfigureReject && !a.subset(opts) {
		a.bad++
		return
	}
	a.answered()
	if p.code == codeConfigureNak {
		a.layer.naked(opts)
	} else {
		a.layer.rejected(opts)
	}
	a.on(evRCN)
}

// subset reports whether opts are some of our request's options, unchanged and in order
// (RFC 1661 section 5.4).
func (a *automaton) subset(opts []option) bool {
	ours, err := parseOptions(a.request)
	if err != nil {
		return false
	}
	for _, o := range opts {
		i := 0
		for i < len(ours) && !ours[i].equal(o) {
			i++
		}
		if i == len(ours) {
			return false
		}
		ours = ours[i+1:]
	}
	return len(opts) > 0
}

func (a *automaton) configureRequest(p packet) {
	if a.repeated(p) {
		return
	}
	opts, err := parseOptions(p.data)
	if err != nil {
		a.bad++
		return
	}
	if a.state == closed || a.state == closing || a.state == stopping {
		a.on(evRCRPlus) // which answers the same whatever was asked
		return
	}
	reject, nak := a.layer.judge(opts)
	if a.failures >= maxFailure {
		// We have asked often enough; what would be Nak'ed is rejected (RFC
		// 1661 section 4.6), and what the peer left out is done without.
		for _, o := range opts {
			if _, ok := find(nak, o.kind); ok {
				reject = append(reject, o)
			}
		}
		nak = nil
	}
	a.heard = packet{p.code, p.id, bytes.Clone(p.data)}
	a.repeats = 0
	switch {
	case len(reject) > 0:
		a.reply = packet{codeConfigureReject, p.id, appendOptions(nil, reject)}
		a.on(evRCRMinus)
	case len(nak) > 0:
		a.failures++
		a.reply = packet{codeConfigureNak, p.id, appendOptions(nil, nak)}
		a.on(evRCRMinus)
	default:
		a.failures = 0
		a.reply = packet{codeConfigureAck, p.id, a.heard.data}
		a.on(evRCRPlus)
	}
}

// repeated takes a copy of the peer's last request: it gets the same answer
// again, without being judged again, and does not restart an opened layer.
func (a *automaton) repeated(p packet) bool {
	if a.state < reqSent || a.heard.code == 0 || p.id != a.heard.id || !bytes.Equal(p.data, a.heard.data) {
		return false
	}
	switch {
	case a.reply.code != codeConfigureAck:
		a.on(evRCRMinus)
	case a.state != opened:
		a.on(evRCRPlus)
	case a.repeats < maxRepeats:
		a.repeats++
		a.wire.send(a.proto, a.reply)
	default:
		return false
	}
	return true
}
