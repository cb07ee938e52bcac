package ntlm

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// The inputs common to the examples of [MS-NLMP] section 4.2.1.
const (
	exampleUser     = "User"
	exampleDomain   = "Domain"
	examplePassword = "Password"
	exampleServer   = "0123456789abcdef"
	exampleClient   = "aaaaaaaaaaaaaaaa"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exampleExchange(t testing.TB, flags uint32) *Exchange {
	e := New("Server", [8]byte(unhex(t, exampleServer)))
	if _, err := e.Challenge(negotiate(flags)); err != nil {
		t.Fatal(err)
	}
	return e
}

func negotiate(flags uint32) []byte {
	return append([]byte(signature+"\x01\x00\x00\x00"), byte(flags), byte(flags>>8), byte(flags>>16), byte(flags>>24))
}

// authenticate builds an AUTHENTICATE_MESSAGE as clients do.
func authenticate(lm, nt []byte, domain, user []byte) []byte {
	m := append([]byte(signature), typeAuthenticate, 0, 0, 0)
	offset := 64
	for _, p := range [][]byte{lm, nt, domain, user, nil, nil} {
		m = appendField(m, len(p), offset)
		offset += len(p)
	}
	m = append(m, 0, 0, 0, 0)
	return append(m, bytes.Join([][]byte{lm, nt, domain, user}, nil)...)
}

// The temp of [MS-NLMP] section 4.2.4.1.3: version, time, client challenge, and
// the target information of 4.2.4.
const exampleTemp = "0101000000000000" + "0000000000000000" + exampleClient + "00000000" +
	"02000c00 44006f006d00610069006e00" + "01000c00 530065007200760065007200" + "00000000" + "00000000"

func TestResponsesAreThoseOfTheSpecification(t *testing.T) {
	const none24 = exampleClient + "00000000000000000000000000000000"
	for _, c := range []struct {
		what   string
		flags  uint32
		lm, nt string
	}{
		{"4.2.2 NTLMv1", flagUnicode | flagNTLM, "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13", "67c43011f30298a2ad35ece64f16331c44bdbed927841f94"},
		{"4.2.2 NTLMv1, LM response only", flagUnicode | flagNTLM, "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13", ""},
		{"4.2.3 NTLMv1 with client challenge", flagUnicode | flagNTLM | flagExtendedSecurity, none24, "7537f803ae367128ca458204bde7caf81e97ed2683267232"},
		{"4.2.4 NTLMv2", flagUnicode | flagNTLM | flagExtendedSecurity, "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa", "68cd0ab851e51c96aabc927bebef6a1c" + exampleTemp},
		{"4.2.4 NTLMv2, LMv2 response only", flagUnicode | flagNTLM, "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa", ""},
	} {
		e := exampleExchange(t, c.flags)
		l, err := e.Authenticate(authenticate(unhex(t, c.lm), unhex(t, c.nt), toUTF16(exampleDomain), toUTF16(exampleUser)))
		if err != nil {
			t.Fatal(err)
		}
		if l.User != exampleUser || l.Domain != exampleDomain {
			t.Errorf("%s: user %q, domain %q", c.what, l.User, l.Domain)
		}
		if !l.Check(examplePassword) {
			t.Errorf("%s: the right password is refused", c.what)
		}
		for _, wrong := range []string{"", "password1", "Passwor", strings.Repeat("x", 300)} {
			if l.Check(wrong) {
				t.Errorf("%s: %q is taken", c.what, wrong)
			}
		}
		l.challenge[0]++
		if l.Check(examplePassword) {
			t.Errorf("%s: an answer to another challenge is taken", c.what)
		}
	}
}

func TestAnNTResponseIsNotSparedByALaxerOne(t *testing.T) {
	e := exampleExchange(t, flagUnicode|flagNTLM)
	lm := unhex(t, "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13")
	l, err := e.Authenticate(authenticate(lm, make([]byte, 24), toUTF16(exampleDomain), toUTF16(exampleUser)))
	if err != nil || l.Check(examplePassword) {
		t.Errorf("a wrong NT response was taken for the LM response beside it, %v", err)
	}
}

func TestAGuestIsNobody(t *testing.T) {
	e := exampleExchange(t, flagUnicode|flagNTLM)
	for _, lm := range [][]byte{nil, {0}} {
		l, err := e.Authenticate(authenticate(lm, nil, nil, nil))
		if err != nil || l.Check("") {
			t.Errorf("the anonymous log-in of [MS-NLMP] was taken, %v", err)
		}
	}
}

func TestWindows98KnowsCodePagesOnly(t *testing.T) {
	e := New("mail.postern.lan", [8]byte(unhex(t, exampleServer)))
	challenge, err := e.Challenge([]byte(signature + "\x01\x00\x00\x00")) // no flags at all
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(challenge, []byte("MAIL")) || challenge[20]&flagUnicode != 0 || challenge[20]&flagOEM == 0 {
		t.Errorf("challenge is %q", challenge)
	}
	l, err := e.Authenticate(authenticate(unhex(t, "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13"), nil, []byte("WORKGROUP"), []byte("ALICE")))
	if err != nil || l.User != "ALICE" || !l.Check("PASSWORD") {
		t.Errorf("%+v, %v", l.User, err)
	}
}

func TestTheChallengeIsLaidOutAsSpecified(t *testing.T) {
	// The NEGOTIATE_MESSAGE of [MS-OXPOP3] section 4.1.
	first, err := base64.StdEncoding.DecodeString("TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAFASgKAAAADw==")
	if err != nil {
		t.Fatal(err)
	}
	e := New("srv", [8]byte(unhex(t, exampleServer)))
	got, err := e.Challenge(first)
	want := unhex(t, "4e544c4d53535000 02000000 0600 0600 30000000 05828aa0 0123456789abcdef 0000000000000000 1800 1800 36000000"+
		"530052005600 0200 0600 530052005600 0100 0600 530052005600 0000 0000")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("challenge is\n%x, want\n%x, %v", got, want, err)
	}
}

func TestMessagesOutOfPlaceAreRefused(t *testing.T) {
	good := authenticate(make([]byte, 24), make([]byte, 24), nil, []byte("u"))
	e := exampleExchange(t, flagUnicode)
	for cut := range len(good) {
		if _, err := e.Authenticate(good[:cut]); !errors.Is(err, ErrMessage) && cut < 44 {
			t.Errorf("%d octets of a message were taken", cut)
		}
	}
	for _, m := range [][]byte{nil, []byte(signature), negotiate(1), bytes.Replace(good, []byte{0, 0, 0, 64}, []byte{255, 255, 255, 255}, 1)} {
		if _, err := e.Authenticate(m); err == nil && len(m) < 64 {
			t.Errorf("%x was taken", m)
		}
	}
	if _, err := e.Challenge(good); !errors.Is(err, ErrMessage) {
		t.Error("the last message was taken for the first")
	}
}

func FuzzExchange(f *testing.F) {
	f.Add(negotiate(0xa2088207), authenticate(make([]byte, 24), make([]byte, 60), toUTF16("D"), toUTF16("U")))
	f.Add(negotiate(0), authenticate(make([]byte, 24), nil, []byte("D"), []byte("U")))
	f.Add([]byte(signature+"\x01\x00\x00\x00"), []byte(signature+"\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, first, last []byte) {
		e := New("x", [8]byte{1, 2, 3})
		if challenge, err := e.Challenge(first); err == nil {
			if _, ok := field(challenge, 12); !ok {
				t.Fatalf("challenge %x points outside of itself", challenge)
			}
			if _, ok := field(challenge, 40); !ok {
				t.Fatalf("challenge %x points outside of itself", challenge)
			}
		}
		if l, err := e.Authenticate(last); err == nil && l.Check("a password that no fuzzer knows") {
			t.Fatalf("%x proves a password", last)
		}
	})
}
