package ppp

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// The codes of RFC 1994 section 4.
const (
	chapChallenge byte = 1
	chapResponse  byte = 2
	chapSuccess   byte = 3
	chapFailure   byte = 4
)

// msFlagNT in MS-CHAP's response says that the NT response is the one to use
// (RFC 2433 section 4).
const msFlagNT = 1

// challengeLen is how long our challenges are. MS-CHAP has 8 octets and MS-CHAPv2
// 16; MD5 takes any.
func (m AuthMethod) challengeLen() int {
	if m == MSCHAP {
		return 8
	}
	return 16
}

// valueLen is how long a response value must be.
func (m AuthMethod) valueLen() int {
	if m == CHAPMD5 {
		return 16
	}
	return responseLen
}

// chapServer challenges the caller: CHAP with MD5, MS-CHAP or MS-CHAPv2.
type chapServer struct {
	s      *Session
	method AuthMethod

	id        byte
	challenge []byte
	again     retry // while the challenge is unanswered

	request AuthRequest
	pending bool      // request is being judged
	reply   packet    // the answer given; repeated to further copies of the response
	limit   time.Time // after a refusal: the next try must have come by then
	next    time.Time // after a success: when to challenge again; zero: never

	changing bool // the password has expired, and a new one may be given
}

func (c *chapServer) protocol() uint16 { return protoCHAP }

func (c *chapServer) timer() time.Time {
	switch {
	case !c.limit.IsZero():
		return c.limit
	case !c.next.IsZero():
		return c.next
	}
	return c.again.at
}

func (c *chapServer) start() {
	c.id++
	c.next, c.reply = time.Time{}, packet{}
	c.challenge = make([]byte, c.method.challengeLen())
	if !c.s.random(c.challenge) {
		return
	}
	c.again.start(c.s.now, &c.s.pace)
	c.send()
}

func (c *chapServer) send() {
	data := append([]byte{byte(len(c.challenge))}, c.challenge...)
	c.s.send(protoCHAP, packet{chapChallenge, c.id, append(data, c.s.cfg.Hostname...)})
}

// expire sends the same challenge again: a late response to the first copy still counts.
func (c *chapServer) expire() {
	if !c.limit.IsZero() && !c.s.now.Before(c.limit) {
		c.s.end(c.s.refusal)
		return
	}
	if !c.next.IsZero() && !c.s.now.Before(c.next) {
		// The link stays up meanwhile (RFC 1994 section 2); LCP has no part in it.
		c.start()
		return
	}
	due, ok := c.again.expire(c.s.now, &c.s.pace)
	switch {
	case !ok:
		c.s.end(Reason{Peer, CodeAuthTimeout, fmt.Sprintf("%s agreed to %v and then did not answer the challenge", c.s.them(), c.method)})
	case due:
		c.send()
	}
}

func (c *chapServer) input(b []byte) {
	in, err := parsePacket(b)
	if err != nil || c.pending {
		c.s.counts.Ignored++
		return
	}
	// RFC 1994 section 4.2: the same answer for as long as the challenge is current,
	// in whatever phase, since the Success may have been lost.
	if c.reply.code != 0 && in.id == c.reply.id && in.code != chapChallenge {
		c.s.send(protoCHAP, c.reply)
		return
	}
	switch {
	case in.id == c.id && in.code == chapResponse:
	case in.id == c.id && c.changing:
		c.changed(in)
		return
	default:
		c.s.counts.Ignored++
		return
	}
	value, name, ok := counted(in.data)
	if !ok || len(value) != c.method.valueLen() || len(name) > 255 {
		c.s.counts.Ignored++
		return
	}
	c.judge(AuthRequest{Method: c.method, Name: string(name), ID: in.id,
		Challenge: c.challenge, Response: bytes.Clone(value)})
}

// judge has a response judged.
func (c *chapServer) judge(r AuthRequest) {
	if r.OnlyLM() && !c.s.cfg.AllowLM {
		c.request = r
		c.fail(Answer{}, "only an LM response came, which is not allowed")
		return
	}
	if c.s.ask(r) {
		c.request, c.pending, c.changing, c.limit = r, true, false, time.Time{}
		c.again.stop()
	}
}

func (c *chapServer) answer(a Answer) {
	c.pending = false
	if !a.OK {
		c.fail(a, a.words())
		return
	}
	message := clipText(a.Message)
	if c.method == MSCHAPv2 {
		if a.AuthenticatorResponse == "" {
			c.fail(Answer{}, "whoever judged it gave no MS-CHAPv2 authenticator response")
			return
		}
		message = strings.TrimSuffix(a.AuthenticatorResponse+" M="+message, " M=")
	}
	if c.s.phase > phaseAuthenticate && c.request.Name != c.s.user {
		c.fail(Answer{}, fmt.Sprintf("the call is %q's", c.s.user))
		return
	}
	c.reply = packet{chapSuccess, c.id, []byte(message)}
	c.s.send(protoCHAP, c.reply)
	if c.s.cfg.Rechallenge > 0 {
		c.next = c.s.now.Add(c.s.cfg.Rechallenge)
	}
	c.s.authenticated(c.request.Name, a)
}

// fail refuses the caller. Microsoft's packets say why in numbers (RFC 2433 section 5,
// RFC 2759 section 6), the others in words. A wrong password may be typed
// again in the same call: the Failure bears the next challenge, and the
// response to it the next identifier.
func (c *chapServer) fail(a Answer, why string) {
	c.again.stop()
	c.s.tries++ // of the call: to start LCP again gives no further ones
	text := clipText(a.Message)
	if text == "" {
		text = why
	}
	microsoft := c.method == MSCHAP || c.method == MSCHAPv2
	c.changing = microsoft && c.s.phase == phaseAuthenticate && a.code() == rasPasswordExpired && c.s.cfg.PasswordChange && c.request.Change == nil
	retry := microsoft && c.s.phase == phaseAuthenticate && a.code() == rasWrongPassword && c.s.tries < c.s.cfg.Tries
	if microsoft {
		c.challenge = make([]byte, c.method.challengeLen())
		if !c.s.random(c.challenge) {
			return
		}
		text = failureText(c.method, a.code(), retry, c.challenge, text)
	}
	c.reply = packet{chapFailure, c.id, []byte(text)}
	c.s.send(protoCHAP, c.reply)
	c.s.refusal = Reason{Us, CodeAuthFailed, fmt.Sprintf("%q was refused by %v: %s", c.request.Name, c.method, why)}
	if !retry && !c.changing {
		c.s.end(c.s.refusal)
		return
	}
	// RFC 2759 section 6: "it disables short timeouts", as a person types now.
	c.id++
	c.limit = c.s.now.Add(patienceForLogin)
	c.s.setupBy = c.s.now.Add(c.s.cfg.SetupLimit)
}

// failureText is the message of a Failure packet of Microsoft's. V is the version of the
// change-password packet that is understood; MS-CHAP has no M.
func failureText(m AuthMethod, code int, retry bool, challenge []byte, text string) string {
	r := 0
	if retry {
		r = 1
	}
	if m == MSCHAP {
		return fmt.Sprintf("E=%d R=%d C=%X V=2", code, r, challenge)
	}
	return fmt.Sprintf("E=%d R=%d C=%X V=3 M=%s", code, r, challenge, text)
}
