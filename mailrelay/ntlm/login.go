package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"strings"

	"postern/ppp/mschap"
)

// Login is what a client claims, and its proof.
type Login struct {
	User   string
	Domain string // of the user's Windows log-in; says nothing about this server

	challenge [8]byte
	extended  bool // session security was agreed on
	lm, nt    []byte
}

// Check tells whether the proof was made with the password. An NT response
// decides if there is one; the weaker LM response counts only from clients that
// sent nothing else.
func (l *Login) Check(password string) bool {
	switch {
	case len(l.nt) == 24:
		return l.checkNT(password)
	case len(l.nt) >= 16+28: // proof, and the fixed part of NTLMv2_CLIENT_CHALLENGE
		return l.checkV2(password, l.nt)
	case len(l.nt) == 0 && len(l.lm) == 24:
		return l.checkLM(password) || l.checkV2(password, l.lm)
	}
	return false // a guest, or nothing that we know
}

// checkNT is NTLM v1 ([MS-NLMP] section 3.3.1). With session security the
// client's own challenge lies where the LM response was, and is followed by
// zeros.
func (l *Login) checkNT(password string) bool {
	challenge := l.challenge
	if l.extended && len(l.lm) == 24 && [16]byte(l.lm[8:]) == [16]byte{} {
		both := md5.Sum(append(l.challenge[:], l.lm[:8]...))
		challenge = [8]byte(both[:8])
	}
	want := mschap.Response(challenge, mschap.NTHash(password))
	return subtle.ConstantTimeCompare(want[:], l.nt) == 1
}

// checkLM is the LM response, all that Windows 95 and 98 have.
func (l *Login) checkLM(password string) bool {
	hash, ok := mschap.LMHash(password)
	want := mschap.Response(l.challenge, hash)
	return subtle.ConstantTimeCompare(want[:], l.lm) == 1 && ok
}

// checkV2 is NTLMv2 and LMv2 ([MS-NLMP] section 3.3.2): a proof of 16 octets,
// and behind it what it proves together with our challenge.
func (l *Login) checkV2(password string, response []byte) bool {
	ntHash := mschap.NTHash(password)
	key := hmacMD5(ntHash[:], toUTF16(strings.ToUpper(l.User)+l.Domain))
	want := hmacMD5(key, l.challenge[:], response[16:])
	return subtle.ConstantTimeCompare(want, response[:16]) == 1
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(md5.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}
