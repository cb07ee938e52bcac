package mppe

import (
	stdrc4 "crypto/rc4"
	"testing"
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
