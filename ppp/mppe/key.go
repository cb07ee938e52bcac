package mppe

import "crypto/sha1"

// Strength is the effective key length in bits.
type Strength int

const (
	None    Strength = 0 // MPPC alone
	Bits40  Strength = 40
	Bits56  Strength = 56
	Bits128 Strength = 128
)

// KeyLen is the length of the session key in octets: 8 for 40 and 56 bits, 16 for
// 128 (RFC 3079 §3), and 0 for None.
func (s Strength) KeyLen() int {
	switch s {
	case Bits40, Bits56:
		return 8
	case Bits128:
		return 16
	}
	return 0
}

func (s Strength) String() string {
	switch s {
	case None:
		return "no encryption"
	case Bits40:
		return "40 bit"
	case Bits56:
		return "56 bit"
	case Bits128:
		return "128 bit"
	}
	return "unknown strength"
}

// session is the key state of one direction.
type session struct {
	strength Strength
	start    [16]byte
	key      [16]byte
	tables   rc4
}

func (s *session) init(strength Strength, startKey []byte) {
	s.strength = strength
	copy(s.start[:strength.KeyLen()], startKey)
	s.key = s.start
	s.key = s.hash() // the initial session key, RFC 3079 §2.1 and §3.1
	s.weaken()
	s.flush()
}

// change is RFC 3078 §7.3's MPPE key change algorithm. It leaves the tables freshly
// set from the new key.
func (s *session) change() {
	n := s.strength.KeyLen()
	interim := s.hash()
	s.tables.setKey(interim[:n])
	s.tables.xor(s.key[:n], interim[:n])
	s.weaken()
	s.flush()
}

// flush sets the RC4 tables anew from the session key as it is (RFC 3078 §8.2).
func (s *session) flush() { s.tables.setKey(s.key[:s.strength.KeyLen()]) }

// hash is GetNewKeyFromSHA (RFC 3078 §7.3).
func (s *session) hash() (key [16]byte) {
	const pad = 40
	n := s.strength.KeyLen()
	var in [16 + pad + 16 + pad]byte
	p := append(in[:0], s.start[:n]...)
	p = p[:n+pad] // SHApad1 is zeros
	p = append(p, s.key[:n]...)
	for range pad {
		p = append(p, 0xf2) // SHApad2
	}
	sum := sha1.Sum(p)
	copy(key[:n], sum[:])
	return key
}

// weaken cuts the key's effective length down (RFC 3079 §2.1 and §2.2).
func (s *session) weaken() {
	switch s.strength {
	case Bits40:
		s.key[0], s.key[1], s.key[2] = 0xd1, 0x26, 0x9e
	case Bits56:
		s.key[0] = 0xd1
	}
}
