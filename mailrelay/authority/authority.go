package authority

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var (
	// firstDay is what a PC shows whose clock battery is dead.
	firstDay = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)
	// lastDay is the last whole year of UTCTime (RFC 5280 section 4.1.2.5.1); old
	// clients may not read the other form.
	lastDay = time.Date(2049, time.December, 31, 23, 59, 59, 0, time.UTC)
	// The clock is believed from plausibleFrom, before which no Postern was
	// built, to plausibleTo, after which a certificate would not fit under the root.
	plausibleFrom = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	plausibleTo   = time.Date(2047, time.January, 1, 0, 0, 0, 0, time.UTC)
)

const (
	day = 24 * time.Hour
	// Apple's clients take no server certificate of more than 825 days, under
	// roots that the user has installed neither.
	backdate = 30 * day // for PCs whose clock is a little slow
	lifetime = 730 * day
	renewal  = 90 * day // before the end
)

// Config is what the authority certifies, and where it is kept.
type Config struct {
	Dir       string       // made if missing, mode 0700
	Hostname  string       // the common name, which is all that old clients compare
	Aliases   []string     // further DNS names
	Addresses []netip.Addr // for mail programs that were given an address
	Now       func() time.Time
	Log       *slog.Logger
}

// Authority issues the box's server certificates. Its methods may be called
// from many goroutines.
type Authority struct {
	cfg  Config
	root pair

	mu      sync.Mutex
	servers map[kind]pair
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// kind is one of the server certificates.
type kind int

const (
	ecKind kind = iota
	rsaKind
	oldKind
)

func (k kind) file() string {
	return [...]string{"server-ec.pem", "server-rsa.pem", "server-old.pem"}[k]
}

func (k kind) newKey() (crypto.Signer, error) {
	switch k {
	case ecKind:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case rsaKind:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return rsa.GenerateKey(rand.Reader, 1024)
}

const rootFile = "root.pem"

// Open reads the root from the folder, or makes it if there is none yet.
func Open(cfg Config) (*Authority, error) {
	a := &Authority{cfg: cfg, servers: make(map[kind]pair)}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the box's certificate authority: %w", err)
	}
	var err error
	path := filepath.Join(cfg.Dir, rootFile)
	a.root, err = load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if a.root, err = newRoot(cfg.Hostname); err == nil {
			err = save(path, a.root)
		}
		if err == nil {
			cfg.Log.Info("the box's certificate authority was made", "name", a.root.cert.Subject.CommonName, "folder", cfg.Dir)
		}
	case err != nil:
		err = fmt.Errorf("%w; put it back from a backup, or remove it and install the new root on every PC", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the box's certificate authority: %w", err)
	}
	return a, nil
}

func newRoot(hostname string) (pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return pair{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	// Two boxes of one name, or one that lost its root, are told apart.
	mark := hex.EncodeToString(serial.Bytes()[:2])
	template := rootTemplate(serial, commonName("Postern root "+mark+" of "+hostname))
	return sign(template, template, key, key)
}

func rootTemplate(serial *big.Int, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Postern"}, CommonName: name},
		NotBefore:             firstDay,
		NotAfter:              lastDay,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
}

// RootPEM is the root to install on today's PCs.
func (a *Authority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.root.cert.Raw})
}

// RootDER is the root as Windows takes it by a double click.
func (a *Authority) RootDER() []byte { return bytes.Clone(a.root.cert.Raw) }

// OldRootDER is the same root with a SHA-1 signature, for Windows without
// SHA-2 (before XP SP3). A root is trusted for where it was found and not for
// its signature, so the weak one gives nothing away.
func (a *Authority) OldRootDER() ([]byte, error) {
	// RFC 5280 section 4.1.2.2: another certificate has another number.
	template := rootTemplate(new(big.Int).Add(a.root.cert.SerialNumber, big.NewInt(1)), a.root.cert.Subject.CommonName)
	template.SubjectKeyId = a.root.cert.SubjectKeyId
	template.SignatureAlgorithm = x509.SHA1WithRSA
	p, err := sign(template, template, a.root.key, a.root.key)
	if err != nil {
		return nil, err
	}
	return p.cert.Raw, nil
}

// server returns the certificate of that kind, issued anew when it is due.
func (a *Authority) server(k kind) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	p, ok := a.servers[k]
	if !ok {
		var err error
		if p, err = load(filepath.Join(a.cfg.Dir, k.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.cfg.Log.Warn("a server certificate cannot be read; another is issued", "err", err)
		}
	}
	if p.cert == nil || a.due(p.cert, k, now) {
		var err error
		if p, err = a.issue(k, p.key, now); err != nil {
			return nil, fmt.Errorf("the box's certificate authority: %w", err)
		}
		a.cfg.Log.Info("server certificate issued", "file", k.file(), "until", p.cert.NotAfter)
		if err := save(filepath.Join(a.cfg.Dir, k.file()), p); err != nil {
			// It serves until the box is restarted; a full disk must not end calls.
			a.cfg.Log.Error("the server certificate cannot be kept", "err", err)
		}
	}
	a.servers[k] = p
	return &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}, nil
}

// due tells whether a server certificate is to be issued anew.
func (a *Authority) due(cert *x509.Certificate, k kind, now time.Time) bool {
	names, addresses := a.names()
	same := bytes.Equal(cert.AuthorityKeyId, a.root.cert.SubjectKeyId) &&
		slices.Equal(cert.DNSNames, names) && slices.EqualFunc(cert.IPAddresses, addresses, net.IP.Equal)
	if !same {
		return true
	}
	if k == oldKind || !plausible(now) {
		return false
	}
	return now.Before(cert.NotBefore) || now.After(cert.NotAfter.Add(-renewal)) || cert.NotBefore.Equal(firstDay)
}

func plausible(now time.Time) bool { return now.After(plausibleFrom) && now.Before(plausibleTo) }

// names are those that a certificate holds, each once.
func (a *Authority) names() (names []string, addresses []net.IP) {
	names = append([]string{a.cfg.Hostname}, a.cfg.Aliases...)
	slices.Sort(names)
	var ips []netip.Addr
	for _, ip := range a.cfg.Addresses {
		ips = append(ips, ip.Unmap())
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	for _, ip := range slices.Compact(ips) {
		addresses = append(addresses, ip.AsSlice())
	}
	return slices.Compact(names), addresses
}

// issue makes a server certificate, with the key that it had if it had one:
// mail programs that were told to trust it go on doing so if they look at the
// key.
func (a *Authority) issue(k kind, key crypto.Signer, now time.Time) (pair, error) {
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	if key == nil {
		if key, err = k.newKey(); err != nil {
			return pair{}, err
		}
	}
	names, addresses := a.names()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Postern"}, CommonName: commonName(a.cfg.Hostname)},
		NotBefore:             firstDay,
		NotAfter:              lastDay,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names,
		IPAddresses:           addresses,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	if k != ecKind {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment // RSA key exchange
	}
	if k == oldKind {
		template.SignatureAlgorithm = x509.SHA1WithRSA
	} else if plausible(now) {
		template.NotBefore, template.NotAfter = now.Add(-backdate), now.Add(lifetime)
	}
	return sign(template, a.root.cert, key, a.root.key)
}

func sign(template, parent *x509.Certificate, key, parentKey crypto.Signer) (pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{cert, key}, err
}

// newSerial is random, positive, and of 16 octets (RFC 5280 section 4.1.2.2
// grants 20).
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = cmp.Or(b[0]&0x7f, 1)
	return new(big.Int).SetBytes(b), nil
}

// commonName is at most ub-common-name long (RFC 5280 appendix A.1).
func commonName(s string) string { return s[:min(len(s), 64)] }
