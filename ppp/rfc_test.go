package ppp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/ppp/hdlc"
)

func plain(t *testing.T) *peer {
	t.Helper()
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.expect("c021 01 01 *")
	return p
}

func TestAckEchoesThePeersBytes(t *testing.T) {
	p := plain(t)
	p.say(protoLCP, codeConfigureRequest, 7, "0802 0104 05dc 0702 0506 11223344 0206 000a0000")
	p.expect("c021 02 07 0802010405dc07020506112233440206000a0000")
}

func TestRejectGoesBeforeNakBeforeAck(t *testing.T) {
	p := plain(t)
	// Callback, a small MRU, a magic number of zero, MRRU: what Windows and nobody sends.
	p.say(protoLCP, codeConfigureRequest, 1, "0d03 06 0104 0020 0506 00000000 1104 064e 1303 00")
	p.expect("c021 04 01 0d03061104064e130300")
	p.say(protoLCP, codeConfigureRequest, 2, "0104 0020 0506 00000000 0702")
	got := p.expect("c021 03 02 010405dc0506*")
	if strings.HasSuffix(got[0], "00000000") {
		t.Errorf("the Nak of a zero magic number offers zero: %s", got[0])
	}
	p.say(protoLCP, codeConfigureRequest, 3, "0104 05dc 0506 11223344 0702")
	p.expect("c021 02 03 010405dc0506112233440702")
}

func TestAfterFiveNaksComesAReject(t *testing.T) {
	p := plain(t)
	for id := byte(1); id <= maxFailure; id++ {
		p.say(protoLCP, codeConfigureRequest, id, "0104 0020 0702")
		p.expect(fmt.Sprintf("c021 03 %02x 010405dc", id))
	}
	p.say(protoLCP, codeConfigureRequest, 9, "0104 0020 0702")
	p.expect("c021 04 09 01040020")
}

func TestRepeatedRequestGetsTheSameAnswer(t *testing.T) {
	p := plain(t)
	for range 20 { // copies do not count as further failures
		p.say(protoLCP, codeConfigureRequest, 1, "0104 0020")
		p.expect("c021 03 01 010405dc")
	}
	p.say(protoLCP, codeConfigureRequest, 2, "0506 11223344")
	p.expect("c021 02 02 050611223344")
	p.ack(protoLCP)
	if p.lcp.state != opened {
		t.Fatalf("LCP is %v", p.lcp.state)
	}
	p.hear()
	// Copies that a satellite has delayed do not restart the opened link ...
	for range maxRepeats {
		p.say(protoLCP, codeConfigureRequest, 2, "0506 11223344")
		p.expect("c021 02 02 050611223344")
	}
	// ... nor do copies of the Ack.
	p.ack(protoLCP)
	p.expect()
	if p.lcp.state != opened {
		t.Fatalf("LCP is %v", p.lcp.state)
	}
	// But a peer that goes on has started again (RFC 1661: tld,scr,sca/8).
	p.say(protoLCP, codeConfigureRequest, 2, "0506 11223344")
	p.expect("c021 01 *", "c021 02 02 050611223344")
	if p.lcp.state != ackSent {
		t.Errorf("LCP is %v", p.lcp.state)
	}
}

func TestRequestKeepsItsIdentifierUntilAnswered(t *testing.T) {
	p := newPeer(t, answererConfig())
	first := p.hear()[0]
	p.wait(3 * time.Second)
	p.expect(first)
	p.say(protoLCP, codeConfigureNak, p.lcp.reqID, "0506 01020304")
	second := p.hear()[0]
	if second[:10] != "c021 01 02" || second == first {
		t.Errorf("after a Nak of %s came %s", first, second)
	}
}

func TestAckThatIsNotToTheByteIsIgnored(t *testing.T) {
	p := plain(t)
	good := hex.EncodeToString(p.lcp.request)
	p.say(protoLCP, codeConfigureAck, 99, good)
	p.say(protoLCP, codeConfigureAck, p.lcp.reqID, good[:len(good)-4])
	p.say(protoLCP, codeConfigureReject, p.lcp.reqID, "0d0306") // never asked for
	p.expect()
	if p.lcp.state != reqSent || p.Counts().Ignored != 3 {
		t.Errorf("LCP is %v, %d ignored", p.lcp.state, p.Counts().Ignored)
	}
}

func TestUnknownCodeIsRejected(t *testing.T) {
	p := plain(t)
	p.say(protoLCP, 77, 5, "010203")
	p.expect("c021 07 02 4d050007010203")
	p = openIP(t)
	// IPCP has no Echo (RFC 1332 section 3).
	p.say(protoIPCP, codeEchoRequest, 5, "00000000")
	p.expect("8021 07 *")
}

func TestEchoIsAnsweredWithOurMagicWhenOpenOnly(t *testing.T) {
	p := plain(t)
	p.say(protoLCP, codeEchoRequest, 5, "aabbccdd 0102")
	p.expect()
	p.openLCP()
	p.say(protoLCP, codeEchoRequest, 6, "aabbccdd 0102")
	p.expect("c021 0a 06 " + u32(p.link.magic) + "0102")
	p.say(protoLCP, codeDiscardRequest, 7, "aabbccdd 0102")
	p.expect()
}

func TestPaddingBehindAPacketIsIgnored(t *testing.T) {
	p := plain(t)
	p.raw(protoLCP, bytesOf(t, "01 07 000a 0506 11223344 ffff"))
	p.expect("c021 02 07 050611223344")
}

func TestUnknownProtocolsAreRejectedAtOnce(t *testing.T) {
	p := openIP(t)
	for _, proto := range []string{"802b", "803f", "8057", "8281", "80fd", "c025", "00cf"} {
		p.raw(uint16(bytesOf(t, proto)[0])<<8|uint16(bytesOf(t, proto)[1]), bytesOf(t, "01 01 0004"))
		got := p.expect("c021 08 *")
		if !strings.HasSuffix(got[0], proto+"01010004") {
			t.Errorf("%s is rejected by %s", proto, got[0])
		}
	}
	// Encrypted packets are never rejected, nor is the authentication that is not asked for.
	p.raw(protoCompressed, bytesOf(t, "9000 0102030405"))
	p.raw(protoPAP, bytesOf(t, "01 01 0006 0000"))
	p.expect()
}

func TestProtocolRejectQuotesThePacket(t *testing.T) {
	p := openIP(t)
	p.raw(0x802b, bytesOf(t, "01 01 000a 0106 00000000"))
	p.expect("c021 08 01 802b0101000a010600000000")
	p.raw(0x0000, nil) // no protocol number: the last octet must be odd
	p.expect()
}

func TestAllLCPPacketsAreEscapedAndUncompressed(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.hear()
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0206 00000000 0702 0802")
	p.hear()
	p.say(protoLCP, codeEchoRequest, 6, "aabbccdd 0102")
	wire := p.Output(nil)
	if !bytes.HasPrefix(wire, []byte{0x7e, 0xff, 0x7d, 0x23, 0xc0, 0x21, 0x7d, 0x2a}) {
		t.Errorf("Echo-Reply goes out as % x", wire)
	}
	// Everything else goes as the peer asked: no address, one octet of protocol, no escapes.
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
	p.hear()
	p.SendIP(p.now, []byte{0x45, 1, 2, 3})
	wire = p.Output(nil)
	if !bytes.HasPrefix(wire, []byte{0x7e, 0x21, 0x45, 1, 2, 3}) {
		t.Errorf("an IP packet goes out as % x", wire)
	}
}

func TestWhatThePeerRefusesIsDoneWithout(t *testing.T) {
	p := plain(t)
	p.say(protoLCP, codeConfigureReject, p.lcp.reqID, hex.EncodeToString(p.lcp.request))
	p.expect("c021 01 02")
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "")
	p.hear()
	p.say(protoLCP, codeEchoRequest, 6, "00000000")
	p.expect("c021 0a 06 00000000") // no magic number was agreed on
}

func TestTerminateRequestIsAcknowledgedAndEndsTheCall(t *testing.T) {
	p := openIP(t)
	p.say(protoLCP, codeTerminateRequest, 9, hex.EncodeToString([]byte("User request")))
	p.expect("c021 06 09")
	p.wait(11 * time.Second)
	if r := p.reason; p.ended != 1 || r.Side != Peer || r.Code != CodePeerHangup || r.Text != `the caller hung up, saying "User request"` {
		t.Errorf("%d ends, %+v", p.ended, r)
	}
	p.expect()
}

func TestWindowsTerminateDataIsPutInWords(t *testing.T) {
	for data, want := range map[string]Reason{
		"":                           {Peer, CodePeerHangup, "the caller hung up"},
		"aabbccdd 003ccd74 00000000": {Peer, CodePeerHangup, "the caller hung up"},
		"aabbccdd 003ccd74 0000030a": {Peer, CodeServerNotVerified, "the caller hung up: the identity of the server could not be verified (Windows error 778)"},
		"aabbccdd 003ccd74 000002dc": {Peer, CodePeerHangup, "the caller hung up: the PPP negotiation does not converge (Windows error 732)"},
		hex.EncodeToString([]byte("MPPE disabled")): {Peer, CodePeerHangup, "the caller hung up"}, // pppd, always
		"aabbccdd 003ccd74 0000ffff":                {Peer, CodePeerHangup, "the caller hung up: an error without words here (Windows error 65535)"},
	} {
		p := openIP(t)
		p.say(protoLCP, codeTerminateRequest, 9, data)
		p.wait(11 * time.Second)
		if p.reason != want {
			t.Errorf("%s: %+v", data, p.reason)
		}
	}
}

func TestOurTerminateRequestIsSentTwiceAndThenTheCallEnds(t *testing.T) {
	p := openIP(t)
	p.Close(p.now, Reason{Us, CodeIdleLimit, "nothing was sent for 10 minutes"})
	want := "c021 05 02 " + hex.EncodeToString([]byte("nothing was sent for 10 minutes"))
	p.expect(want)
	p.wait(3 * time.Second)
	p.expect("c021 05 03" + want[10:])
	p.wait(3 * time.Second)
	p.Close(p.now, Reason{Us, CodeAdmin, "too late"})
	if p.ended != 1 || p.reason.Code != CodeIdleLimit || !p.Deadline().IsZero() {
		t.Errorf("%d ends, %+v, deadline %v", p.ended, p.reason, p.Deadline())
	}
}

func TestLostCarrierEndsTheCallAtOnce(t *testing.T) {
	p := openIP(t)
	p.Close(p.now, Reason{Line, CodeCarrierLost, "the modem lost the carrier"})
	p.drain(p.now)
	if p.ended != 1 || p.reason.Side != Line {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
	p.expect()
}

func TestFirstCauseWins(t *testing.T) {
	p := openIP(t)
	p.say(protoLCP, codeTerminateRequest, 9, "")
	p.Close(p.now, Reason{Line, CodeCarrierLost, "the modem lost the carrier"})
	p.drain(p.now)
	if p.ended != 1 || p.reason.Code != CodePeerHangup {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestSilentPeerNeverAnsweredPPP(t *testing.T) {
	p := newPeer(t, answererConfig())
	first := p.hear()[0]
	sent := 1
	for p.ended == 0 && p.now.Before(epoch.Add(5*time.Minute)) {
		p.wait(time.Second)
		for _, h := range p.hear() {
			if h != first {
				t.Errorf("sent %s", h)
			}
			sent++
		}
	}
	if sent != maxConfigure || p.reason.Code != CodeLCPTimeout || p.reason.Text != "the caller never answered PPP" {
		t.Errorf("%d requests in %v, then %+v", sent, p.now.Sub(epoch), p.reason)
	}
}

func TestDeadLineIsNoticedWithin20Seconds(t *testing.T) {
	p := openIP(t)
	echoes := 0
	start := p.now
	for p.ended == 0 {
		p.wait(time.Second)
		for _, h := range p.hear() {
			// Header and magic number, 8 octets: NT 3.5 hangs on more.
			if len(h) != len("c021 09 01 aabbccdd") || h[:7] != "c021 09" || h[11:] != u32(p.link.magic) {
				t.Errorf("sent %s", h)
			}
			echoes++
		}
	}
	if took := p.now.Sub(start); took > 20*time.Second || echoes != 5 || p.reason.Code != CodeEchoTimeout || p.reason.Side != Line {
		t.Errorf("after %v and %d echoes: %+v", took, echoes, p.reason)
	}
}

func TestLineThatTalksIsNotAskedWhetherItLives(t *testing.T) {
	p := openIP(t)
	for range 60 {
		p.wait(2 * time.Second)
		p.raw(protoIP, []byte{0x45, 0})
		p.expect()
	}
	for range 20 {
		p.wait(3 * time.Second)
		h := p.hear()
		if len(h) != 1 {
			t.Fatalf("after 3 s of silence: %v", h)
		}
		p.say(protoLCP, codeEchoReply, 1, "aabbccdd")
	}
	if p.ended != 0 {
		t.Errorf("%+v", p.reason)
	}
}

func TestEchoesHandedBackByTheLineAreNoLife(t *testing.T) {
	p := openIP(t)
	for range 25 {
		p.wait(time.Second)
		wire := p.Output(nil)
		p.Input(p.now, wire) // a modem in command mode
	}
	p.drain(p.now)
	if p.ended != 1 || p.reason.Code != CodeEchoTimeout {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestEndlessGarbageIsNoPeer(t *testing.T) {
	p := openIP(t)
	garbage := []byte{0x7e, 1, 2, 3, 4, 5, 6, 0x7e}
	for range 120 {
		p.wait(time.Second)
		p.Input(p.now, garbage)
		if p.now.Sub(epoch) == 50*time.Second && p.ended > 0 {
			t.Errorf("given up after 50 s of noise: %+v", p.reason)
		}
	}
	p.drain(p.now)
	if p.ended != 1 || p.reason.Code != CodeEchoTimeout {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestLoopedLineIsToldFromAPeer(t *testing.T) {
	e := newEnd(t, answererConfig())
	now := epoch
	for range 100 {
		e.Input(now, e.Output(nil))
		e.drain(now)
		if d := e.Deadline(); len(e.out) == 0 && !d.IsZero() {
			now = d
			e.Advance(now)
		}
	}
	e.drain(now)
	if e.ended != 1 || e.reason.Code != CodeLoopback || e.reason.Side != Line {
		t.Errorf("%d ends, %+v", e.ended, e.reason)
	}
}

func TestNothingButLCPIsHeardBeforeItIsOpen(t *testing.T) {
	p := plain(t)
	p.raw(protoIPCP, bytesOf(t, "01 01 000a 0306 00000000"))
	p.raw(0x802b, bytesOf(t, "01 01 0004"))
	p.raw(protoPAP, bytesOf(t, "01 01 0006 0000"))
	p.expect()
}

func TestNothingButTheLogInIsHeardBeforeItIsDone(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.hear()
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "")
	p.hear()
	p.raw(protoIPCP, bytesOf(t, "01 01 000a 0306 0a404002"))
	p.raw(protoIP, []byte{0x45, 0})
	p.say(protoPAP, papRequest, 1, "05616c696365 00") // not what was agreed on
	p.expect()
	if p.SendIP(p.now, []byte{0x45}) || len(p.got) > 0 || p.authings > 0 {
		t.Error("something passed")
	}
}

func TestFloodsCostBoundedMemory(t *testing.T) {
	frame := func(proto uint16, p packet) []byte {
		return hdlc.AppendFrame(nil, 0, []byte{0xff, 3, byte(proto >> 8), byte(proto)}, p.append(nil))
	}
	p := openIP(t)
	var flood []byte
	for i := range 200 {
		id := byte(i)
		flood = append(flood, frame(protoLCP, packet{codeEchoRequest, id, make([]byte, 1400)})...)
		flood = append(flood, frame(0x802b, packet{1, id, make([]byte, 1400)})...)
		flood = append(flood, frame(protoIPCP, packet{200, id, make([]byte, 1400)})...)
		flood = append(flood, frame(protoLCP, packet{codeIdentification, id, bytes.Repeat([]byte{id}, 1000)})...)
	}
	for range 20 {
		p.Input(p.now, flood)
		for p.NextEvent().Kind != NoEvent {
		}
	}
	if n := len(p.out); n > maxReplies+2*1500 {
		t.Errorf("%d octets wait for the line", n)
	}
	if p.Counts().Overflow == 0 || len(p.Ident()) > maxIdent {
		t.Errorf("%+v, %d identifications", p.Counts(), len(p.Ident()))
	}
	sent := 0
	for p.SendIP(p.now, make([]byte, 1500)) {
		sent++
	}
	if n := len(p.out); n > maxOut+2*1600 || sent == 0 && n < maxReplies {
		t.Errorf("%d packets sent, %d octets wait for the line", sent, n)
	}
}
