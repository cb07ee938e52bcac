package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/smtp"
	"net/url"
	"strings"
	"testing"
)

// start runs a provider with one user until the test ends.
func start(t *testing.T) (*Provider, *tls.Config) {
	t.Helper()
	p, err := New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	p.AddUser("alice", "secret")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CertificatePEM())
	return p, &tls.Config{RootCAs: roots, ServerName: Host}
}

func address(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestStandardLibraryCanSendMail(t *testing.T) {
	p, conf := start(t)
	c, err := smtp.Dial(address(t, p.SMTPStartTLS()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("log-in is offered in the clear")
	}
	if err := c.StartTLS(conf); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", "alice", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("bob@example.net"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, ".dot\r\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := p.WaitReceived(t.Context(), 1)
	if err != nil || string(got[0].Body) != ".dot\r\n" || got[0].User != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPOP3KeepsToTheRFC(t *testing.T) {
	p, conf := start(t)
	p.AddMessage("alice", []byte(".one\r\n"))
	c, err := net.Dial("tcp", address(t, p.POP3StartTLS()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(line, want string) {
		t.Helper()
		if line != "" {
			fmt.Fprintf(c, "%s\r\n", line)
		}
		for _, w := range strings.Split(want, "|") {
			got, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, w) {
				t.Fatalf("%s: %q, %v; want %q", line, got, err, w)
			}
		}
	}
	say("", "+OK")
	say("USER alice", "+OK")
	say("PASS secret", "-ERR not in the clear")
	say("STLS", "+OK")
	c = tls.Client(c, conf)
	r = bufio.NewReader(c)
	say("STAT", "-ERR")
	say("USER alice", "+OK")
	say("PASS secret", "+OK")
	say("STAT", "+OK 1 6")
	say("UIDL", "+OK|1 provider-000001|.")
	say("RETR 1", "+OK|..one|.")
	say("DELE 1", "+OK")
	say("RETR 1", "-ERR")
	if n := len(p.Mailbox("alice")); n != 1 {
		t.Errorf("%d messages before QUIT", n)
	}
	say("QUIT", "+OK")
	if n := len(p.Mailbox("alice")); n != 0 {
		t.Errorf("%d messages after QUIT", n)
	}
}
