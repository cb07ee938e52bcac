package mschap

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// MD5Response is the response value of CHAP with MD5 (RFC 1994 §4.1): the
// hash of the packet's identifier, the secret and the challenge value.
func MD5Response(id byte, secret string, challenge []byte) (resp [16]byte) {
	h := md5.New()
	h.Write([]byte{id})
	h.Write([]byte(secret))
	h.Write(challenge)
	h.Sum(resp[:0])
	return resp
}

// Response is ChallengeResponse (RFC 2433 §A.3 and §A.8, RFC 2759 §8.5): the 24
// octets that answer an 8-octet challenge with a hash. With an NT hash it is
// MS-CHAP's NT response, with an LM hash its LM response.
func Response(challenge [8]byte, hash [16]byte) (resp [24]byte) {
	var key [21]byte
	copy(key[:], hash[:])
	for i := range 3 {
		desEncrypt(resp[8*i:8*i+8], key[7*i:7*i+7], challenge[:])
	}
	return resp
}

// BareName returns name without the domain of a DOMAIN\user form, as MS-CHAPv2
// hashes it (RFC 2759 §4). Its case is kept as typed.
func BareName(name string) string {
	return name[strings.LastIndexByte(name, '\\')+1:]
}

// ChallengeHash makes MS-CHAPv2's 8-octet challenge of both sides' challenges and
// the peer's name (RFC 2759 §8.2). A DOMAIN\ in front of the name is left out.
func ChallengeHash(peer, authenticator [16]byte, name string) (challenge [8]byte) {
	h := sha1.New()
	h.Write(peer[:])
	h.Write(authenticator[:])
	h.Write([]byte(BareName(name)))
	var sum [sha1.Size]byte
	copy(challenge[:], h.Sum(sum[:0]))
	return challenge
}

// ResponseV2 is MS-CHAPv2's NT response (GenerateNTResponse, RFC 2759 §8.1).
func ResponseV2(authenticator, peer [16]byte, name string, ntHash [16]byte) [24]byte {
	return Response(ChallengeHash(peer, authenticator, name), ntHash)
}

// AuthenticatorResponse is the "S=" and 40 hexadecimal digits by which MS-CHAPv2's
// authenticator proves that it knows the password too (RFC 2759 §8.7).
// ntResponse is the one that the peer sent.
func AuthenticatorResponse(ntHash [16]byte, ntResponse [24]byte, peer, authenticator [16]byte, name string) string {
	hashHash := HashNTHash(ntHash)
	challenge := ChallengeHash(peer, authenticator, name)
	var sum [sha1.Size]byte
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(ntResponse[:])
	h.Write([]byte("Magic server to client signing constant"))
	h.Sum(sum[:0])
	h.Reset()
	h.Write(sum[:])
	h.Write(challenge[:])
	h.Write([]byte("Pad to make it do more than one iteration"))
	h.Sum(sum[:0])
	return "S=" + strings.ToUpper(hex.EncodeToString(sum[:]))
}

// CheckAuthenticatorResponse reports whether message, the text of a Success
// packet, begins with the authenticator response want. What follows (" M=…") is for
// people, and digits may come in either case (RFC 2759 §5 asks for upper).
func CheckAuthenticatorResponse(message, want string) bool {
	if len(message) < len(want) || want == "" {
		return false
	}
	got := strings.ToUpper(message[:len(want)])
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
