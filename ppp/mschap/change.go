package mschap

import (
	"crypto/rc4"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// A PasswordBlock carries a new password, encrypted with a hash of the old one, in a
// Change-Password packet (PWBLOCK; RFC 2433 §10, RFC 2759 §7): 512 octets, of which the last
// ones are the password in UTF-16, and its length.
type PasswordBlock [512 + 4]byte

const blockText = 512

// ErrPasswordBlock says that a Change-Password packet was not made by one who knows the old
// password.
var ErrPasswordBlock = errors.New("mschap: the new password cannot be read with the old one: the caller does not know it, or it was changed meanwhile")

// NewPassword makes what a peer sends to change its password: the block and the old
// hash encrypted with the new password's (RFC 2759 §8.9 and §8.12). oldHash is the NT
// hash of the old password; or, for the LM fields of RFC 2433 §10, its LM hash. random
// fills the block. A password of more than 256 UTF-16 units does not fit.
func NewPassword(random io.Reader, password string, oldHash [16]byte) (block PasswordBlock, check [16]byte, err error) {
	units := utf16.Encode([]rune(password))
	if 2*len(units) > blockText {
		return block, check, fmt.Errorf("mschap: a password of %d characters is too long; 256 is the most", len(units))
	}
	if _, err := io.ReadFull(random, block[:blockText]); err != nil {
		return block, check, fmt.Errorf("mschap: no random octets for the password block: %w", err)
	}
	at := blockText - 2*len(units)
	for i, u := range units {
		binary.LittleEndian.PutUint16(block[at+2*i:], u)
	}
	binary.LittleEndian.PutUint32(block[blockText:], uint32(2*len(units)))
	block.crypt(oldHash)
	return block, hashUnderHash(oldHash, NTHash(password)), nil
}

// Password returns the new password in the block, if both it and check were made with the old
// hash (see NewPassword), else ErrPasswordBlock.
func (block PasswordBlock) Password(oldHash, check [16]byte) (string, error) {
	block.crypt(oldHash)
	n := binary.LittleEndian.Uint32(block[blockText:])
	if n > blockText || n%2 != 0 {
		return "", ErrPasswordBlock
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(block[blockText-int(n)+2*i:])
	}
	password := string(utf16.Decode(units))
	// A wrong hash gives a length in range once in millions, and then no password.
	want := hashUnderHash(oldHash, NTHash(password))
	if subtle.ConstantTimeCompare(want[:], check[:]) != 1 || !utf8.ValidString(password) {
		return "", ErrPasswordBlock
	}
	return password, nil
}

// crypt is Rc4Encrypt (RFC 2759 §8.11), which is its own inverse.
func (block *PasswordBlock) crypt(hash [16]byte) {
	c, err := rc4.NewCipher(hash[:])
	if err != nil {
		panic("mschap: RC4 refuses a 16-octet key: " + err.Error()) // it cannot
	}
	c.XORKeyStream(block[:], block[:])
}

// hashUnderHash is NtPasswordHashEncryptedWithBlock (RFC 2759 §8.13).
func hashUnderHash(hash, key [16]byte) (out [16]byte) {
	desEncrypt(out[0:8], key[0:7], hash[0:8])
	desEncrypt(out[8:16], key[7:14], hash[8:16])
	return out
}
