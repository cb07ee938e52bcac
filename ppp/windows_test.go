package ppp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
	"postern/ppp/mschap"
)

// TestWindows2000Call is a call as the traces have it: LCP with CBCP, MRRU and an
// endpoint, Identifications, MS-CHAPv2 under a domain name, CCP with nothing but MPPC, NBNS in IPCP,
// naked IP, and a RAS error at the end.
func TestWindows2000Call(t *testing.T) {
	cfg := answererConfig()
	cfg.MPPE = []mppe.Strength{mppe.Bits128, mppe.Bits40}
	cfg.Encryption, cfg.NoVJ = EncryptionRequire, true
	p := newPeer(t, cfg)
	p.expect("c021 01 01 0206000000000305c223810506*")
	p.say(protoLCP, codeConfigureRequest, 0, "0206 00000000 0506 4a3b2c1d 0702 0802 0d03 06 1104 064e 1317 01 aabbccddeeff00112233445566778899aabbccdd")
	p.expect("c021 04 00 0d03061104064e131701aabbccddeeff00112233445566778899aabbccdd")
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0206 00000000 0506 4a3b2c1d 0702 0802")
	got := p.expect("c021 02 01 02060000000005064a3b2c1d07020802", "c223 01 01 10*")
	if !strings.HasSuffix(got[1], hex.EncodeToString([]byte("postern"))) {
		t.Errorf("the challenge bears no name: %s", got[1])
	}
	p.say(protoLCP, codeIdentification, 2, "4a3b2c1d"+hex.EncodeToString([]byte("MSRASV5.00")))
	p.say(protoLCP, codeIdentification, 3, "4a3b2c1d"+hex.EncodeToString([]byte("MSRAS-1-OLDBOX")))
	keys := p.logIn(`OLDBOX\alice`)
	// Encryption is required, so that IPCP waits for it.
	p.expect("c223 03 01 533d*", "80fd 01 01 120601000060")
	if id := p.Ident(); len(id) != 2 || id[0] != "MSRASV5.00" {
		t.Errorf("identified as %q", id)
	}

	p.say(protoCCP, codeConfigureRequest, 4, "1206 00000001") // MPPC: encryption is optional there
	p.say(protoIPCP, codeConfigureRequest, 5, "0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000")
	p.raw(protoIP, []byte{0x45, 0, 0, 20})
	p.expect("80fd 03 04 120601000040")
	if len(p.got) != 0 || p.Counts().Unencrypted != 1 || p.SendIP(p.now, []byte{0x45}) {
		t.Errorf("IP passed in clear: %+v", p.Counts())
	}
	p.say(protoCCP, codeConfigureNak, 1, "1206 01000040")
	p.expect("80fd 01 02 120601000040")
	p.ack(protoCCP)
	p.say(protoCCP, codeConfigureRequest, 6, "1206 01000040")
	// With encryption up, what was held is answered at once.
	p.expect("80fd 02 06 120601000040", "8021 01 01 03060a404001", "8021 04 05 8206000000008406*")
	if p.cipher != "MPPE 128 bit, stateless" {
		t.Errorf("encryption %q", p.cipher)
	}
	p.say(protoIPCP, codeConfigureRequest, 7, "0306 00000000 8106 00000000 8306 00000000")
	p.expect("8021 03 07 03060a40400281060a40400183060a404001")
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 8, "0306 0a404002 8106 0a404001 8306 0a404001")
	p.expect("8021 02 08 *")
	if p.ups != 1 || p.up.MTU != 1496 {
		t.Errorf("%d ups, %+v", p.ups, p.up)
	}

	tx, err := mppe.NewSender(mppe.Config{Strength: mppe.Bits128, Stateless: true}, keys.Send(16))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.raw(protoCompressed, tx.Append(nil, []byte("\x00\x21E mail, please")))
		p.raw(protoCompressed, tx.Append(nil, []byte("\x21E with PFC inside")))
	}
	p.raw(protoIP, []byte{0x45, 0, 0, 20})
	if len(p.got) != 6 || string(p.got[4]) != "E mail, please" || string(p.got[5]) != "E with PFC inside" {
		t.Errorf("packets came as %q", p.got)
	}
	p.say(protoLCP, codeTerminateRequest, 9, "4a3b2c1d 003ccd74 00000000")
	p.expect("c021 06 09")
	p.wait(10 * time.Second)
	if p.reason != (Reason{Peer, CodePeerHangup, "the caller hung up"}) {
		t.Errorf("%+v", p.reason)
	}
}

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

func TestWrongPasswordMayBeTypedAgainInTheSameCall(t *testing.T) {
	for _, last := range []bool{true, false} {
		p := newPeer(t, answererConfig())
		p.openLCP()
		wrong := true
		p.judge = func(r AuthRequest) Answer {
			if wrong {
				return Answer{}
			}
			return Check(r, password)
		}
		p.logIn("alice")
		got := p.expect("c223 04 01 *")
		text := string(bytesOf(t, got[0][len("c223 04 01 "):]))
		if !strings.HasPrefix(text, "E=691 R=1 C=") || !strings.Contains(text, " V=3 M=wrong user name") {
			t.Errorf("Failure says %q", text)
		}
		c := p.Session.auth.(*chapServer)
		if want := strings.ToUpper(hex.EncodeToString(c.challenge)); text[12:44] != want {
			t.Errorf("the challenge is %s, not %s", text[12:44], want)
		}
		p.say(protoCHAP, chapResponse, 1, "31"+strings.Repeat("00", 49)) // a copy: the Failure was lost
		p.expect(got[0])
		for range 15 { // a person types
			p.wait(2 * time.Second)
			p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
		}
		p.expect()
		if p.ended != 0 {
			t.Fatalf("%+v", p.reason)
		}
		p.logIn("alice")
		p.expect("c223 04 02 *")
		wrong = last
		p.logIn("alice")
		if last {
			got = p.expect("c223 04 03 *", "c021 05 *")
			if text := string(bytesOf(t, got[0][len("c223 04 01 "):])); !strings.HasPrefix(text, "E=691 R=0 ") {
				t.Errorf("Failure says %q", text)
			}
			p.wait(10 * time.Second)
			if p.reason.Code != CodeAuthFailed || p.authings != 3 {
				t.Errorf("%d tries, %+v", p.authings, p.reason)
			}
		} else {
			p.expect("c223 03 03 *", "80fd 01 *", "8021 01 *")
		}
	}
}

func TestDisabledAccountIsNotAskedToTypeAgain(t *testing.T) {
	for code, want := range map[int]string{646: "time of day", 647: "disabled", 648: "expired", 649: "no permission"} {
		p := newPeer(t, answererConfig())
		p.judge = func(AuthRequest) Answer { return Answer{Code: code} }
		p.openLCP()
		p.logIn("alice")
		p.hear()
		p.wait(10 * time.Second)
		if p.reason.Code != CodeAuthFailed || !strings.Contains(p.reason.Text, want) {
			t.Errorf("%d: %+v", code, p.reason)
		}
	}
}

func TestCallerThatGivesUpAfterARefusalWasRefused(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.judge = func(AuthRequest) Answer { return Answer{} }
	p.openLCP()
	p.logIn("alice")
	p.say(protoLCP, codeTerminateRequest, 9, hex.EncodeToString([]byte("Failed to authenticate ourselves to peer")))
	p.wait(10 * time.Second)
	if p.reason.Code != CodeAuthFailed || p.reason.Side != Us {
		t.Errorf("%+v", p.reason)
	}
}

func TestPeersAreRecognised(t *testing.T) {
	ident := func(text string) string { return "4a3b2c1d" + hex.EncodeToString([]byte(text)) }
	for _, c := range []struct{ request, ident, want string }{
		{"0206 00000000 0506 4a3b2c1d 0702 0802 0d03 06 1104 064e 1303 00", "MSRASV5.00", "Windows 2000"},
		{"0206 00000000 0506 4a3b2c1d 0702 0802 0d03 06 1104 064e 1303 00", "MSRASV5.10", "Windows XP"},
		{"0206 00000000 0506 4a3b2c1d 0702 0802 0d03 06 1104 064e 1303 00", "", "Windows NT"},
		{"0206 000a0000 0506 4a3b2c1d 0702 0802 0d03 06", "", "Windows"},
		{"0206 00000000 0506 4a3b2c1d 0702 0802", "", "pppd or lwIP"},
		{"0206 00000000 0506 4a3b2c1d 0702 0802", "Postern caller", "Postern"},
		{"0802", "", "unknown"},
		{"", "", "unknown"},
	} {
		cfg := answererConfig()
		cfg.Auth, cfg.Encryption = nil, EncryptionOff
		p := newPeer(t, cfg)
		p.say(protoLCP, codeConfigureRequest, 1, c.request)
		p.say(protoLCP, codeConfigureRequest, 2, "0206 00000000") // the first one tells
		if c.ident != "" {
			p.say(protoLCP, codeIdentification, 2, ident(c.ident))
		}
		if got := p.Peer(); got != c.want {
			t.Errorf("%s %q is taken for %q, not %q", c.request, c.ident, got, c.want)
		}
	}
}

func TestEndsNameThemselves(t *testing.T) {
	c := callerConfig()
	c.Ident = "Postern caller"
	p := newPair(t, answererConfig(), c)
	p.exchange()
	if !p.bothUp() || p.a.Peer() != "Postern" || p.c.Peer() != "unknown" {
		t.Errorf("up %v, %q and %q", p.bothUp(), p.a.Peer(), p.c.Peer())
	}
}

// lmResponse is what Windows 95 answers an MS-CHAP challenge with: LM, and no NT.
func (p *peer) lmResponse() {
	p.t.Helper()
	c, ok := p.Session.auth.(*chapServer)
	if !ok || c.method != MSCHAP {
		p.t.Fatal("no MS-CHAP challenge")
	}
	hash, _ := mschap.LMHash(password)
	lm := mschap.Response([8]byte(c.challenge), hash)
	value := append(lm[:], make([]byte, 25)...)
	p.raw(protoCHAP, packet{chapResponse, c.id, append(append([]byte{49}, value...), "alice"...)}.append(nil))
}

func TestLMResponsesAreRefusedUnlessAllowed(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth = []AuthMethod{MSCHAP}
	cfg.MPPE = []mppe.Strength{mppe.Bits40}
	p := newPeer(t, cfg)
	p.openLCP()
	p.lmResponse()
	if p.authings != 0 || !strings.Contains(p.Session.refusal.Text, "only an LM response came, which is not allowed") {
		t.Errorf("%d judged, %+v", p.authings, p.Session.refusal)
	}
	cfg.AllowLM = true
	p = newPeer(t, cfg) // for some users, and not for this one
	p.openLCP()
	p.lmResponse()
	if p.authings != 1 || p.known {
		t.Errorf("%d judged, let in %v", p.authings, p.known)
	}
	p = newPeer(t, cfg)
	p.judge = func(r AuthRequest) Answer {
		if !r.OnlyLM() || CheckLM(r, "other").OK {
			t.Errorf("%v: only LM %v", r, r.OnlyLM())
		}
		return CheckLM(r, password)
	}
	p.openLCP()
	p.lmResponse()
	p.expect("c223 03 01", "80fd 01 01 120601000020", "8021 01 *")
}

func TestCallerProvesItselfAgainWhileTheLinkStaysUp(t *testing.T) {
	for _, m := range []AuthMethod{CHAPMD5, MSCHAP, MSCHAPv2} {
		a, c := answererConfig(), callerConfig()
		a.Auth, a.Rechallenge = []AuthMethod{m}, time.Minute
		p := newPair(t, a, c)
		p.exchange()
		p.run(10*time.Minute+time.Second, p.bothEnded)
		if p.a.authings != 11 || p.bothEnded() || !p.ping([]byte("E still here")) || p.a.ups != 1 {
			t.Errorf("%v: challenged %d times, %+v", m, p.a.authings, p.a.reason)
		}
		p.a.judge = func(AuthRequest) Answer { return Answer{Code: 647} }
		p.run(2*time.Minute, p.bothEnded)
		if p.a.reason.Code != CodeAuthFailed {
			t.Errorf("%v: %+v", m, p.a.reason)
		}
	}
}

func TestAnotherPersonCannotTakeTheCallOver(t *testing.T) {
	cfg := answererConfig()
	cfg.Encryption, cfg.Rechallenge = EncryptionOff, time.Minute
	p := newPeer(t, cfg)
	p.openLCP()
	p.logIn("alice")
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
	for range 31 {
		p.wait(2 * time.Second)
		p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
	}
	p.logIn("bob")
	if p.cause.Code != CodeAuthFailed {
		t.Errorf("%+v", p.cause)
	}
}
