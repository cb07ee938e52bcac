package ppp

import (
	"bytes"
	"testing"
	"time"

	"postern/ppp/hdlc"
)

func FuzzOptions(f *testing.F) {
	for _, seed := range [][]byte{
		{}, {1, 4, 5, 0xdc}, {5, 6, 1, 2, 3, 4, 7, 2, 8, 2}, // sound ones
		{1, 0}, {1, 1}, {1}, {1, 255, 0}, {1, 4, 5}, {7, 2, 8}, // lengths that lie
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		opts, err := parseOptions(b)
		if err != nil {
			return
		}
		if out := appendOptions(nil, opts); !bytes.Equal(out, b) {
			t.Errorf("% x became % x", b, out)
		}
	})
}

func FuzzPacket(f *testing.F) {
	for _, seed := range [][]byte{{}, {1, 1, 0, 4}, {1, 1, 0, 6, 7, 2, 0, 0}, {1, 1, 0, 3}, {1, 1, 0xff, 0xff}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			return
		}
		if out := p.append(nil); !bytes.HasPrefix(b, out) {
			t.Errorf("% x became % x", b, out)
		}
	})
}

// FuzzCallbackChoice: whatever a caller chooses, a number is one that can be dialled, and was on offer.
func FuzzCallbackChoice(f *testing.F) {
	for _, seed := range []string{"\x01\x02", "\x03\x03\x05", "\x02\x0b\x0c\x01555010\x00", "\x02\x05\x00\x01\x00", "\x02\x00", "\x02\x09\x00\x0155\rAT\x00"} {
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, offer uint8) {
		c := callbackServer{offer: Callback(offer)}
		kind, r, ok := c.choice(data)
		if !ok {
			return
		}
		if _, dials := phoneNumber([]byte(r.Number)); dials != (kind == cbcpNamed) || r.Delay < 0 || r.Delay > 255*time.Second {
			t.Errorf("% x chooses %d, %+v", data, kind, r)
		}
		for _, o := range c.offers() {
			if o.kind == kind {
				return
			}
		}
		t.Errorf("% x chooses %d, which is not on offer", data, kind)
	})
}

// FuzzSession lets a stranger say anything to a session at any stage. Whatever it is, the
// session neither panics nor hoards, and time without input ends it. The first octet says
// how far a well-behaved caller got before, and the second how to read the rest: as
// packets, each with its length before it, or as what is on the wire.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 10, 0xc0, 0x21, 1, 1, 0, 4, 0, 0, 0, 0})
	f.Add([]byte{3, 0, 6, 0xc0, 0x21, 5, 1, 0, 4})
	f.Add([]byte{8, 1, 0x7e, 0xff, 0x7d, 0x23, 0xc0, 0x21, 0x7e})
	f.Add([]byte{6, 2, 12, 0x80, 0xfd, 1, 9, 0, 10, 18, 6, 0, 0, 0, 0x21, 8, 0x80, 0xfd, 14, 1, 0, 4})
	f.Add([]byte{9, 3, 12, 0x80, 0x21, 1, 9, 0, 10, 3, 6, 0, 0, 0, 0, 6, 0x00, 0xfd, 0x90, 0, 1, 2})
	f.Add([]byte{4, 0, 8, 0xc2, 0x23, 2, 1, 0, 5, 49, 1})
	f.Add([]byte{2, 4, 12, 0xc0, 0x23, 1, 1, 0, 10, 1, 'a', 3, 'p', 'w', 'd'})
	// Callback asked for, before and after LCP is up; a report; IPV6CP.
	f.Add([]byte{1, 0x86, 17, 0xc0, 0x21, 1, 1, 0, 13, 5, 6, 1, 2, 3, 4, 13, 3, 6, 8, 0xc0, 0x29, 2, 1, 0, 6, 1, 2})
	f.Add([]byte{0, 0x80, 12, 0xc0, 0x21, 1, 1, 0, 10, 13, 6, 1, '5', '5', '5', 17, 0xc0, 0x29, 2, 1, 0, 13, 2, 9, 5, 1, '5', '5', '5', 0})
	f.Add([]byte{9, 0x40, 50, 0xc0, 0x25, 48: 1, 52: 0})
	f.Add([]byte{9, 0x40, 16, 0x80, 0x57, 1, 1, 0, 14, 1, 10, 2, 1, 2, 3, 4, 5, 6, 7, 5, 0x00, 0x57, 0x60, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 2 || len(b) > 1<<16 {
			return
		}
		stage, form := int(b[0]%16), b[1]
		b = b[2:]
		a, c := answererConfig(), callerConfig()
		a.Encryption = allPolicies[form>>1%3]
		a.Auth = allMethods[:1+form>>3%4]
		if form>>5&1 == 1 {
			a.Compression, c.Compression = []Compression{MPPC, Deflate, BSDCompress}, []Compression{Deflate, BSDCompress, MPPC}
		}
		if form>>6&1 == 1 {
			a.IPv6, c.IPv6 = true, true
			a.QualityInterval, c.QualityInterval = 10*time.Second, time.Second
		}
		if form>>7&1 == 1 {
			a.Callback = CallbackNone | CallbackPreset | CallbackNamed
		}
		p := newPair(t, a, c)
		for range stage {
			p.a.drain(p.now)
			p.c.drain(p.now)
			down, up := p.a.Output(nil), p.c.Output(nil)
			p.a.Input(p.now, up)
			p.c.Input(p.now, down)
		}
		for _, s := range []*end{p.a, p.c} {
			feed(s, p.now, b, form&1 == 1)
			if len(s.out) > maxOut+8<<10 || len(s.events) > len(b)+100 {
				t.Fatalf("%d octets and %d events wait", len(s.out), len(s.events))
			}
			s.drain(p.now)
			now := p.now.Add(time.Second)
			if s.ended == 0 {
				timeLeadsToAnEnd(t, s.Session, now)
			}
			timeLeadsToSilence(t, s.Session, now)
		}
	})
}

func feed(s *end, now time.Time, b []byte, onWire bool) {
	if onWire {
		s.Input(now, b)
		return
	}
	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		s.Input(now, hdlc.AppendFrame(nil, 0, []byte{0xff, 3}, b[1:1+n]))
		s.drain(now)
		b = b[1+n:]
	}
}
