package mppe

import (
	stdrc4 "crypto/rc4"
	"hash/crc32"
	"testing"

	"postern/ppp/hdlc"
)

const benchSize = 1500

func BenchmarkSender(b *testing.B) {
	for _, stateless := range []bool{true, false} {
		name := "stateful"
		if stateless {
			name = "stateless"
		}
		b.Run(name, func(b *testing.B) {
			s, _ := pair(b, Config{Strength: Bits128, Stateless: stateless})
			packet, wire := make([]byte, benchSize), make([]byte, 0, 2*benchSize)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				wire = s.Append(wire[:0], packet)
			}
		})
	}
}

// BenchmarkBothWays is a packet encrypted and decrypted again.
func BenchmarkBothWays(b *testing.B) {
	for _, stateless := range []bool{true, false} {
		name := "stateful"
		if stateless {
			name = "stateless"
		}
		b.Run(name, func(b *testing.B) {
			s, r := pair(b, Config{Strength: Bits128, Stateless: stateless})
			packet, wire, plain := make([]byte, benchSize), make([]byte, 0, 2*benchSize), make([]byte, 0, 2*benchSize)
			b.SetBytes(2 * benchSize)
			b.ReportAllocs()
			for b.Loop() {
				wire = s.Append(wire[:0], packet)
				if _, result := r.Open(plain[:0], wire); result != Opened {
					b.Fatal(result)
				}
			}
		})
	}
}

func BenchmarkKeyChange(b *testing.B) {
	var s session
	s.init(Bits128, make([]byte, 16))
	for b.Loop() {
		s.change()
	}
}

// BenchmarkFullPath is a packet encrypted, framed, taken off the line and decrypted again; next to it
// BenchmarkBareRC4AndCRC32 does to the same octets, twice, what must be done at least, with the standard library.
func BenchmarkFullPath(b *testing.B) {
	for _, stateless := range []bool{true, false} {
		name := "stateful"
		if stateless {
			name = "stateless"
		}
		b.Run(name, func(b *testing.B) {
			s, r := pair(b, Config{Strength: Bits128, Stateless: stateless})
			packet, header := make([]byte, benchSize), []byte{0xfd}
			sealed, wire, plain := make([]byte, 0, 2*benchSize), make([]byte, 0, 3*benchSize), make([]byte, 0, 2*benchSize)
			var d hdlc.Deframer
			b.SetBytes(2 * benchSize)
			b.ReportAllocs()
			for b.Loop() {
				sealed = s.Append(sealed[:0], packet)
				wire = hdlc.AppendFrame(wire[:0], 0, header, sealed)
				frame, _ := d.Next(wire)
				if _, result := r.Open(plain, frame[1:]); result != Opened {
					b.Fatal(result)
				}
			}
		})
	}
}

func BenchmarkBareRC4AndCRC32(b *testing.B) {
	c, err := stdrc4.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, benchSize)
	b.SetBytes(2 * benchSize)
	for b.Loop() {
		for range 2 {
			c.XORKeyStream(p, p)
			crc32.ChecksumIEEE(p)
		}
	}
}

// BenchmarkStandardRC4 is the bare cipher of the standard library on the same octets.
func BenchmarkStandardRC4(b *testing.B) {
	c, err := stdrc4.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		c.XORKeyStream(p, p)
	}
}

func BenchmarkOwnRC4(b *testing.B) {
	var c rc4
	c.setKey(make([]byte, 16))
	p := make([]byte, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		c.xor(p, p)
	}
}
