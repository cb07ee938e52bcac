package ppp

import (
	"math/rand/v2"
	"testing"
	"time"

	"postern/ppp/mppe"
)

// BenchmarkPacket carries a full packet from one engine to the other, over framing and
// encryption.
func BenchmarkPacket(b *testing.B) {
	for _, mode := range []struct {
		name   string
		policy Policy
		mode   MPPEMode
	}{{"clear", EncryptionOff, AnyMode}, {"stateless", EncryptionRequire, StatelessOnly}, {"stateful", EncryptionRequire, StatefulOnly}} {
		b.Run(mode.name, func(b *testing.B) {
			a, c := answererConfig(), callerConfig()
			a.Encryption, a.MPPE = mode.policy, []mppe.Strength{mppe.Bits128}
			a.MPPEMode, c.MPPEMode = mode.mode, mode.mode
			p := newPair(&testing.T{}, a, c)
			p.exchange()
			pkt := make([]byte, 1500)
			rand.NewChaCha8([32]byte{}).Read(pkt)
			var wire []byte
			b.SetBytes(int64(len(pkt)))
			b.ReportAllocs()
			for b.Loop() {
				if !p.a.SendIP(p.now, pkt) {
					b.Fatal("not sent")
				}
				wire = p.a.Output(wire[:0])
				p.c.Input(p.now, wire)
				n := 0
				for e := p.c.NextEvent(); e.Kind != NoEvent; e = p.c.NextEvent() {
					n++
				}
				if n != 1 {
					b.Fatal("not received")
				}
			}
		})
	}
}

// BenchmarkSetup counts the one-way trips from CONNECT to IP-up.
func BenchmarkSetup(b *testing.B) {
	b.ReportAllocs()
	trips := 0
	for b.Loop() {
		p := newPair(&testing.T{}, answererConfig(), callerConfig())
		p.delay = 60 * time.Millisecond
		for !p.bothUp() {
			down, up := p.a.Output(nil), p.c.Output(nil)
			p.now = p.now.Add(p.delay)
			trips++
			p.a.Input(p.now, up)
			p.c.Input(p.now, down)
			p.a.drain(p.now)
			p.c.drain(p.now)
		}
	}
	b.ReportMetric(float64(trips)/float64(b.N)/2, "roundtrips")
}
