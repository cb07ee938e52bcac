package ppp

import (
	"testing"
	"time"
)

// TestSlowLineIsGivenTime puts a full frame each way before every packet that is waited for, at
// rates down to 300 bit/s. Nothing may be taken for dead, and a line that is dead is still found.
func TestSlowLineIsGivenTime(t *testing.T) {
	for _, rate := range []int{300, 600, 1200, 2400, 9600, 33600} {
		cfg := answererConfig()
		cfg.Auth, cfg.Encryption, cfg.LineRate = nil, EncryptionOff, rate
		p := newPeer(t, cfg)
		p.openLCP()
		p.ack(protoIPCP)
		p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
		p.hear()
		full := airtime(fullFrame, rate)
		p.wait(2*full + 10*time.Second)
		if p.ended != 0 {
			t.Fatalf("%d bit/s: after two frames %+v", rate, p.reason)
		}
		p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
		dead := 18*time.Second + 2*full
		p.wait(dead - time.Second)
		if p.ended != 0 {
			t.Errorf("%d bit/s: dead before %v", rate, dead)
		}
		p.wait(2 * time.Second)
		if p.ended != 1 || p.reason.Code != CodeEchoTimeout {
			t.Errorf("%d bit/s: after %v %+v", rate, dead, p.reason)
		}
	}
}

// A request at 300 bit/s takes 2 s to come, and its answer 2 s to return.
func TestRequestsOnASlowLineAreNotRepeatedBeforeTheirAnswer(t *testing.T) {
	cfg := answererConfig()
	cfg.LineRate = 300
	p := newPeer(t, cfg)
	p.hear()
	p.wait(7 * time.Second)
	p.expect()
	p.wait(time.Second)
	p.expect("c021 01 01 *")
	p.wait(10 * time.Minute)
	if p.ended != 1 || p.reason.Code != CodeLCPTimeout {
		t.Errorf("%+v", p.reason)
	}
}

func TestCallComesUpAtAnyRate(t *testing.T) {
	for _, rate := range []int{300, 1200, 33600} {
		a, c := answererConfig(), callerConfig()
		a.LineRate, c.LineRate = rate, rate
		p := newPair(t, a, c)
		p.delay = airtime(100, rate)
		p.run(3*time.Minute, func() bool { return p.bothUp() })
		if !p.bothUp() {
			t.Fatalf("%d bit/s: %+v, %+v", rate, p.a.reason, p.c.reason)
		}
		if n := p.a.Counts().Ignored + p.c.Counts().Ignored; n > 0 {
			t.Errorf("%d bit/s: %d packets came that nobody waited for", rate, n)
		}
	}
}

// A request whose answers are spoiled is not given up after ten tries, but within the limit.
func TestTriesThatTheLineSpoiledAreNotCounted(t *testing.T) {
	for _, noise := range []bool{false, true} {
		p := newPeer(t, answererConfig())
		tries := len(p.hear())
		for range 30 {
			p.wait(4 * time.Second)
			if noise {
				p.Input(p.now, []byte("~\xff\x7d\x23\xc0!spoiled~"))
			}
			tries += len(p.hear())
		}
		if noise != (tries > maxConfigure) || noise == (p.ended > 0) {
			t.Errorf("noise %v: %d tries, %+v", noise, tries, p.reason)
		}
		p.wait(5 * time.Minute)
		if p.ended != 1 {
			t.Errorf("noise %v: the call hangs", noise)
		}
	}
}
