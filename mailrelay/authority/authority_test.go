package authority

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	today      = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	withoutRTC = time.Date(1970, time.January, 1, 0, 1, 0, 0, time.UTC)
)

func testConfig(dir string) Config {
	return Config{
		Dir: dir, Hostname: "mail.postern.lan", Aliases: []string{"pop.example.org"},
		Addresses: []netip.Addr{netip.MustParseAddr("10.64.64.1"), netip.MustParseAddr("192.0.2.7")},
		Now:       func() time.Time { return today },
		Log:       slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, cfg Config) *Authority {
	t.Helper()
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.RootPEM()) {
		t.Fatal("the root is not PEM")
	}
	return pool
}

// shake runs a handshake over loopback: hello.Conn has real addresses there.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		c := tls.Server(conn, server)
		if err = c.Handshake(); err == nil {
			_, err = io.WriteString(c, "hello")
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := tls.Client(conn, client)
	if err = c.Handshake(); err == nil {
		_, err = io.ReadAll(c)
	}
	if servers := <-done; err == nil {
		err = servers
	}
	return c.ConnectionState(), err
}

func everybody(netip.Addr) bool { return true }

func TestTheServerIsBelievedByItsNamesAndAddressesUnderTheRoot(t *testing.T) {
	a := open(t, testConfig(t.TempDir()))
	for _, name := range []string{"mail.postern.lan", "pop.example.org", "10.64.64.1", "192.0.2.7"} {
		st, err := shake(t, a.ServerConfig(OldClients{}), &tls.Config{RootCAs: a.roots(t), ServerName: name, Time: a.cfg.Now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if st.Version != tls.VersionTLS13 {
			t.Errorf("%s: got %s", name, tls.VersionName(st.Version))
		}
	}
	if _, err := shake(t, a.ServerConfig(OldClients{}), &tls.Config{RootCAs: a.roots(t), ServerName: "other.example", Time: a.cfg.Now}); err == nil {
		t.Error("believed by a name that is not the box's")
	}
}

func TestAClientWithoutEllipticCurvesGetsTheRSACertificate(t *testing.T) {
	a := open(t, testConfig(t.TempDir()))
	st, err := shake(t, a.ServerConfig(OldClients{}), &tls.Config{
		RootCAs: a.roots(t), ServerName: "mail.postern.lan", Time: a.cfg.Now,
		MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	})
	if err != nil {
		t.Fatal(err)
	}
	if st.PeerCertificates[0].PublicKeyAlgorithm != x509.RSA {
		t.Errorf("got %v", st.PeerCertificates[0].PublicKeyAlgorithm)
	}
}

func TestRootAndServerCertificatesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, testConfig(dir))
	second := open(t, testConfig(dir))
	if string(first.RootPEM()) != string(second.RootPEM()) {
		t.Fatal("the root is another one")
	}
	for k := ecKind; k <= oldKind; k++ {
		before, err := first.server(k)
		if err != nil {
			t.Fatal(err)
		}
		after, err := second.server(k)
		if err != nil {
			t.Fatal(err)
		}
		if !before.Leaf.Equal(after.Leaf) {
			t.Errorf("%s is another one", k.file())
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("the folder holds %v, error %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v, error %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestADamagedRootIsAnErrorThatSaysWhatToDoAndIsKept(t *testing.T) {
	dir := t.TempDir()
	open(t, testConfig(dir))
	path := filepath.Join(dir, rootFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"cut":              string(whole[:len(whole)/2]),
		"of another's key": strings.Split(string(whole), "-----BEGIN PRIVATE")[0] + otherKey(t),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(testConfig(dir))
		if err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: error is %v", name, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%s: the file was changed, error %v", name, err)
		}
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	open(t, testConfig(dir))
	text, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(text), "-----BEGIN PRIVATE")
	return "-----BEGIN PRIVATE" + key
}

func TestADamagedServerCertificateIsIssuedAnew(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ecKind.file()), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, testConfig(dir))
	if _, err := a.server(ecKind); err != nil {
		t.Fatal(err)
	}
	if _, err := load(filepath.Join(dir, ecKind.file())); err != nil {
		t.Error(err)
	}
}

func TestAServerCertificateIsRenewedBeforeItsEndUnderTheSameKey(t *testing.T) {
	cfg := testConfig(t.TempDir())
	now := today
	cfg.Now = func() time.Time { return now }
	a := open(t, cfg)
	for k := ecKind; k <= rsaKind; k++ {
		now = today
		first, err := a.server(k)
		if err != nil {
			t.Fatal(err)
		}
		if days := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore) / day; days > 825 {
			t.Errorf("valid for %d days", days)
		}
		now = today.Add(lifetime - renewal - time.Hour)
		same, err := a.server(k)
		if err != nil || !same.Leaf.Equal(first.Leaf) {
			t.Errorf("renewed too early, error %v", err)
		}
		now = today.Add(lifetime - renewal + time.Hour)
		next, err := a.server(k)
		if err != nil {
			t.Fatal(err)
		}
		if next.Leaf.Equal(first.Leaf) || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
			t.Error("not renewed")
		}
		if string(next.Leaf.RawSubjectPublicKeyInfo) != string(first.Leaf.RawSubjectPublicKeyInfo) {
			t.Error("the key is another one")
		}
	}
}

func TestNewNamesMakeANewServerCertificate(t *testing.T) {
	cfg := testConfig(t.TempDir())
	first, err := open(t, cfg).server(ecKind)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Aliases = append(cfg.Aliases, "smtp.example.org")
	second, err := open(t, cfg).server(ecKind)
	if err != nil {
		t.Fatal(err)
	}
	if first.Leaf.Equal(second.Leaf) || second.Leaf.VerifyHostname("smtp.example.org") != nil {
		t.Errorf("the certificate is for %v", second.Leaf.DNSNames)
	}
}

func TestABoxWhoseClockShows1970IsBelievedAllTheSame(t *testing.T) {
	cfg := testConfig(t.TempDir())
	now := withoutRTC
	cfg.Now = func() time.Time { return now }
	a := open(t, cfg)
	for _, clients := range []time.Time{firstDay.Add(day), today, lastDay.Add(-day)} {
		_, err := shake(t, a.ServerConfig(OldClients{}), &tls.Config{RootCAs: a.roots(t), ServerName: "mail.postern.lan", Time: func() time.Time { return clients }})
		if err != nil {
			t.Errorf("a client in %d: %v", clients.Year(), err)
		}
	}
	now = today
	c, err := a.server(ecKind)
	if err != nil || c.Leaf.NotAfter.After(today.Add(lifetime)) {
		t.Errorf("the clock is set, but the certificate is valid until %v, error %v", c.Leaf.NotAfter, err)
	}
	now = withoutRTC // a restart
	after, err := a.server(ecKind)
	if err != nil || !after.Leaf.Equal(c.Leaf) {
		t.Errorf("a clock that shows nothing has put the certificate away, error %v", err)
	}
}

func TestOldSuitesServeTheClientsOfTheirYears(t *testing.T) {
	a := open(t, testConfig(t.TempDir()))
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		for _, suite := range []uint16{
			tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		} {
			t.Run(fmt.Sprint(tls.VersionName(version), " ", tls.CipherSuiteName(suite)), func(t *testing.T) {
				client := &tls.Config{
					RootCAs: a.roots(t), ServerName: "mail.postern.lan", Time: a.cfg.Now,
					MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite},
				}
				st, err := shake(t, a.ServerConfig(OldClients{Allowed: everybody}), client)
				if err != nil {
					t.Fatal(err)
				}
				if st.Version != version || st.CipherSuite != suite {
					t.Errorf("got %s, %s", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite))
				}
			})
		}
	}
}

func TestTheSHA1CertificateIsShownToTheOldestOnly(t *testing.T) {
	a := open(t, testConfig(t.TempDir()))
	server := a.ServerConfig(OldClients{Allowed: everybody, Certificate: SHA1RSA1024})
	// Go's verifier refuses SHA-1, which the clients of those years do not.
	st, err := shake(t, server, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	})
	if err != nil {
		t.Fatal(err)
	}
	leaf := st.PeerCertificates[0]
	if leaf.SignatureAlgorithm != x509.SHA1WithRSA || leaf.Subject.CommonName != "mail.postern.lan" {
		t.Errorf("got %v for %v", leaf.SignatureAlgorithm, leaf.Subject)
	}
	st, err = shake(t, server, &tls.Config{RootCAs: a.roots(t), ServerName: "mail.postern.lan", Time: a.cfg.Now})
	if err != nil || st.Version != tls.VersionTLS13 {
		t.Errorf("a client of today: %s, error %v", tls.VersionName(st.Version), err)
	}
}

func TestOldTLSIsRefusedWhereItIsNotAllowedAndTheLogSaysWhy(t *testing.T) {
	var log strings.Builder
	cfg := testConfig(t.TempDir())
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	a := open(t, cfg)
	asked := netip.Addr{}
	for name, old := range map[string]OldClients{
		"not set":   {},
		"elsewhere": {Allowed: func(from netip.Addr) bool { asked = from; return false }},
	} {
		log.Reset()
		for _, client := range []*tls.Config{
			{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
			{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
		} {
			client.InsecureSkipVerify = true
			if _, err := shake(t, a.ServerConfig(old), client); err == nil {
				t.Errorf("%s: let in", name)
			}
		}
		if !strings.Contains(log.String(), `speaks="TLS 1.1"`) {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
	if asked != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("asked for %v", asked)
	}
}

func TestTheOldRootIsTheSameNameAndKeyWithASHA1Signature(t *testing.T) {
	a := open(t, testConfig(t.TempDir()))
	der, err := a.OldRootDER()
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.OldRootDER()
	if err != nil || string(again) != string(der) {
		t.Errorf("it is another one each time, error %v", err)
	}
	old, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(a.RootDER())
	if err != nil {
		t.Fatal(err)
	}
	if old.SignatureAlgorithm != x509.SHA1WithRSA || string(old.RawSubject) != string(root.RawSubject) ||
		string(old.SubjectKeyId) != string(root.SubjectKeyId) || string(old.RawSubjectPublicKeyInfo) != string(root.RawSubjectPublicKeyInfo) {
		t.Errorf("%v, %v, is not %v", old.SignatureAlgorithm, old.Subject, root.Subject)
	}
}

// A full or failing disk must not end the service of a box that runs.
func TestACertificateThatCannotBeKeptIsUsedAllTheSame(t *testing.T) {
	cfg := testConfig(filepath.Join(t.TempDir(), "ca"))
	a := open(t, cfg)
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, a.ServerConfig(OldClients{}), &tls.Config{RootCAs: a.roots(t), ServerName: "mail.postern.lan", Time: a.cfg.Now}); err != nil {
		t.Error(err)
	}
}
