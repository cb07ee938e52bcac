package mailrelay

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"

	"postern/internal/status"
	"postern/mailrelay/provider"
)

func TestSCRAMVectors(t *testing.T) {
	for _, c := range []struct {
		rfc, mech                            string
		hash                                 func() hash.Hash
		nonce, first, server, final, verdict string
	}{
		{"RFC 5802 section 5", mechSCRAMSHA1, sha1.New, "fyko+d2lbbFgONRv9qkxdawL",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
		{"RFC 7677 section 3", mechSCRAMSHA256, sha256.New, "rOprNGfwEbeRWgbNEkqO",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	} {
		s := newSCRAM(c.mech, c.hash, "user", "pencil", c.nonce)
		mech, first, err := s.Start()
		if mech != c.mech || string(first) != c.first || err != nil {
			t.Errorf("%s: %s %s %v", c.rfc, mech, first, err)
		}
		final, err := s.Next([]byte(c.server))
		if string(final) != c.final || err != nil {
			t.Errorf("%s: %s, %v", c.rfc, final, err)
		}
		if verified(s) == nil {
			t.Errorf("%s: verified before the server's proof", c.rfc)
		}
		if out, err := s.Next([]byte(c.verdict)); out == nil || len(out) != 0 || err != nil {
			t.Errorf("%s: %q, %v", c.rfc, out, err)
		}
		if err := verified(s); err != nil {
			t.Errorf("%s: %v", c.rfc, err)
		}
	}
}

func TestHostileSCRAMServersAreRefused(t *testing.T) {
	for name, server := range map[string]string{
		"empty":               "",
		"another nonce":       "r=other,s=QSXCR+Q6sek8bf92,i=4096",
		"our nonce unchanged": "r=nonce,s=QSXCR+Q6sek8bf92,i=4096",
		"no salt":             "r=nonceX,s=?,i=4096",
		"no count":            "r=nonceX,s=QSXCR+Q6sek8bf92,i=x",
		"zero count":          "r=nonceX,s=QSXCR+Q6sek8bf92,i=0",
		"work for years":      "r=nonceX,s=QSXCR+Q6sek8bf92,i=2000000000",
		"unknown mandatory":   "m=x,r=nonceX,s=QSXCR+Q6sek8bf92,i=4096",
	} {
		if _, err := newSCRAM(mechSCRAMSHA1, sha1.New, "user", "pencil", "nonce").Next([]byte(server)); !errors.Is(err, errSCRAM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSCRAMServerFirst(f *testing.F) {
	f.Add("r=nonceX,s=QSXCR+Q6sek8bf92,i=1", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
	f.Add("r=nonceX,s=,i=1,ext", "e=other-error")
	f.Fuzz(func(t *testing.T, first, final string) {
		if strings.Contains(first, ",i=") && len(first[strings.Index(first, ",i="):]) > 6 {
			return // many iterations are slow, not interesting
		}
		s := newSCRAM(mechSCRAMSHA256, sha256.New, "user", "pencil", "nonce")
		if _, err := s.Next([]byte(first)); err != nil {
			return
		}
		if _, err := s.Next([]byte(final)); err == nil {
			t.Fatalf("%q and %q prove knowledge of the password", first, final)
		}
	})
}

func TestCRAMMD5Vector(t *testing.T) {
	c := &cramMD5{"tim", "tanstaaftanstaaf"} // RFC 2195 section 2
	got, err := c.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if string(got) != "tim b913a602c7eda7a495b4e6e7334d3890" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestBearerMessages(t *testing.T) {
	only := func(want string) func(string) bool { return func(m string) bool { return m == want } }
	// Google's documentation of XOAUTH2.
	c := credentials{username: "someuser@example.com", token: "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"}
	_, first, _ := c.choose(only(mechXOAUTH2)).Start()
	if got := base64.StdEncoding.EncodeToString(first); got != "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==" {
		t.Errorf("XOAUTH2: %s", got)
	}
	// RFC 7628 section 4.1, without the optional host and port.
	c = credentials{username: "user@example.com", token: "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="}
	_, first, _ = c.choose(only(sasl.OAuthBearer)).Start()
	if got := string(first); got != "n,a=user@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01" {
		t.Errorf("OAUTHBEARER: %q", got)
	}
}

func TestMechanismsFitTheCredentials(t *testing.T) {
	password := credentials{username: "u", password: "p"}
	for _, c := range []struct {
		name    string
		cred    credentials
		offered []string
		want    string
	}{
		{"strongest first", password, []string{"PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}, "SCRAM-SHA-256"},
		{"PLAIN before CRAM-MD5", password, []string{"CRAM-MD5", "LOGIN", "PLAIN"}, "PLAIN"},
		{"as configured", credentials{password: "p", allowed: []string{"login", "PLAIN"}}, []string{"PLAIN", "LOGIN"}, "LOGIN"},
		{"nothing fits", password, []string{"GSSAPI", "XOAUTH2"}, ""},
		{"token, not password", credentials{password: "p", token: "t"}, []string{"PLAIN", "XOAUTH2", "OAUTHBEARER"}, "OAUTHBEARER"},
		{"token is never a password", credentials{token: "t"}, []string{"PLAIN"}, ""},
		{"certificate alone", credentials{certificate: true}, []string{"PLAIN", "EXTERNAL"}, "EXTERNAL"},
		{"certificate and password", credentials{certificate: true, password: "p"}, []string{"PLAIN", "EXTERNAL"}, "PLAIN"},
	} {
		got := ""
		if m := c.cred.choose(func(m string) bool { return slices.Contains(c.offered, m) }); m != nil {
			got, _, _ = m.Start()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func withToken(token string, err error) worldOption {
	return func(cfg *UpstreamConfig, _ *world) {
		cfg.Accounts[0].Token = func(context.Context) (string, error) { return token, err }
	}
}

func TestEveryMechanismOpensBothDoors(t *testing.T) {
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"} {
		t.Run(mech, func(t *testing.T) {
			var opts []worldOption
			if slices.Contains(tokenMechanisms, mech) {
				opts = append(opts, withToken(secretWord, nil))
			}
			w := newWorld(t, opts...)
			w.provider.AddMessage("alice@isp", []byte("in\r\n"))
			w.accept("alice@example.org", "out\r\n", "bob@example.net")

			// A wrong secret first: no door opens, nothing leaks, nothing hangs.
			w.provider.SetFaults(provider.Faults{Mechanisms: []string{mech}, EchoLogin: true})
			w.provider.AddUser("alice@isp", "changed")
			w.fetch()
			w.submit()
			w.mustFail(status.Fetch, "refused")
			w.mustFail(status.Submit, "refused")

			w.provider.AddUser("alice@isp", secretWord)
			w.fetch()
			w.pass(defaultPoll)
			w.mustWork(status.Fetch)
			w.mustWork(status.Submit)
			w.mustHave("in\r\n")
			w.mustReceive("bob@example.net")
		})
	}
}

func TestServerThatCannotProveItKnowsThePasswordGetsNoMail(t *testing.T) {
	for name, f := range map[string]provider.Faults{
		"wrong proof": {LieInSCRAM: true},
		"no proof":    {SkipSCRAM: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f.Mechanisms = []string{"SCRAM-SHA-256"}
			w.provider.SetFaults(f)
			w.mustSendNothing("may pretend to be the provider", "no mail was sent or fetched")
		})
	}
}

func TestMissingTokenSaysToAuthorizeAgain(t *testing.T) {
	w := newWorld(t, withToken("", errors.New("the refresh token has expired")))
	w.mustSendNothing("the refresh token has expired", "authorize this box")
}

func TestMechanismThatIsNotOfferedIsAFaultAndNotAPasswordInTheClear(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, _ *world) { cfg.Accounts[0].Mechanisms = []string{"SCRAM-SHA-256"} })
	w.mustSendNothing("offers no log-in of the kind that is configured (SCRAM-SHA-256)")
}

func TestCredentialsCannotBreakOutOfTheirLine(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, _ *world) {
		cfg.Accounts[0].Password = func() string { return secretWord + "\r\nDELE 1" }
	})
	w.mustSendNothing("holds a line end")
}

func TestPinnedKeysNarrowWhatVerifies(t *testing.T) {
	pin := func(cfg *UpstreamConfig, w *world) {
		b, _ := pem.Decode(w.provider.CertificatePEM())
		ca, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			w.t.Fatal(err)
		}
		p, err := ParsePin(PinOf(ca).String())
		if err != nil {
			w.t.Fatal(err)
		}
		cfg.Accounts[0].Pins = []Pin{{1, 2, 3}, p}
	}
	w := newWorld(t, pin)
	w.fetch()
	w.mustWork(status.Fetch)

	// A certificate that does not verify is not saved by a pin, nor one that
	// does by another's.
	w = newWorld(t, pin)
	w.provider.SetFaults(provider.Faults{Certificate: provider.WrongName})
	w.mustSendNothing("for another name")
	w = newWorld(t, func(cfg *UpstreamConfig, _ *world) { cfg.Accounts[0].Pins = []Pin{{1, 2, 3}} })
	w.mustSendNothing("none of the pinned keys", "its key is sha256/", "nothing was sent")
}

func TestPinsAreReadAsWritten(t *testing.T) {
	for _, bad := range []string{"", "sha256/", "sha256/AAAA", "md5/" + strings.Repeat("A", 43) + "=", strings.Repeat("!", 44)} {
		if _, err := ParsePin(bad); err == nil || !strings.Contains(err.Error(), "sha256/") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestClientCertificateIsShown(t *testing.T) {
	cert := &tls.Certificate{Certificate: [][]byte{{1}}}
	a := UpstreamAccount{Certificate: cert}
	conf := a.tlsConfig(Endpoint{Host: "h"}, nil)
	if len(conf.Certificates) != 1 || fmt.Sprint(conf.Certificates[0].Certificate) != "[[1]]" {
		t.Errorf("%+v", conf.Certificates)
	}
}
