package authority

import (
	"crypto/x509"
	"math/big"
	"testing"
)

// FuzzParse reads files that a failing card may have left: what is taken is a
// certificate with its own key, and is the same when it is written and read again.
func FuzzParse(f *testing.F) {
	key, err := ecKind.newKey()
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	p, err := sign(template, template, key, key)
	if err != nil {
		f.Fatal(err)
	}
	text, err := p.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parse(text)
		if err != nil {
			return
		}
		written, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(written)
		if err != nil || !again.cert.Equal(p.cert) {
			t.Fatalf("read again it is another, error %v", err)
		}
	})
}
