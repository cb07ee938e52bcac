package ppp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

func monitored(every time.Duration) (a, c Config) {
	a, c = answererConfig(), callerConfig()
	a.QualityInterval, c.QualityInterval = every, every
	return a, c
}

func monitoredPair(t *testing.T, every time.Duration) *pair {
	a, c := monitored(every)
	return newPair(t, a, c)
}

func TestReportsOfACleanLineTellOfNoLoss(t *testing.T) {
	p := monitoredPair(t, 10*time.Second)
	p.delay = 60 * time.Millisecond
	for range 100 {
		p.exchange()
		p.a.SendIP(p.now, ping4)
		p.c.SendIP(p.now, ping4)
		p.c.SendIP(p.now, ping4)
		p.run(2*time.Second, func() bool { return false })
	}
	for _, e := range []*end{p.a, p.c} {
		q := e.Counts().Quality
		if q.Reports < 15 || q.In.Sent < 80 || q.Out.Sent < 80 || q.In.Lost+q.Out.Lost != 0 || q.Echo.Sent != 0 {
			t.Errorf("%+v", q)
		}
	}
	if a, c := p.a.Counts().Quality, p.c.Counts().Quality; a.In.Sent < c.In.Sent || a.In.Percent() != 0 {
		t.Errorf("%+v and %+v: the caller sent more", a, c)
	}
}

func TestReportsTellWhatALineLosesEachWay(t *testing.T) {
	p := monitoredPair(t, time.Second)
	p.exchange()
	// Every tenth frame to the box is lost, and none from it.
	sent, lost := 0, 0
	for i := range 2000 {
		p.c.SendIP(p.now, ping4)
		wire := p.c.Output(nil)
		if sent++; i%10 == 9 {
			wire, lost = nil, lost+1
		}
		p.a.Input(p.now, wire)
		p.a.SendIP(p.now, ping4)
		p.c.Input(p.now, p.a.Output(nil))
		p.now = p.now.Add(100 * time.Millisecond)
		p.a.drain(p.now)
		p.c.drain(p.now)
		p.a.Advance(p.now)
		p.c.Advance(p.now)
	}
	box, caller := p.a.Counts().Quality, p.c.Counts().Quality
	t.Logf("the line lost %d of %d; box: %+v, caller: %+v", lost, sent, box, caller)
	for name, l := range map[string]Loss{"in at the box": box.In, "out at the caller": caller.Out} {
		if l.Percent() < 8 || l.Percent() > 12 || l.Sent < 1500 {
			t.Errorf("%s: %+v is %.1f %%", name, l, l.Percent())
		}
	}
	if box.Out.Lost != 0 || caller.In.Lost != 0 {
		t.Errorf("the way that loses nothing: %+v, %+v", box.Out, caller.In)
	}
}

// TestReportIsThatOfRFC1989 holds the layout of section 2.6 and the counters of section 2.2.
func TestReportIsThatOfRFC1989(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.hear()
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0408 c025 000003e8 0506 aabbccdd")
	got := p.expect("c021 02 01 0408c025000003e80506aabbccdd", "8021 01 *")
	out := 3 + len(got) - 2 // LCP's request, its Ack, IPCP's request and this report
	p.wait(9900 * time.Millisecond)
	p.hear()
	in := p.Counts().Line.Good
	p.say(protoLQR, 0, 0, "") // shorter than a report
	counted := fmt.Sprintf("%08x", p.link.magic)
	p.raw(protoLQR, bytesOf(t, "aabbccdd"+
		"00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"+
		"00000001 00000007 00000100"))
	in += 2
	before, octets := p.quality.out, p.quality.in.octets
	p.wait(200 * time.Millisecond)
	report := p.expect("c025 *")[0]
	words := strings.Fields(report[5:])
	if len(words) != reportLen {
		t.Fatalf("%d octets: %s", len(words), report)
	}
	b := bytesOf(t, strings.Join(words, ""))
	want := []struct {
		name string
		v    uint32
	}{
		{"LastOutLQRs", 1}, {"LastOutPackets", 7}, {"LastOutOctets", 0x100},
		{"PeerInLQRs", 1}, {"PeerInPackets", uint32(in)}, {"PeerInDiscards", 0}, {"PeerInErrors", 0}, {"PeerInOctets", octets},
		{"PeerOutLQRs", 1}, {"PeerOutPackets", before.packets + 1}, {"PeerOutOctets", before.octets + 4 + 48 + 2 + 1},
	}
	if hex.EncodeToString(b[:4]) != counted {
		t.Errorf("magic number % x, not %s", b[:4], counted)
	}
	for i, w := range want {
		if v := binary.BigEndian.Uint32(b[4+4*i:]); v != w.v {
			t.Errorf("%s is %d, not %d", w.name, v, w.v)
		}
	}
	if p.quality.out.packets != before.packets+1 || p.quality.out.octets != before.octets+55 || int(before.packets) < out-1 {
		t.Errorf("counted %+v, then %+v", before, p.quality.out)
	}
	_, r, ok := parseReport(b)
	if !ok || string(r.append(nil, b[:4])) != string(b) {
		t.Error("the report does not come back")
	}
}

func TestReportingPeriodIsNegotiated(t *testing.T) {
	for _, c := range []struct{ request, answer string }{
		{"0408 c025 00000064", "02 01 0408c02500000064"},
		{"0408 c025 00000000", "02 01 0408c02500000000"}, // to answer each
		{"0408 c025 00000001", "03 01 0408c02500000064"}, // too often for the line
		{"0408 c025 ffffffff", "03 01 0408c02500057e40"},
		{"0404 c123", "03 01 0408c025000003e8"}, // some other protocol
		{"0402", "03 01 0408c025000003e8"},
		{"0409 c025 0000006400", "03 01 0408c025000003e8"},
	} {
		p := newPeer(t, answererConfig())
		p.hear()
		p.say(protoLCP, codeConfigureRequest, 1, c.request)
		p.expect("c021 " + c.answer)
	}
	cfg := answererConfig()
	cfg.QualityInterval = 20 * time.Second
	for _, c := range []struct{ nak, want string }{
		{"0408 c025 00000bb8", "0408c02500000bb8"},
		{"0408 c025 00000000", ""}, // would be silence
		{"0404 c123", ""},
		{"0408 c025 ffffffff", ""},
	} {
		p := newPeer(t, cfg)
		p.expect("c021 01 01 02060000000003" + "05c223810408c025000007d00506*")
		p.say(protoLCP, codeConfigureNak, 1, c.nak)
		if got := p.hear()[0]; c.want == "" && strings.Contains(got, "c025") || !strings.Contains(got, c.want) {
			t.Errorf("after Nak %s it asks for %s", c.nak, got)
		}
	}
}

func TestNakOfThePeriodLeavesATimerThatWaits(t *testing.T) {
	for _, nak := range []string{"0408 c025 00000000", "0408 c025 00000001", "0404 c123"} {
		cfg := answererConfig()
		cfg.Auth, cfg.Encryption = nil, EncryptionOff
		cfg.QualityInterval = 20 * time.Second
		p := newPeer(t, cfg)
		p.say(protoLCP, codeConfigureNak, 1, nak)
		p.openLCP()
		if d := p.qualityTimer().Sub(p.now); d < time.Second {
			t.Errorf("after Nak %s it waits for %v", nak, d)
		}
	}
}

func TestReportsWithoutTimerAreAnsweredEach(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0408 c025 00000000 0506 aabbccdd")
	p.hear()
	report := "aabbccdd" + strings.Repeat("00000000", 11)
	for range 3 {
		p.raw(protoLQR, bytesOf(t, report))
		p.expect("c025 *")
	}
	p.raw(protoLQR, bytesOf(t, "deadbeef"+report[8:])) // another end's
	p.raw(protoLQR, bytesOf(t, report[:80]))
	p.expect()
}

func TestReportThatWasLostIsSentAgain(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0408 c025 000003e8 0506 aabbccdd")
	p.hear()
	p.raw(protoLQR, bytesOf(t, "aabbccdd"+strings.Repeat("00000001", 11)))
	p.expect()
	p.raw(protoLQR, bytesOf(t, "aabbccdd"+strings.Repeat("00000001", 11))) // still as many PeerInLQRs
	p.expect("c025 *")
}

func TestEchoesStandInForReports(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	cfg.QualityInterval, cfg.EchoInterval = 10*time.Second, -1
	p := newPeer(t, cfg)
	p.say(protoLCP, codeConfigureReject, 1, "0408 c025 000003e8")
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0506 aabbccdd")
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
	p.hear()
	for i := range 21 {
		p.wait(10 * time.Second)
		p.expect("c021 09 *")
		if i%4 != 3 {
			p.say(protoLCP, codeEchoReply, p.echoID, "aabbccdd")
		}
	}
	q := p.Counts().Quality
	if q.Echo != (Loss{21, 5}) || q.Reports != 0 {
		t.Errorf("%+v", q)
	}
}

func TestBadLineEndsTheCallOnlyIfThatIsConfigured(t *testing.T) {
	for _, k := range []int{0, 3} {
		a, c := monitored(time.Second)
		a.QualityFailures, a.QualityWindow, a.QualityLoss = k, 5, 20
		p := newPair(t, a, c)
		p.exchange()
		p.run(30*time.Second, func() bool { return false })
		if p.a.ended > 0 {
			t.Fatalf("a clean line: %+v", p.a.reason)
		}
		n := 0
		for range 600 {
			p.c.SendIP(p.now, ping4)
			if wire := p.c.Output(nil); n%3 != 0 {
				p.a.Input(p.now, wire)
			}
			n++
			p.c.Input(p.now, p.a.Output(nil))
			p.now = p.now.Add(100 * time.Millisecond)
			p.a.drain(p.now)
			p.c.drain(p.now)
			p.a.Advance(p.now)
			p.c.Advance(p.now)
		}
		p.run(10*time.Second, p.bothEnded)
		if k == 0 && p.a.ended > 0 || k > 0 && (p.a.reason.Code != CodeQuality || p.a.reason.Side != Line) {
			t.Errorf("%d of 5: %d ends, %+v", k, p.a.ended, p.a.reason)
		}
	}
}

func TestReportsThatStopAreBadReports(t *testing.T) {
	a, c := monitored(10 * time.Second)
	a.QualityFailures, a.QualityWindow = 2, 3
	a.LineRate = 33600
	p := newPair(t, a, c)
	p.exchange()
	for range 100 { // packets come, reports do not
		p.c.SendIP(p.now, ping4)
		p.a.Input(p.now, p.c.Output(nil))
		p.a.Output(nil)
		p.now = p.now.Add(time.Second)
		p.a.Advance(p.now)
		p.a.drain(p.now)
	}
	p.a.Close(p.now, Reason{Line, CodeCarrierLost, "x"})
	p.a.drain(p.now)
	if p.a.reason.Code != CodeQuality || !strings.Contains(p.a.reason.Text, "2 of the last 2 reports") {
		t.Errorf("%+v", p.a.reason)
	}
}

func TestHostileCountersAreNoLoss(t *testing.T) {
	for _, c := range []struct {
		sent0, sent1, got0, got1 uint32
		want                     Loss
	}{
		{10, 20, 5, 15, Loss{10, 0}},
		{10, 20, 5, 12, Loss{10, 3}},
		{0xfffffffe, 8, 0xffffffff, 7, Loss{10, 2}}, // they wrap
		{20, 10, 0, 0, Loss{}},                      // set back
		{0, 1 << 30, 0, 5, Loss{}},
		{0, 5, 0, 6, Loss{}}, // more than was sent
	} {
		if got := loss(c.sent0, c.sent1, c.got0, c.got1); got != c.want {
			t.Errorf("%+v gives %+v", c, got)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add(make([]byte, reportLen))
	f.Add([]byte("aabbccdd and eleven words more, as long as they are"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, ok := parseReport(b)
		if ok && string(r.append(nil, b[:4])) != string(b) {
			t.Errorf("% x became % x", b, r.append(nil, b[:4]))
		}
	})
}
