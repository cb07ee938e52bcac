package hdlc

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// packet is 1500 octets that look encrypted, the hardest on escapes.
func packet() []byte {
	rnd := rand.New(rand.NewPCG(3, 4))
	p := make([]byte, 1500)
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

func BenchmarkAppendFrame(b *testing.B) {
	p := packet()
	header := []byte{0xff, 0x03, 0x00, 0x21}
	for name, accm := range map[string]uint32{"accm=0": 0, "accm=ffffffff": 0xffffffff} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 4000)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendFrame(buf[:0], accm, header, p)
			}
		})
	}
}

func BenchmarkDeframer(b *testing.B) {
	p := packet()
	wire := AppendFrame(nil, 0, nil, p)
	var d Deframer
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if f, _ := d.Next(wire); f == nil {
			b.Fatal("frame lost")
		}
	}
}

func BenchmarkFCS16(b *testing.B) {
	p := packet()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		updateFCS(fcsInit, p)
	}
}

// BenchmarkCRC32 is the standard library's CRC on the same octets.
func BenchmarkCRC32(b *testing.B) {
	p := packet()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		crc32.ChecksumIEEE(p)
	}
}
