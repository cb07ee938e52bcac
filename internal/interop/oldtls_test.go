//go:build interop

package interop

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/mailrelay"
	boxca "postern/mailrelay/authority"
	"postern/mailrelay/spool"
)

// mailPorts are the mail servers on loopback, with TLS under the box's root.
type mailPorts struct {
	pop3, pop3s, smtp, smtps string // host:port
	root                     string // PEM file
}

func startMailPorts(t *testing.T, old boxca.OldClients) mailPorts {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	ca, err := boxca.Open(boxca.Config{Dir: filepath.Join(dir, "ca"), Hostname: "mail.postern.lan", Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	accounts := mailrelay.AccountList{{User: "alice", Addresses: []string{"alice@example.org"}, Password: func() string { return "wonderland" }}}
	pop3 := &mailrelay.POP3Server{Spool: s, Accounts: accounts, Hostname: "mail.postern.lan", TLS: ca.ServerConfig(old), Log: log}
	smtp := &mailrelay.SMTPServer{Spool: s, Accounts: accounts, Hostname: "mail.postern.lan", TLS: ca.ServerConfig(old), Log: log}
	ports := mailPorts{root: filepath.Join(dir, "root.pem")}
	if err := os.WriteFile(ports.root, ca.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		address *string
		serve   func(context.Context, net.Listener) error
	}{{&ports.pop3, pop3.Serve}, {&ports.pop3s, pop3.ServeTLS}, {&ports.smtp, smtp.Serve}, {&ports.smtps, smtp.ServeTLS}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*at.address = l.Addr().String()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- at.serve(ctx, l) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return ports
}

// sClient is Debian's openssl s_client, which says QUIT. It is
// an error if the certificate is not believed.
func sClient(t *testing.T, root, address string, args ...string) (said string, err error) {
	t.Helper()
	args = append([]string{
		"s_client", "-connect", address, "-CAfile", root, "-verify_return_error", "-verify_hostname", "mail.postern.lan", "-crlf", "-ign_eof",
	}, args...)
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = strings.NewReader("QUIT\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// OpenSSL 3 of Debian is built without 3DES and RC4; what it has of TLS 1.0 is
// AES with RSA key exchange. The other suites are shown with Go's own client.
func TestOpenSSLSpeaksTLS10WithTheBox(t *testing.T) {
	for name, old := range map[string]boxca.OldClients{
		"RSA 2048, SHA-256": {Allowed: func(netip.Addr) bool { return true }},
		"RSA 1024, SHA-1":   {Allowed: func(netip.Addr) bool { return true }, Certificate: boxca.SHA1RSA1024},
	} {
		ports := startMailPorts(t, old)
		for _, c := range []struct {
			address string
			start   []string
		}{
			{ports.pop3s, nil},
			{ports.pop3, []string{"-starttls", "pop3"}},
			{ports.smtps, nil},
			{ports.smtp, []string{"-starttls", "smtp"}},
		} {
			for _, version := range []string{"-tls1", "-tls1_1"} {
				args := append([]string{version, "-cipher", "AES128-SHA:@SECLEVEL=0"}, c.start...)
				said, err := sClient(t, ports.root, c.address, args...)
				// The suite is of SSL 3.0 to OpenSSL; the version is in the session.
				protocol := map[string]string{"-tls1": "Protocol  : TLSv1\n", "-tls1_1": "Protocol  : TLSv1.1\n"}[version]
				if err != nil || !strings.Contains(said, protocol) || !strings.Contains(said, "Cipher is AES128-SHA") {
					t.Errorf("%s, %s %v: %v\n%s", name, version, c.start, err, said)
				}
			}
		}
	}
}

func TestOpenSSLOfTodayGetsTLS13AndOldTLSIsRefusedByDefault(t *testing.T) {
	ports := startMailPorts(t, boxca.OldClients{})
	for address, start := range map[string][]string{
		ports.pop3s: nil, ports.smtps: nil,
		ports.pop3: {"-starttls", "pop3"}, ports.smtp: {"-starttls", "smtp"},
	} {
		said, err := sClient(t, ports.root, address, start...)
		if err != nil || !strings.Contains(said, "TLSv1.3") || !strings.Contains(said, "Verify return code: 0 (ok)") {
			t.Errorf("%v: %v\n%s", start, err, said)
		}
		said, err = sClient(t, ports.root, address, append([]string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, start...)...)
		if err == nil || !strings.Contains(said, "protocol version") {
			t.Errorf("TLS 1.0, %v: %v\n%s", start, err, said)
		}
	}
}
