package ppp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"postern/ppp/internal/corpus"
	"postern/ppp/mppe"
)

// TestEveryCompressionWithEveryEncryption carries a POP3 session in all combinations, and prints
// what is left of it on the line.
func TestEveryCompressionWithEveryEncryption(t *testing.T) {
	session := corpus.Session(1460, corpus.Text(), corpus.HTML())
	for _, list := range [][]Compression{nil, {MPPC}, {Deflate}, {BSDCompress}, {MPPC, Deflate, BSDCompress}} {
		for _, policy := range allPolicies {
			for _, mode := range []MPPEMode{AnyMode, StatefulOnly} {
				a, c := answererConfig(), callerConfig()
				a.Encryption, a.Compression, c.Compression = policy, list, list
				a.MPPEMode = mode
				p := newPair(t, a, c)
				p.exchange()
				if !p.bothUp() {
					t.Fatalf("%v %v: not up: %+v %+v", list, policy, p.a.reason, p.c.reason)
				}
				octets, ip := 0, 0
				p.spoil = func(b []byte) []byte { octets += len(b); return b }
				for i, pkt := range session {
					from, to := p.a, p.c
					if pkt.FromCaller {
						from, to = p.c, p.a
					}
					ip += len(pkt.Data)
					if !from.SendIP(p.now, pkt.Data) {
						t.Fatalf("%v %v: packet %d not sent", list, policy, i)
					}
					p.exchange()
					if len(to.got) != 1 || !bytes.Equal(to.got[0], pkt.Data) {
						t.Fatalf("%v %v %v: packet %d came as % x", list, policy, mode, i, to.got)
					}
					to.got = nil
				}
				t.Logf("%-28s %-26s %-12s %d octets of IP in %d", fmt.Sprint(list), p.a.cipher, p.a.packer, ip, octets)
				want := ""
				if len(list) > 0 {
					want = list[0].String()
				}
				if policy != EncryptionOff {
					want = "" // nothing but MPPC goes with MPPE
					for _, l := range list {
						if l == MPPC {
							want = "MPPC"
						}
					}
				}
				if p.a.packer != want || p.c.packer != want || (p.a.cipher != "") != (policy != EncryptionOff) {
					t.Errorf("%v %v: agreed on %q and %q, %q", list, policy, p.a.packer, p.c.packer, p.a.cipher)
				}
				if want != "" && octets >= ip {
					t.Errorf("%v %v: %d octets of IP in %d on the line", list, policy, ip, octets)
				}
			}
		}
	}
}

// pppd offers Deflate under two numbers and BSD-Compress, rejects MPPE, and uses the first
// of several.
func TestPPPDWithDeflate(t *testing.T) {
	cfg := answererConfig()
	cfg.Compression = []Compression{MPPC, Deflate, BSDCompress}
	p := newPeer(t, cfg)
	p.openLCP()
	p.logIn("alice")
	p.expect("c223 03 *", "80fd 01 01 1206010000e1", "8021 01 *")
	p.say(protoCCP, codeConfigureRequest, 1, "1a04 7800 1804 7800 1503 2f")
	p.expect("80fd 03 01 1206010000e0") // would it encrypt?
	p.say(protoCCP, codeConfigureRequest, 2, "1a04 7800 1804 7800 1503 2f")
	p.expect("80fd 02 02 1a047800180478001503" + "2f") // it would not
	for range 2 {
		p.say(protoCCP, codeConfigureReject, p.ccp.reqID, hex.EncodeToString(p.ccp.request))
	}
	got := p.hear()
	if last := got[len(got)-1]; last[11:] != "1206000000011a047800180478001503"+"2f" {
		t.Errorf("sent %v", got)
	}
	p.say(protoCCP, codeConfigureReject, p.ccp.reqID, "1206 00000001")
	p.ack(protoCCP)
	if p.ccp.state != opened || p.cipher != "" || p.packer != "Deflate" {
		t.Errorf("CCP is %v, agreed on %q and %q", p.ccp.state, p.cipher, p.packer)
	}
	p.hear()
	p.say(protoCCP, codeResetRequest, 9, "")
	p.expect("80fd 0f 09")
}

func TestWindowsWithOptionalEncryptionGetsMPPC(t *testing.T) {
	cfg := answererConfig()
	cfg.Encryption, cfg.Compression = EncryptionOff, []Compression{MPPC}
	p := newPeer(t, cfg)
	p.openLCP()
	p.logIn("alice")
	p.expect("c223 03 *", "80fd 01 01 120600000001", "8021 01 *")
	p.say(protoCCP, codeConfigureRequest, 1, "1206 010000e1")
	p.expect("80fd 03 01 120601000001")
	p.say(protoCCP, codeConfigureRequest, 2, "1206 00000001")
	p.expect("80fd 02 02 120600000001")
	p.ack(protoCCP)
	p.drain(p.now)
	if p.packer != "MPPC" || p.cipher != "" {
		t.Errorf("agreed on %q and %q", p.cipher, p.packer)
	}
	// What a sender of its own makes can be read.
	tx, err := mppe.NewSender(mppe.Config{Compress: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
	pkt := append([]byte{0, 0x21}, bytes.Repeat([]byte("E mail "), 50)...)
	p.raw(protoCompressed, tx.Append(nil, pkt))
	if len(p.got) != 1 || !bytes.Equal(p.got[0], pkt[2:]) {
		t.Errorf("got %q", p.got)
	}
}
