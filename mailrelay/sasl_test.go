package mailrelay

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"postern/ppp/mschap"
)

// saslTry starts a mechanism for the test accounts; who is set when it admits.
func saslTry(t *testing.T, name string) (server sasl.Server, who *string) {
	t.Helper()
	who = new(string)
	server = newSASL(name, testAccounts(), func(a Account) { *who += a.User })
	if server == nil {
		t.Fatalf("there is no %s", name)
	}
	return server, who
}

// next expects the exchange to go on, and returns the challenge.
func next(t *testing.T, server sasl.Server, response []byte) string {
	t.Helper()
	challenge, done, err := server.Next(response)
	if done || err != nil {
		t.Fatalf("%q ended the exchange: %v", response, err)
	}
	return string(challenge)
}

func TestNoMechanismAdmitsAnybodyForNonsense(t *testing.T) {
	for _, m := range saslMechanisms() {
		for _, nonsense := range []string{"", " ", "\x00", "\x00\x00", "nopass ", "nopass\x00\x00", "\x00nopass\x00", "n,,n=nopass,r=", "=", "NTLMSSP\x00", strings.Repeat("\x00", 300), strings.Repeat("a", 300)} {
			server, who := saslTry(t, m)
			response := []byte(nil)
			for range 6 {
				_, done, err := server.Next(response)
				if err == nil && done || *who != "" {
					t.Fatalf("%s admits %q for %q", m, *who, nonsense)
				}
				if err != nil {
					break
				}
				response = []byte(nonsense)
			}
		}
	}
}

func TestCRAMMD5IsTheDigestOfRFC2195(t *testing.T) {
	if got := cramDigest("<1896.697170952@postoffice.reston.mci.net>", "tanstaaftanstaaf"); got != "b913a602c7eda7a495b4e6e7334d3890" {
		t.Errorf("the RFC's own example gives %s", got)
	}
	for _, c := range []struct {
		name, password string
		ok             bool
	}{
		{"alice", alicePassword, true},
		{"A.SMITH@example.org", alicePassword, true},
		{"alice", "wrong", false},
		{"nopass", "", false},
		{"stranger", "nobody", false},
	} {
		server, who := saslTry(t, "cram-md5")
		challenge := next(t, server, nil)
		_, done, err := server.Next([]byte(c.name + " " + cramDigest(challenge, c.password)))
		if c.ok && (!done || err != nil || *who != "alice") || !c.ok && (!errors.Is(err, errLogin) || *who != "") {
			t.Errorf("%s: %v, %v, admitted %q", c.name, done, err, *who)
		}
	}
	a, _ := saslTry(t, "CRAM-MD5")
	b, _ := saslTry(t, "CRAM-MD5")
	if next(t, a, nil) == next(t, b, nil) {
		t.Error("two challenges are the same: a digest could be replayed")
	}
}

func TestSCRAMIsTheExchangeOfTheRFCs(t *testing.T) {
	accounts := AccountList{{User: "user", Password: func() string { return "pencil" }}}
	for _, c := range []struct {
		rfc                                            string
		hash                                           func() hash.Hash
		nonce, salt                                    string
		clientFirst, serverFirst, clientFinal, verdict string
	}{
		{
			"RFC 5802 section 5", sha1.New, "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		}, {
			"RFC 7677 section 3", sha256.New, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		start := func() (sasl.Server, *string) {
			who := new(string)
			server := newSCRAMServer(c.hash)(accounts, func(a Account) { *who += a.User }).(*saslSCRAM)
			salt, err := base64.StdEncoding.DecodeString(c.salt)
			if err != nil {
				t.Fatal(err)
			}
			server.nonce, server.salt = c.nonce, salt
			return server, who
		}
		server, who := start()
		if got := next(t, server, nil); got != "" {
			t.Errorf("%s: the server begins by %q", c.rfc, got)
		}
		if got := next(t, server, []byte(c.clientFirst)); got != c.serverFirst {
			t.Errorf("%s: server-first is\n%s, want\n%s", c.rfc, got, c.serverFirst)
		}
		if got := next(t, server, []byte(c.clientFinal)); got != c.verdict {
			t.Errorf("%s: server-final is\n%s, want\n%s", c.rfc, got, c.verdict)
		}
		if *who != "" {
			t.Errorf("%s: admitted before the end", c.rfc)
		}
		if _, done, err := server.Next([]byte{}); !done || err != nil || *who != "user" {
			t.Errorf("%s: %v, %v, admitted %q", c.rfc, done, err, *who)
		}
		for what, spoil := range map[string][2]string{
			"another proof":      {c.clientFirst, strings.Replace(c.clientFinal, ",p=", ",p=A", 1)[:len(c.clientFinal)]},
			"a short proof":      {c.clientFirst, c.clientFinal[:strings.Index(c.clientFinal, ",p=")+3]},
			"another nonce":      {c.clientFirst, strings.Replace(c.clientFinal, "r=", "r=x", 1)},
			"another header":     {strings.Replace(c.clientFirst, "n,,", "y,,", 1), c.clientFinal},
			"an unknown user":    {strings.Replace(c.clientFirst, "n=user", "n=resu", 1), c.clientFinal},
			"acting for another": {strings.Replace(c.clientFirst, "n,,", "n,a=root,", 1), c.clientFinal},
			"a mandatory extra":  {strings.Replace(c.clientFirst, "n,,", "n,,m=x,", 1), c.clientFinal},
			"channel binding":    {strings.Replace(c.clientFirst, "n,,", "p=tls-unique,,", 1), c.clientFinal},
			"a name with an =":   {strings.Replace(c.clientFirst, "n=user", "n=us=er", 1), c.clientFinal},
			"no nonce":           {"n,,n=user,r=", c.clientFinal},
		} {
			server, who := start()
			_, done, err := server.Next([]byte(spoil[0]))
			if err == nil {
				_, done, err = server.Next([]byte(spoil[1]))
			}
			if done || err == nil || *who != "" {
				t.Errorf("%s: %s was taken", c.rfc, what)
			}
		}
	}
}

func TestSASLprepAsInRFC4013(t *testing.T) {
	for in, want := range map[string]string{ // section 3's examples
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "a\u00a0b": "a b",
	} {
		if got := saslPrep(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// The exchange itself is tested in package ntlm. Here is the message that
// Windows 98 sends: names in capitals and in a code page, an LM response.
func TestNTLMAdmitsWindows98(t *testing.T) {
	server, who := saslTry(t, "NTLM")
	if got := next(t, server, nil); got != "" {
		t.Errorf("the server begins by %q", got)
	}
	challenge := next(t, server, []byte("NTLMSSP\x00\x01\x00\x00\x00\x06\x82\x00\x00"))
	hash, _ := mschap.LMHash("BOB'S")
	lm := mschap.Response([8]byte([]byte(challenge[24:32])), hash)
	message := "NTLMSSP\x00\x03\x00\x00\x00"
	offset := 52
	for _, length := range []int{len(lm), 0, 0, len("BOB"), 0} {
		message += string([]byte{byte(length), 0, byte(length), 0, byte(offset), 0, 0, 0})
		offset += length
	}
	if _, done, err := server.Next([]byte(message + string(lm[:]) + "BOB")); !done || err != nil || *who != "bob" {
		t.Errorf("%v, %v, admitted %q", done, err, *who)
	}
}
