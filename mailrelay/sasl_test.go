package mailrelay

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
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
