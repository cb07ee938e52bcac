package mschap

import (
	"bytes"
	"crypto/des"
	"encoding/binary"
	"unicode/utf16"

	//lint:ignore SA1019 RFC 2433 and 2759 are built on MD4; there is no choice.
	"golang.org/x/crypto/md4"
)

// NTHash is NtPasswordHash (RFC 2433 §A.5, RFC 2759 §8.3): MD4 of the password
// in UTF-16, little-endian.
func NTHash(password string) [16]byte {
	units := utf16.Encode([]rune(password))
	p := make([]byte, 0, 2*len(units))
	for _, u := range units {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return md4Sum(p)
}

// HashNTHash is HashNtPasswordHash (RFC 2759 §8.4), the PasswordHashHash of
// RFC 3079: MD4 of an NT hash.
func HashNTHash(ntHash [16]byte) [16]byte { return md4Sum(ntHash[:]) }

func md4Sum(p []byte) (sum [16]byte) {
	h := md4.New()
	h.Write(p)
	h.Sum(sum[:0])
	return sum
}

// LMHash is LmPasswordHash (RFC 2433 §A.2) of the password in upper case. It is
// false when the password has no LM hash: LAN Manager ends at 14
// characters, and beyond ASCII the octets depend on the caller's code page,
// which nothing on the line tells.
func LMHash(password string) (hash [16]byte, ok bool) {
	if len(password) > 14 {
		return hash, false
	}
	for i := range len(password) {
		if password[i] >= 0x80 {
			return hash, false
		}
	}
	var key [14]byte
	copy(key[:], bytes.ToUpper([]byte(password)))
	desEncrypt(hash[0:8], key[0:7], []byte("KGS!@#$%"))
	desEncrypt(hash[8:16], key[7:14], []byte("KGS!@#$%"))
	return hash, true
}

// desEncrypt encrypts the one block clear into dst under a 7-octet key
// (DesEncrypt, RFC 2433 §A.3).
func desEncrypt(dst, key7, clear []byte) {
	key := desKey(key7)
	block, err := des.NewCipher(key[:])
	if err != nil {
		panic("mschap: DES refuses an 8-octet key: " + err.Error()) // it cannot
	}
	block.Encrypt(dst, clear)
}

// desKey spreads 56 bits over eight octets, with odd parity as RFC 2433 §B.3 prints
// them.
func desKey(key7 []byte) (key [8]byte) {
	var bits uint64
	for _, b := range key7[:7] {
		bits = bits<<8 | uint64(b)
	}
	for i := range key {
		b := byte(bits>>(49-7*i)) << 1
		parity := b ^ b>>4
		parity ^= parity >> 2
		parity ^= parity >> 1
		key[i] = b | ^parity&1
	}
	return key
}
