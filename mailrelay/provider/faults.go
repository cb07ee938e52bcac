package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificate is which certificate the provider shows.
type Certificate int

// The certificates.
const (
	GoodCertificate Certificate = iota
	StrangeAuthority
	WrongName
	Expired
	NotYetValid
)

// Reply is what an SMTP server answers: a code and its words, which may begin
// with an enhanced status code.
type Reply struct {
	Code int
	Text string
}

// Faults are the ways in which a provider may fail its customers.
type Faults struct {
	Certificate Certificate
	MaxTLS      uint16   // newest version spoken, tls.VersionTLS11; 0: TLS 1.3
	NoStartTLS  bool     // neither STLS nor STARTTLS is offered nor obeyed
	Injected    string   // written in the clear right behind the agreement to TLS
	Mechanisms  []string // offered by SASL; nil: PLAIN, and LOGIN by SMTP
	LieInSCRAM  bool     // the provider's proof of SCRAM is wrong
	SkipSCRAM   bool     // the provider lets in without its proof of SCRAM
	RefuseLogin bool     // no password is right
	EchoLogin   bool     // a refusal repeats the password

	RefuseMail     Reply            // to MAIL FROM
	RefuseRcpt     map[string]Reply // to RCPT TO, by address
	RefuseData     Reply            // to the end of the message
	RefuseTimes    int              // if not 0, how often the three refuse before they give in
	DropAfterData  int              // so many messages are taken and the connection dies before the 250
	DropDuringData int              // so often the connection dies within the message

	NoUIDL     bool
	NoCAPA     bool
	SizesShown map[string]int64 // what LIST says of a unique-id, whatever is true
	DropInRetr map[string]bool  // unique-ids whose RETR breaks the connection half-way
	DropAtQuit bool             // QUIT is never answered, and nothing is deleted
	// Silent, if not nil, hears of every POP3 customer who asks for UIDL, and gets
	// no answer any more.
	Silent chan<- struct{}

	KeepDeleted bool // DELE and QUIT are answered, and nothing is deleted
}

// authority signs the certificates of one run.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "Provider's authority of this run"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a server certificate of the wanted kind.
func (a *authority) issue(kind Certificate) (*tls.Certificate, error) {
	if kind == StrangeAuthority {
		var err error
		if a, err = newAuthority(); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: Host},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{Host},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	switch kind {
	case WrongName:
		t.DNSNames, t.IPAddresses = []string{"mail.elsewhere.example"}, nil
	case Expired:
		t.NotBefore, t.NotAfter = now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1)
	case NotYetValid:
		t.NotBefore, t.NotAfter = now.AddDate(0, 0, 1), now.AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfig shows the certificate that the faults of the moment ask for.
func (p *Provider) tlsConfig() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		f := p.fault()
		cert, err := p.authority.issue(f.Certificate)
		if err != nil {
			return nil, err
		}
		conf := &tls.Config{Certificates: []tls.Certificate{*cert}, MaxVersion: f.MaxTLS}
		if f.MaxTLS != 0 && f.MaxTLS < tls.VersionTLS12 {
			conf.MinVersion = tls.VersionTLS10
		}
		return conf, nil
	}}
}
