package ppp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
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
	p.expect("80fd 03 04 120601000060")
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
