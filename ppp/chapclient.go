package ppp

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/ppp/mschap"
)

// chapClient answers challenges with our name and password.
type chapClient struct {
	s      *Session
	method AuthMethod

	limit time.Time // the first challenge must have come by then
	again retry     // while our response is unanswered

	challenge packet // the one answered
	response  packet
	proof     string // MS-CHAPv2: what the Success must begin with
	keys      mschap.Keys
	done      bool
}

func (c *chapClient) protocol() uint16 { return protoCHAP }
func (c *chapClient) start()           { c.limit = c.s.now.Add(patienceForLogin) }
func (c *chapClient) answer(Answer)    {}

func (c *chapClient) timer() time.Time {
	if !c.limit.IsZero() {
		return c.limit
	}
	return c.again.at
}

func (c *chapClient) expire() {
	if !c.limit.IsZero() && !c.s.now.Before(c.limit) {
		c.s.end(Reason{Peer, CodeAuthTimeout, fmt.Sprintf("%s asked for %v and then sent no challenge in %v", c.s.them(), c.method, patienceForLogin)})
		return
	}
	due, ok := c.again.expire(c.s.now, &c.s.pace)
	switch {
	case !ok:
		c.s.end(Reason{Peer, CodeAuthTimeout, fmt.Sprintf("%s did not say whether our password is right (%v)", c.s.them(), c.method)})
	case due:
		c.s.send(protoCHAP, c.response)
	}
}

func (c *chapClient) input(b []byte) {
	in, err := parsePacket(b)
	if err != nil {
		c.s.counts.Ignored++
		return
	}
	switch in.code {
	case chapChallenge:
		c.challenged(in)
	case chapSuccess:
		c.succeeded(in)
	case chapFailure:
		c.failed(in)
	default:
		c.s.counts.Ignored++
	}
}

func (c *chapClient) challenged(in packet) {
	value, _, ok := counted(in.data)
	if !ok || len(value) == 0 || c.method != CHAPMD5 && len(value) != c.method.challengeLen() {
		c.s.counts.Ignored++
		return
	}
	if c.response.code == 0 || in.id != c.challenge.id || !bytes.Equal(in.data, c.challenge.data) {
		c.challenge = packet{in.code, in.id, bytes.Clone(in.data)}
		response, ok := c.respond(in.id, value)
		if !ok {
			return
		}
		data := append([]byte{byte(len(response))}, response...)
		c.response = packet{chapResponse, in.id, append(data, c.s.cfg.Name...)}
		c.limit = time.Time{}
		c.again.start(c.s.now, &c.s.pace)
	}
	c.s.send(protoCHAP, c.response)
}

// respond makes the response value, and what it yields when it is accepted.
func (c *chapClient) respond(id byte, challenge []byte) ([]byte, bool) {
	password := c.s.cfg.Password
	if c.method == CHAPMD5 {
		sum := mschap.MD5Response(id, password, challenge)
		return sum[:], true
	}
	hash := mschap.NTHash(password)
	value := make([]byte, responseLen)
	if c.method == MSCHAP {
		nt := mschap.Response([8]byte(challenge), hash)
		copy(value[24:], nt[:])
		value[48] = msFlagNT
		c.keys = keysV1(password, hash, [8]byte(challenge))
		return value, true
	}
	var peer [16]byte
	if !c.s.random(peer[:]) {
		return nil, false
	}
	theirs, name := [16]byte(challenge), c.s.cfg.Name
	nt := mschap.ResponseV2(theirs, peer, name, hash)
	copy(value, peer[:])
	copy(value[24:], nt[:])
	c.proof = mschap.AuthenticatorResponse(hash, nt, peer, theirs, name)
	c.keys = mschap.KeysV2(hash, nt, false)
	return value, true
}

// answers reports whether in judges our response; a copy of a judgement does not.
func (c *chapClient) answers(in packet) bool {
	return c.response.code != 0 && in.id == c.response.id && !c.again.at.IsZero()
}

func (c *chapClient) succeeded(in packet) {
	if !c.answers(in) {
		c.s.counts.Ignored++
		return
	}
	c.again.stop()
	if c.method == MSCHAPv2 && !mschap.CheckAuthenticatorResponse(string(in.data), c.proof) {
		c.s.end(Reason{Us, CodeServerNotVerified, c.s.them() + " accepted our password but could not prove that it knows it (MS-CHAPv2)"})
		return
	}
	if !c.done {
		c.done = true
		c.s.authenticated(c.s.cfg.Name, Answer{OK: true, Keys: c.keys})
	}
}

func (c *chapClient) failed(in packet) {
	if !c.answers(in) {
		c.s.counts.Ignored++
		return
	}
	c.again.stop()
	text := fmt.Sprintf("%s refused the name or password of %q", c.s.them(), c.s.cfg.Name)
	if code, message, ok := parseFailure(string(in.data)); ok {
		text += fmt.Sprintf(": %s (error %d)", rasWords(code), code)
		if message != "" {
			text += fmt.Sprintf(", saying %q", printable([]byte(message)))
		}
	} else if len(in.data) > 0 {
		text += fmt.Sprintf(", saying %q", printable(in.data))
	}
	c.s.end(Reason{Peer, CodeAuthFailed, text})
}

// parseFailure takes MS-CHAP's "E=691 R=0 C=… V=3 M=…" apart. Parts may be missing.
func parseFailure(text string) (code int, message string, ok bool) {
	text, message, _ = strings.Cut(text, "M=")
	for _, f := range strings.Fields(text) {
		if v, found := strings.CutPrefix(f, "E="); found {
			n, err := strconv.Atoi(v)
			code, ok = n, err == nil
		}
	}
	return code, message, ok
}
