package mschap

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestANewPasswordIsReadWithTheOldHashOnly(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	lm, _ := LMHash("old")
	for _, oldHash := range [][16]byte{NTHash("old"), lm} {
		for _, password := range []string{"", "new", "naïve € 𝄞", strings.Repeat("x", 256)} {
			block, check, err := NewPassword(random, password, oldHash)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := block.Password(oldHash, check); err != nil || got != password {
				t.Errorf("%d octets of password: %v", len(password), err)
			}
			if _, err := block.Password(NTHash("other"), check); !errors.Is(err, ErrPasswordBlock) {
				t.Errorf("read with another hash: %v", err)
			}
			check[15] ^= 1
			if _, err := block.Password(oldHash, check); !errors.Is(err, ErrPasswordBlock) {
				t.Errorf("read with a wrong check: %v", err)
			}
		}
	}
}

func TestAPasswordBlockCannotLieAboutItsLength(t *testing.T) {
	oldHash := NTHash("old")
	for _, n := range []uint32{513, 514, 3, 0xffffffff} {
		var block PasswordBlock
		for i := range 4 {
			block[blockText+i] = byte(n >> (8 * i))
		}
		block.crypt(oldHash)
		if _, err := block.Password(oldHash, [16]byte{}); !errors.Is(err, ErrPasswordBlock) {
			t.Errorf("length %d: %v", n, err)
		}
	}
}

func TestAPasswordThatDoesNotFitIsRefused(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	if _, _, err := NewPassword(random, strings.Repeat("x", 257), [16]byte{}); err == nil {
		t.Error("257 characters were taken")
	}
	if _, _, err := NewPassword(bytes.NewReader(nil), "x", [16]byte{}); err == nil {
		t.Error("no randomness was no error")
	}
}
