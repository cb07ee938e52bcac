package ppp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/ppp/hdlc"
	"postern/ppp/mschap"
)

// peer is a scripted other end: it says what a test tells it to, byte for byte, and
// hears every packet that the Session sends.
type peer struct {
	*end
	now time.Time
	rx  hdlc.Deframer
}

func newPeer(t testing.TB, cfg Config) *peer { return &peer{end: newEnd(t, cfg), now: epoch} }

// bytesOf reads hex with blanks in it.
func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// raw sends a frame's content: protocol field and what follows.
func (p *peer) raw(proto uint16, info []byte) {
	h := []byte{0xff, 0x03, byte(proto >> 8), byte(proto)}
	p.Input(p.now, hdlc.AppendFrame(nil, allControls, h, info))
	p.drain(p.now)
}

// say sends a control packet whose data are hex.
func (p *peer) say(proto uint16, code, id byte, data string) {
	p.t.Helper()
	p.raw(proto, packet{code, id, bytesOf(p.t, data)}.append(nil))
}

// hear returns what the Session has sent since: "c021 01 01 0206…", protocol, code,
// identifier and data.
func (p *peer) hear() (heard []string) {
	p.drain(p.now)
	wire := p.Output(nil)
	for {
		var f []byte
		if f, wire = p.rx.Next(wire); f == nil {
			return heard
		}
		if len(f) > 2 && f[0] == 0xff && f[1] == 0x03 {
			f = f[2:]
		}
		proto, info, ok := protocol(f)
		if !ok {
			p.t.Fatalf("the session sent a frame without protocol: % x", f)
		}
		in, err := parsePacket(info)
		if err != nil || proto < 0x8000 {
			heard = append(heard, fmt.Sprintf("%04x % x", proto, info))
			continue
		}
		heard = append(heard, strings.TrimSpace(fmt.Sprintf("%04x %02x %02x %x", proto, in.code, in.id, in.data)))
	}
}

// expect fails the test unless the Session has sent just that; "*" stands for the rest of a packet.
func (p *peer) expect(want ...string) []string {
	p.t.Helper()
	got := p.hear()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		prefix, any := strings.CutSuffix(want[i], "*")
		ok = got[i] == want[i] || any && strings.HasPrefix(got[i], prefix)
	}
	if !ok {
		p.t.Fatalf("the session sent\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	return got
}

// wait lets time pass.
func (p *peer) wait(d time.Duration) {
	stop := p.now.Add(d)
	for {
		next := p.Deadline()
		if next.IsZero() || next.After(stop) {
			break
		}
		if next.After(p.now) {
			p.now = next
		}
		p.Advance(p.now)
	}
	p.now = stop
	p.Advance(p.now)
	p.drain(p.now)
}

// ack acknowledges the Session's Configure-Request of that protocol.
func (p *peer) ack(proto uint16) {
	p.t.Helper()
	var a *automaton
	switch proto {
	case protoLCP:
		a = &p.lcp
	case protoCCP:
		a = &p.ccp
	case protoIPv6CP:
		a = &p.ipv6cp
	default:
		a = &p.ipcp
	}
	p.say(proto, codeConfigureAck, a.reqID, hex.EncodeToString(a.request))
}

// openLCP brings LCP up with nothing asked for but a magic number.
func (p *peer) openLCP() {
	p.t.Helper()
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "05 06 aabbccdd")
	if p.lcp.state != opened {
		p.t.Fatalf("LCP is %v", p.lcp.state)
	}
	p.hear()
}

// logIn answers the challenge that the Session has sent as Windows does.
func (p *peer) logIn(name string) mschap.Keys {
	p.t.Helper()
	s, ok := p.Session.auth.(*chapServer)
	if !ok || s.method != MSCHAPv2 {
		p.t.Fatalf("no MS-CHAPv2 challenge")
	}
	hash := mschap.NTHash(password)
	nt := mschap.ResponseV2([16]byte(s.challenge), [16]byte{1, 2, 3}, name, hash)
	value := make([]byte, 49)
	copy(value, []byte{1, 2, 3})
	copy(value[24:], nt[:])
	data := append([]byte{49}, value...)
	p.raw(protoCHAP, packet{chapResponse, s.id, append(data, name...)}.append(nil))
	return mschap.KeysV2(hash, nt, false)
}

// openIP is a Session without authentication and encryption whose IP is up.
func openIP(t *testing.T) *peer {
	t.Helper()
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.openLCP()
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
	if p.ups != 1 {
		t.Fatalf("IP is not up: IPCP %v", p.ipcp.state)
	}
	p.hear()
	return p
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func u32(v uint32) string { return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, v)) }
