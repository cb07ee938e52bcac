package mschap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func want(t *testing.T, what string, got []byte, hexWant string) {
	t.Helper()
	if w := unhex(t, hexWant); !bytes.Equal(got, w) {
		t.Errorf("%s = % x, want % x", what, got, w)
	}
}

// RFC 2433 §B.2 and §B.3, RFC 2759 §9.3.
func TestRFC2433Vectors(t *testing.T) {
	hash := NTHash("MyPw")
	want(t, "NtPasswordHash", hash[:], "FC 15 6A F7 ED CD 6C 0E DD E3 33 7D 42 7F 4E AC")
	resp := Response([8]byte(unhex(t, "10 2D B5 DF 08 5D 30 41")), hash)
	want(t, "NtChallengeResponse", resp[:], "4E 9D 3C 8F 9C FD 38 5D 5B F4 D3 24 67 91 95 6C A4 C3 51 AB 40 9A 3D 61")
	first, second := desKey(hash[:7]), desKey(hash[7:14])
	want(t, "first DES key", first[:], "FD 0B 5B 5E 7F 6E 34 D9")
	want(t, "second DES key", second[:], "0E 6E 79 67 37 EA 08 FE")
}

// RFC 2759 §9.2.
func TestRFC2759Vectors(t *testing.T) {
	authenticator := [16]byte(unhex(t, "5B 5D 7C 7D 7B 3F 2F 3E 3C 2C 60 21 32 26 26 28"))
	peer := [16]byte(unhex(t, "21 40 23 24 25 5E 26 2A 28 29 5F 2B 3A 33 7C 7E"))
	challenge := ChallengeHash(peer, authenticator, "User")
	want(t, "Challenge", challenge[:], "D0 2E 43 86 BC E9 12 26")
	hash := NTHash("clientPass")
	want(t, "PasswordHash", hash[:], "44 EB BA 8D 53 12 B8 D6 11 47 44 11 F5 69 89 AE")
	resp := ResponseV2(authenticator, peer, "User", hash)
	want(t, "NT-Response", resp[:], "82 30 9E CD 8D 70 8B 5E A0 8F AA 39 81 CD 83 54 42 33 11 4A 3D 85 D6 DF")
	hashHash := HashNTHash(hash)
	want(t, "PasswordHashHash", hashHash[:], "41 C0 0C 58 4B D2 D9 1C 40 17 A2 A1 2F A5 9F 3F")
	const s = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
	if got := AuthenticatorResponse(hash, resp, peer, authenticator, "User"); got != s {
		t.Errorf("AuthenticatorResponse = %q, want %q", got, s)
	}
}

// RFC 3079 §2.5: the start keys; package mppe tests the session keys made of them.
func TestRFC3079StartKeysOfVersion1(t *testing.T) {
	lm, ok := LMHash("clientPass")
	if !ok {
		t.Fatal("clientPass has no LM hash")
	}
	want(t, "LmPasswordHash", lm[:], "76 a1 52 93 60 96 d7 83 0e 23 90 22 74 04 af d2")
	k := KeysV1(&lm, NTHash("clientPass"), [8]byte(unhex(t, "10 2d b5 df 08 5d 30 41")))
	for _, get := range []func(int) []byte{k.Send, k.Receive} {
		want(t, "40-bit start key", get(8), "76 a1 52 93 60 96 d7 83")
		// §2.5.3 prints this key twice, once with a slip (ca for c1); the session
		// key that follows from it says which is meant.
		want(t, "128-bit start key", get(16), "a8 94 78 50 cf c0 ac c1 d1 78 9f b6 2d dc dd b0")
	}
}

// RFC 3079 §3.5.
func TestRFC3079StartKeysOfVersion2(t *testing.T) {
	hash := NTHash("clientPass")
	resp := [24]byte(unhex(t, "82 30 9E CD 8D 70 8B 5E A0 8F AA 39 81 CD 83 54 42 33 11 4A 3D 85 D6 DF"))
	server, client := KeysV2(hash, resp, true), KeysV2(hash, resp, false)
	want(t, "SendStartKey40", server.Send(8), "8B 7C DC 14 9B 99 3A 1B")
	want(t, "SendStartKey128", server.Send(16), "8B 7C DC 14 9B 99 3A 1B A1 18 CB 15 3F 56 DC CB")
	for _, n := range []int{8, 16} {
		if !bytes.Equal(server.Send(n), client.Receive(n)) || !bytes.Equal(server.Receive(n), client.Send(n)) {
			t.Errorf("%d octets: the ends do not have each other's keys", n)
		}
		if bytes.Equal(server.Send(n), server.Receive(n)) {
			t.Errorf("%d octets: both directions have one key", n)
		}
	}
}

// RFC 1994 has no vector. This is the digest by hand: MD5 of "\x01" "secret" "challenge".
func TestMD5ResponseHashesIdentifierSecretChallenge(t *testing.T) {
	got := MD5Response(1, "secret", []byte("challenge"))
	want(t, "MD5 response", got[:], "46e47770030e2b4e26a0db72a7efec00")
}

func TestDomainIsLeftOutOfTheChallengeHash(t *testing.T) {
	var a, p [16]byte
	for _, name := range []string{`CORP\User`, `\User`, `A\B\User`} {
		if ChallengeHash(p, a, name) != ChallengeHash(p, a, "User") {
			t.Errorf("%s hashes unlike User", name)
		}
	}
	if ChallengeHash(p, a, "user") == ChallengeHash(p, a, "User") {
		t.Error("the case of the name was lost")
	}
}

func TestLMHashIgnoresCaseAndKnowsItsLimits(t *testing.T) {
	a, _ := LMHash("clientPass")
	b, _ := LMHash("CLIENTPASS")
	if a != b {
		t.Error("LM hash depends on case")
	}
	if _, ok := LMHash("fifteen-letters"); ok {
		t.Error("15 characters have an LM hash")
	}
	if _, ok := LMHash("naïve"); ok {
		t.Error("a password beyond ASCII has an LM hash")
	}
	if empty, ok := LMHash(""); !ok || hex.EncodeToString(empty[:]) != "aad3b435b51404eeaad3b435b51404ee" {
		t.Errorf("LM hash of nothing = %x, %v", empty, ok)
	}
}

func TestKeysWithoutLMHashAreOf128BitsOnly(t *testing.T) {
	k := KeysV1(nil, NTHash("x"), [8]byte{})
	if k.Send(8) != nil || k.Receive(8) != nil || len(k.Send(16)) != 16 {
		t.Error("wrong set of keys")
	}
	if (Keys{}).Send(16) != nil {
		t.Error("the zero Keys has a key")
	}
}

func TestAuthenticatorResponseIsChecked(t *testing.T) {
	const s = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
	for message, ok := range map[string]bool{
		s:                true,
		s + " M=Welcome": true,
		"S=407a5589115fd0d6209f510fe9c04566932cda56 M=x": true,
		s[:41]: false,
		"":     false,
		"S=507A5589115FD0D6209F510FE9C04566932CDA56": false,
		" " + s: false,
	} {
		if CheckAuthenticatorResponse(message, s) != ok {
			t.Errorf("%q: want %v", message, ok)
		}
	}
	if CheckAuthenticatorResponse("anything", "") {
		t.Error("an empty expectation was met")
	}
}

func TestKeysNeverPrint(t *testing.T) {
	k := KeysV2(NTHash("x"), [24]byte{}, true)
	type call struct{ keys Keys }
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%q", "%d"} {
		for _, v := range []any{k, &k, call{k}, []Keys{k}} {
			out := fmt.Sprintf(verb, v)
			for _, leak := range []string{hex.EncodeToString(k.Send(8)), fmt.Sprint(k.Send(8))[1:12], fmt.Sprintf("%#x", k.Send(16)[0:1]) + ", "} {
				if strings.Contains(out, leak) {
					t.Errorf("%s of %T shows a key", verb, v)
				}
			}
		}
	}
}
