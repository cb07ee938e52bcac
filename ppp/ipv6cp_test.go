package ppp

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

var (
	ping4 = append([]byte{0x45, 0, 0, 84}, make([]byte, 80)...)
	ping6 = append([]byte{0x60, 0, 0, 0, 0, 40}, make([]byte, 74)...)
)

// openIPv6 is openIP with IPv6 switched on.
func openIPv6(t *testing.T) *peer {
	t.Helper()
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption, cfg.IPv6 = nil, EncryptionOff, true
	p := newPeer(t, cfg)
	p.openLCP()
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
	return p
}

func TestBothVersionsOfIPPassUnderEveryPolicy(t *testing.T) {
	for _, policy := range allPolicies {
		for _, list := range [][]Compression{nil, {MPPC}, {Deflate}, {BSDCompress}} {
			a, c := answererConfig(), callerConfig()
			a.IPv6, c.IPv6 = true, true
			a.Encryption, a.Compression, c.Compression = policy, list, list
			p := newPair(t, a, c)
			p.exchange()
			if !p.bothUp() {
				t.Fatalf("%v: %+v", policy, p.a.reason)
			}
			if policy == EncryptionRequire {
				p.run(20*time.Second, func() bool { return p.a.up6.MTU > 0 && p.c.up6.MTU > 0 })
			}
			local, peer := p.a.up6.Local, p.a.up6.Peer
			if !local.IsLinkLocalUnicast() || !local.Is6() || local == peer || p.c.up6.Local != peer || p.c.up6.Peer != local {
				t.Fatalf("%v: %+v and %+v", policy, p.a.up6, p.c.up6)
			}
			for _, pkt := range [][]byte{ping4, ping6, ping4, ping6} {
				if !p.ping(pkt) {
					t.Errorf("%v %v: % x does not pass", policy, list, pkt[:4])
				}
			}
		}
	}
}

func TestIPv6IsRejectedAtOnceUnlessItIsConfigured(t *testing.T) {
	p := openIP(t)
	p.say(protoIPv6CP, codeConfigureRequest, 1, "010a 0211223344556677")
	p.expect("c021 08 01 80570101000e010a0211223344556677")
	p.raw(protoIPv6, ping6)
	p.expect("c021 08 02 0057*")
	if p.SendIP(p.now, ping6) || len(p.got) != 0 {
		t.Error("IPv6 passes")
	}
}

func TestIdentifiersAreNegotiated(t *testing.T) {
	for _, c := range []struct{ request, answer string }{
		{"010a 0211223344556677", "02 01 010a0211223344556677"},
		{"010a 0000000000000000", "03 01 010a*"}, // please tell me
		{"010a LOCAL", "03 01 010a*"},            // ours
		{"0106 02112233", "03 01 010a*"},         // no identifier
		{"0204 004f", "04 01 0204004f"},          // compression
		{"", "02 01"},                            // none: acknowledged, but no use
		{"010a 0211223344556677 0909 00000000000000", "04 01 0909*"},
	} {
		p := openIPv6(t)
		local := identifierOption(p.net6.local)
		p.hear()
		p.say(protoIPv6CP, codeConfigureRequest, 1, strings.Replace(c.request, "LOCAL", hexOf(local.data), 1))
		p.expect("8057 " + c.answer)
		p.ack(protoIPv6CP)
		if up := c.answer == "02 01 010a0211223344556677"; up != (p.up6.MTU > 0) {
			t.Errorf("%s: %+v", c.request, p.up6)
		}
		if p.ended > 0 || p.phase != phaseNetwork {
			t.Errorf("%s: %+v", c.request, p.reason)
		}
	}
}

func TestPeerNamesOurIdentifierOrRejectsIt(t *testing.T) {
	p := openIPv6(t)
	p.hear()
	p.say(protoIPv6CP, codeConfigureNak, p.ipv6cp.reqID, "010a 0211223344556677")
	p.expect("8057 01 02 010a0211223344556677")
	p.say(protoIPv6CP, codeConfigureNak, p.ipv6cp.reqID, "010a 0000000000000000")
	if got := p.hear(); len(got) != 1 || got[0] == "8057 01 03 010a0000000000000000" || got[0] == "8057 01 03 010a0211223344556677" {
		t.Errorf("asked for %v", got)
	}
	p.say(protoIPv6CP, codeConfigureReject, p.ipv6cp.reqID, hexOf(p.ipv6cp.request))
	p.say(protoIPv6CP, codeConfigureRequest, 1, "010a 0211223344556677")
	p.ack(protoIPv6CP)
	p.wait(time.Second)
	if p.up6.MTU > 0 || strings.Contains(p.story(), "ipv6") || p.ended > 0 {
		t.Errorf("up without an identifier: %s", p.story())
	}
}

func TestCallLivesWithoutIPv6(t *testing.T) {
	p := openIPv6(t)
	p.say(protoLCP, codeProtocolReject, 1, "80570101")
	p.wait(time.Second)
	if p.ended > 0 || !p.SendIP(p.now, ping4) || p.SendIP(p.now, ping6) {
		t.Errorf("%+v", p.reason)
	}
	p = openIPv6(t)
	p.say(protoIPv6CP, codeConfigureRequest, 1, "010a 0211223344556677")
	p.ack(protoIPv6CP)
	p.raw(protoIPv6, ping6)
	if len(p.got) != 1 || !bytes.Equal(p.got[0], ping6) {
		t.Errorf("got %v", p.got)
	}
	p.say(protoIPv6CP, codeTerminateRequest, 2, "")
	if !strings.HasSuffix(p.story(), "ipv6-up ipv6-down") || p.ended > 0 || !p.SendIP(p.now, ping4) {
		t.Errorf("%s", p.story())
	}
}

// RFC 8200 section 5.
func TestLinkForShortPacketsCarriesNoIPv6(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption, cfg.IPv6 = nil, EncryptionOff, true
	p := newPeer(t, cfg)
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0104 0240") // Windows 95's 576
	p.hear()
	p.say(protoIPv6CP, codeConfigureRequest, 1, "010a 0211223344556677")
	p.expect("c021 08 *")
}
