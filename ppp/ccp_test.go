package ppp

import (
	"encoding/hex"
	"testing"
	"time"

	"postern/ppp/mppe"
)

// newCCPPeer is a caller that has logged in and wants to talk about encryption.
func newCCPPeer(t *testing.T, policy Policy, strengths ...mppe.Strength) *peer {
	t.Helper()
	cfg := answererConfig()
	cfg.Encryption, cfg.MPPE = policy, strengths
	p := newPeer(t, cfg)
	p.openLCP()
	p.logIn("alice")
	p.hear()
	return p
}

func TestWindows95WithoutStatelessGetsStateful40Bit(t *testing.T) {
	p := newCCPPeer(t, EncryptionRequire, mppe.Bits128, mppe.Bits56, mppe.Bits40)
	p.say(protoCCP, codeConfigureNak, p.ccp.reqID, "1206 00000020")
	p.expect("80fd 01 02 120600000020")
	p.ack(protoCCP)
	p.say(protoCCP, codeConfigureRequest, 1, "1206 00000020")
	p.expect("80fd 03 01 120601000020")
	p.say(protoCCP, codeConfigureRequest, 2, "1206 00000020") // it cannot
	p.expect("80fd 02 02 120600000020", "8021 01 *")
	if p.cipher != "MPPE 40 bit, stateful" {
		t.Errorf("encryption %q", p.cipher)
	}
}

// pppd with require-mppe-40 hangs up on an offer of 128 bits alone.
func TestAllStrengthsAreOfferedForThePeerToPick(t *testing.T) {
	p := newCCPPeer(t, EncryptionRequire, mppe.Bits128, mppe.Bits40)
	p.say(protoCCP, codeConfigureRequest, 1, "1206 01000020")
	p.expect("80fd 02 01 120601000020")
	p.say(protoCCP, codeConfigureNak, p.ccp.reqID, "1206 01000020")
	p.expect("80fd 01 02 120601000020")
	p.ack(protoCCP)
	p.drain(p.now)
	if p.cipher != "MPPE 40 bit, stateless" {
		t.Errorf("encryption %q", p.cipher)
	}
}

func TestPeerThatRejectsAllOffersRefusesEncryption(t *testing.T) {
	p := newCCPPeer(t, EncryptionRequire, mppe.Bits128, mppe.Bits56, mppe.Bits40)
	reject := func() {
		p.say(protoCCP, codeConfigureReject, p.ccp.reqID, hex.EncodeToString(p.ccp.request))
	}
	if got := hex.EncodeToString(p.ccp.request); got != "1206010000e0" {
		t.Errorf("the first offer is %s", got)
	}
	reject()
	p.expect("80fd 01 02 1206000000e0")
	reject()
	p.expect("c021 05 *")
	p.wait(10 * time.Second)
	if r := p.reason; r.Side != Peer || r.Code != CodeEncryptionRequired || r.Text != "the caller refuses encryption, and it is required for alice" {
		t.Errorf("%+v", r)
	}
}

func TestPeerThatRejectsCCPGoesOnInClearIfItMay(t *testing.T) {
	for _, policy := range []Policy{EncryptionPrefer, EncryptionRequire} {
		p := newCCPPeer(t, policy, mppe.Bits128)
		p.say(protoLCP, codeProtocolReject, 1, "80fd 0101000a 120601000040")
		p.ack(protoIPCP)
		p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
		p.wait(10 * time.Second)
		if up := p.ups == 1; up != (policy == EncryptionPrefer) {
			t.Errorf("%v: up %v, %+v", policy, up, p.reason)
		}
		if policy == EncryptionRequire && p.reason.Code != CodeEncryptionRequired {
			t.Errorf("%+v", p.reason)
		}
	}
}

// Windows gives CCP up with error 732 when MPPC is refused, and goes on.
func TestPeerThatTerminatesCCPIsNotHungUpOn(t *testing.T) {
	p := newCCPPeer(t, EncryptionPrefer, mppe.Bits128)
	p.say(protoCCP, codeConfigureRequest, 1, "1206 00000001")
	p.say(protoCCP, codeTerminateRequest, 2, "4a3b2c1d 003ccd74 000002dc")
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
	p.wait(15 * time.Second)
	if p.ups != 1 || p.cipher != "" || p.reason.Code == CodeEncryptionRequired {
		t.Errorf("%d ups, %q, %+v", p.ups, p.cipher, p.reason)
	}
}

func TestOtherCompressorsAreRejectedWithinCCP(t *testing.T) {
	p := newCCPPeer(t, EncryptionPrefer, mppe.Bits128)
	// pppd's Deflate (twice) and BSD-Compress.
	p.say(protoCCP, codeConfigureRequest, 1, "1a04 7800 1804 7800 1503 2f 1206 01000040")
	p.expect("80fd 04 01 1a047800180478001503" + "2f")
	p.say(protoCCP, codeConfigureRequest, 2, "1206 01000040")
	p.expect("80fd 02 02 120601000040")
}

// openCCP brings CCP up in the given mode and returns what the caller encrypts and
// decrypts with.
func openCCP(t *testing.T, bits uint32) (*peer, *mppe.Sender, *mppe.Receiver) {
	t.Helper()
	cfg := answererConfig()
	cfg.Encryption = EncryptionRequire
	p := newPeer(t, cfg)
	p.openLCP()
	keys := p.logIn("alice")
	p.say(protoCCP, codeConfigureNak, p.ccp.reqID, "1206"+u32(bits))
	p.ack(protoCCP)
	p.say(protoCCP, codeConfigureRequest, 1, "1206"+u32(bits))
	if p.ccp.state != opened { // stateless mode was asked for instead
		p.say(protoCCP, codeConfigureRequest, 2, "1206"+u32(bits))
	}
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 3, "0306 0a404002")
	if p.ups != 1 {
		t.Fatalf("IP is not up: CCP %v, IPCP %v, %+v", p.ccp.state, p.ipcp.state, p.reason)
	}
	p.hear()
	mode := mppe.Config{Strength: strengthOf(strongest(bits)), Stateless: bits&bitStateless != 0}
	tx, err := mppe.NewSender(mode, keys.Send(mode.Strength.KeyLen()))
	if err != nil {
		t.Fatal(err)
	}
	rx, err := mppe.NewReceiver(mode, keys.Receive(mode.Strength.KeyLen()))
	if err != nil {
		t.Fatal(err)
	}
	return p, tx, rx
}

func TestResetRequestIsAnsweredByAFlushedPacketOnly(t *testing.T) {
	p, _, rx := openCCP(t, bit128)
	p.SendIP(p.now, []byte("E one"))
	p.hear() // and lost
	p.say(protoCCP, codeResetRequest, 9, "")
	p.expect() // no Reset-Ack
	p.SendIP(p.now, []byte("E two"))
	got := p.expect("00fd 90 01 *")
	info := bytesOf(t, got[0][5:])
	if pkt, r := rx.Open(nil, info); r != mppe.Opened || string(pkt) != "\x00!E two" {
		t.Errorf("%v %q", r, pkt)
	}
	p.say(protoCCP, codeResetAck, 9, "") // nobody asked; nothing to say
	p.expect()
}

func TestLostStatefulPacketIsFollowedByAResetRequest(t *testing.T) {
	p, tx, _ := openCCP(t, bit40)
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E one")))
	tx.Append(nil, []byte("\x00!E lost"))
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E deaf")))
	p.expect("80fd 0e *")
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E deaf")))
	p.expect() // once is enough, for now
	p.wait(3 * time.Second)
	p.hear()
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E deaf")))
	p.expect("80fd 0e *") // it or its answer was lost
	tx.Reset()
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E two")))
	p.expect()
	if len(p.got) != 2 || string(p.got[1]) != "E two" || p.Counts().Undecrypted != 3 {
		t.Errorf("got %q, %+v", p.got, p.Counts())
	}
}

func TestForgedCiphertextEndsTheCallInWords(t *testing.T) {
	p, _, _ := openCCP(t, bit128|bitStateless)
	for range 100 {
		p.raw(protoCompressed, []byte{0, 0, 1, 2, 3})
	}
	p.hear()
	p.wait(10 * time.Second)
	if p.reason.Code != CodeEncryptionBroken {
		t.Errorf("%+v", p.reason)
	}
}

func TestIPStopsWhenRequiredEncryptionIsRenegotiated(t *testing.T) {
	p, tx, _ := openCCP(t, bit128|bitStateless)
	p.say(protoCCP, codeConfigureRequest, 50, "1206"+u32(bit128|bitStateless))
	if p.SendIP(p.now, []byte{0x45}) {
		t.Error("IP passes in clear")
	}
	p.raw(protoIP, []byte{0x45})
	p.raw(protoCompressed, tx.Append(nil, []byte("\x00!E one")))
	if len(p.got) != 0 {
		t.Errorf("got %q", p.got)
	}
	p.ack(protoCCP)
	if !p.SendIP(p.now, []byte{0x45}) {
		t.Error("IP does not pass under the new keys")
	}
}
