package ppp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func TestProtocolsThatThePeerRejects(t *testing.T) {
	for _, c := range []struct{ proto, code, text string }{
		{"8021", CodeIPCPFailed, "did not agree on IP addresses"},
		{"0021", CodeIPCPFailed, "did not agree on IP addresses"},
		{"c021", CodeLCPFailed, "no agreement on the link"},
		{"80fd", CodeEncryptionRequired, "did not agree on encryption"},
		{"00fd", CodeEncryptionRequired, "did not agree on encryption"},
	} {
		p, _, _ := openCCP(t, bit128|bitStateless)
		p.say(protoLCP, codeProtocolReject, 1, c.proto+"0101")
		p.hear()
		p.wait(10 * time.Second)
		if p.ended != 1 || p.reason.Code != c.code || !strings.Contains(p.reason.Text, c.text) {
			t.Errorf("%s: %d ends, %+v", c.proto, p.ended, p.reason)
		}
	}
	p := newPeer(t, answererConfig())
	p.openLCP()
	p.say(protoLCP, codeProtocolReject, 1, "c2230101")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeAuthRefused {
		t.Errorf("%+v", p.reason)
	}
	p = openIP(t)
	p.say(protoLCP, codeProtocolReject, 1, "80570101") // what we never sent
	p.say(protoLCP, codeProtocolReject, 1, "80")
	p.expect()
	if p.phase != phaseNetwork {
		t.Errorf("phase %v", p.phase)
	}
}

func TestCodeRejectOfWhatPPPCannotDoWithoutEndsTheCall(t *testing.T) {
	p := openIP(t)
	p.say(protoLCP, codeCodeReject, 1, "0c010004") // Identification may be unknown
	p.expect()
	p.say(protoLCP, codeCodeReject, 2, "01010004")
	p.expect("c021 05 *")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeLCPFailed {
		t.Errorf("%+v", p.reason)
	}
}

func TestPeerThatTerminatesIPCPEndsTheCall(t *testing.T) {
	p := openIP(t)
	p.say(protoIPCP, codeTerminateRequest, 7, "")
	p.expect("8021 06 07")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeIPCPFailed {
		t.Errorf("%+v", p.reason)
	}
}

func TestPeerThatTerminatesRequiredEncryptionIsToldWhy(t *testing.T) {
	p, _, _ := openCCP(t, bit128|bitStateless)
	p.say(protoCCP, codeTerminateRequest, 7, "")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeEncryptionRequired {
		t.Errorf("%+v", p.reason)
	}
}

func TestSilentCallerTimesOutInEveryLogIn(t *testing.T) {
	for _, m := range allMethods {
		cfg := answererConfig()
		cfg.Auth = []AuthMethod{m}
		p := newPeer(t, cfg)
		p.openLCP()
		for range 60 {
			p.wait(2 * time.Second)
			p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
		}
		if p.ended != 1 || p.reason.Code != CodeAuthTimeout || p.reason.Side != Peer {
			t.Errorf("%v: %d ends, %+v", m, p.ended, p.reason)
		}
		c := callerConfig()
		c.Auth = []AuthMethod{m}
		p = newPeer(t, c)
		p.ack(protoLCP)
		o := m.option()
		p.say(protoLCP, codeConfigureRequest, 1, hex.EncodeToString(appendOptions(nil, []option{o})))
		for range 60 {
			p.wait(2 * time.Second)
			p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
		}
		if p.ended != 1 || p.reason.Code != CodeAuthTimeout || p.reason.Side != Peer {
			t.Errorf("caller, %v: %d ends, %+v", m, p.ended, p.reason)
		}
	}
}

func TestCallerNegotiatesTheLogInItIsAskedFor(t *testing.T) {
	c := callerConfig()
	c.Auth = []AuthMethod{MSCHAPv2, CHAPMD5}
	p := newPeer(t, c)
	p.hear()
	for _, asked := range []string{"0304 c023", "0304 c227", "0304 c027", "0305 c22306", "0302", "0305 c22380"} {
		p.say(protoLCP, codeConfigureRequest, byte(len(asked)), asked)
		got := p.hear()
		if len(got) != 1 || !strings.HasSuffix(got[0], "0305c22381") && !strings.HasPrefix(got[0], "c021 04") {
			t.Errorf("%s is answered by %v", asked, got)
		}
	}
	p.say(protoLCP, codeConfigureRequest, 99, "0305 c22305")
	p.expect("c021 02 63 0305c22305")
}
