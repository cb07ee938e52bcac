package ppp

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventsTellACallInOrder(t *testing.T) {
	a := answererConfig()
	a.Encryption = EncryptionRequire // or IP would not wait for it
	p := newPair(t, a, callerConfig())
	p.exchange()
	want := "link-up auth authenticated encrypted ip-up"
	if got := p.a.story(); got != want {
		t.Errorf("answerer: %s", got)
	}
	if got := p.c.story(); got != strings.Replace(want, "auth ", "", 1) {
		t.Errorf("caller: %s", got)
	}
}

func TestCallIsOverWhenThePeerSaysSo(t *testing.T) {
	p := openIP(t)
	p.say(protoLCP, codeTerminateRequest, 9, "aabbccdd 003ccd74 00000000")
	if p.ended != 1 || p.reason != (Reason{Peer, CodePeerHangup, "the caller hung up"}) {
		t.Fatalf("%d ends, %+v", p.ended, p.reason)
	}
	p.expect("c021 06 09")
	// It may not have heard that.
	p.say(protoLCP, codeTerminateRequest, 10, "aabbccdd 003ccd74 00000000")
	p.expect("c021 06 0a")
	p.raw(protoIP, []byte{0x45, 0, 0, 20})
	if p.SendIP(p.now, []byte{0x45}) {
		t.Error("a packet passes after the end")
	}
	p.Close(p.now, Reason{Us, CodeShutdown, "it is shutting down"})
	p.wait(time.Minute)
	p.Close(p.now, Reason{Line, CodeCarrierLost, "the carrier was lost"})
	p.drain(p.now)
	if p.ended != 1 || !p.Deadline().IsZero() {
		t.Errorf("%d ends, deadline %v", p.ended, p.Deadline())
	}
}

func TestIPThatGoesDownIsToldAndSoIsItsReturn(t *testing.T) {
	p := openIP(t)
	p.say(protoIPCP, codeConfigureRequest, 2, "03 06 0a404002 02 06 002d0f00")
	if got := p.story(); !strings.HasSuffix(got, "ip-up ip-down") {
		t.Errorf("%s", got)
	}
	if p.SendIP(p.now, []byte{0x45}) {
		t.Error("a packet passes while IP is down")
	}
	p.ack(protoIPCP)
	if got := p.story(); !strings.HasSuffix(got, "ip-up ip-down ip-up") {
		t.Errorf("%s", got)
	}
}

func TestEncryptionThatGoesDownIsToldAndSoIsItsReturn(t *testing.T) {
	p, _, _ := openCCP(t, bit128|bitStateless)
	if p.cipher == "" {
		t.Fatal("no encryption")
	}
	before := p.cipher
	p.say(protoCCP, codeConfigureRequest, 77, "1206 01000040")
	if p.cipher != "" {
		t.Errorf("while CCP is down the encryption is %q", p.cipher)
	}
	p.ack(protoCCP)
	if p.cipher != before {
		t.Errorf("encryption %q, was %q", p.cipher, before)
	}
}

func TestLinkThatStartsAgainTellsAllOfIt(t *testing.T) {
	p, _, _ := openCCP(t, bit128|bitStateless)
	at := len(p.kinds)
	p.say(protoLCP, codeConfigureRequest, 77, "05 06 aabbccdd")
	p.ack(protoLCP)
	want := []EventKind{EventEncrypted, EventIPDown, EventLinkUp}
	if got := p.kinds[at:]; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}
