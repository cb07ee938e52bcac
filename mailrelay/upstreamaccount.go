package mailrelay

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// UpstreamAccount is one user's account at one provider.
type UpstreamAccount struct {
	User     string // of this box
	Upstream string // the provider's name in the configuration; also names its messages in the spool
	Fetch    Endpoint
	Submit   Endpoint // a zero Endpoint leaves that direction out
	// SubmitFallback, if not zero, is used while Submit cannot be, with the same
	// credentials.
	SubmitFallback Endpoint

	Username string // as the provider knows the user
	Password func() string
	// Token, if not nil, gives an OAuth 2.0 access token (RFC 6749) in place of the
	// password. Its error is shown to people and must not hold a secret.
	Token func(context.Context) (string, error)
	// Mechanisms are the SASL mechanisms that may be used, best first; nil: all.
	Mechanisms []string

	RootCAs     *x509.CertPool   // authorities for both servers; nil: the system's
	Pins        []Pin            // if any, a certificate of the chain must have one of these keys
	Certificate *tls.Certificate // shown to servers that ask for one; nil: none
	Poll        time.Duration    // between two visits for mail; default 5 minutes
}

// credentials are the account's, fresh for one log-in.
func (a UpstreamAccount) credentials(ctx context.Context) (credentials, error) {
	c := credentials{username: a.Username, certificate: a.Certificate != nil, allowed: a.Mechanisms}
	if a.Password != nil {
		c.password = a.Password()
	}
	if a.Token == nil {
		return c, nil
	}
	var err error
	if c.token, err = a.Token(ctx); err != nil {
		return c, &fault{auth: true, err: err, text: fmt.Sprintf("there is no access token for %s (%s): authorize this box at the provider; mail waits on both sides", a.Upstream, legible(err.Error(), 200))}
	}
	return c, nil
}

// tlsConfig verifies that a server is e at the time that now gives.
func (a UpstreamAccount) tlsConfig(e Endpoint, now func() time.Time) *tls.Config {
	conf := &tls.Config{
		ServerName: e.Host,
		RootCAs:    a.RootCAs,
		MinVersion: tls.VersionTLS12, // RFC 8996
		Time:       now,
	}
	if a.Certificate != nil {
		conf.Certificates = []tls.Certificate{*a.Certificate}
	}
	if len(a.Pins) > 0 {
		conf.VerifyConnection = func(st tls.ConnectionState) error { return checkPins(a.Pins, st) }
	}
	return conf
}

// Pin is the SHA-256 of a public key in a certificate (of its
// SubjectPublicKeyInfo, as RFC 7469 section 2.4 has it).
type Pin [sha256.Size]byte

// ParsePin reads "sha256/" and 44 letters of base64.
func ParsePin(s string) (Pin, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "sha256/"))
	if err != nil || len(b) != sha256.Size {
		return Pin{}, fmt.Errorf("%q is no pinned key: write sha256/ and the base64 of the SHA-256 of the key", s)
	}
	return Pin(b), nil
}

// PinOf is the Pin of a certificate's key.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// String is the form that ParsePin reads.
func (p Pin) String() string { return "sha256/" + base64.StdEncoding.EncodeToString(p[:]) }

// errPinned is a certificate that verifies and has none of the pinned keys.
type errPinned struct{ shown Pin }

func (e errPinned) Error() string { return "its key is " + e.shown.String() }

// checkPins comes after the ordinary verification and only narrows it.
func checkPins(pins []Pin, st tls.ConnectionState) error {
	for _, chain := range st.VerifiedChains {
		for _, c := range chain {
			if slices.Contains(pins, PinOf(c)) {
				return nil
			}
		}
	}
	return errPinned{PinOf(st.PeerCertificates[0])}
}
