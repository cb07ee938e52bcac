package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"postern/dialup"
	"postern/internal/config"
	"postern/internal/status"
	"postern/ppp"
)

// callBox calls the demo's box after change has been made to its settings.
func callBox(t *testing.T, change func(*config.Config)) (w *demoWorld, call *dialup.Caller) {
	t.Helper()
	w, err := newDemoWorld(demoOptions{
		rate: 921_600, auth: ppp.MSCHAPv2, stack: gvisor, log: slog.New(slog.DiscardHandler),
	}, newStory(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	change(w.box.cfg)
	if err := w.box.openTLS(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.box.run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.wait(ctx, "the lines to be ready", func(s status.Snapshot) bool { return allReady(s.Lines, 2) }); err != nil {
		t.Fatal(err)
	}
	call, err = w.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { call.Close() })
	return w, call
}

func dialCall(t *testing.T, call *dialup.Caller, port uint16) net.Conn {
	t.Helper()
	conn, err := call.Dial(t.Context(), netip.AddrPortFrom(call.Peer(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func greetedBy(t *testing.T, conn net.Conn, want string) *textproto.Conn {
	t.Helper()
	c := textproto.NewConn(conn)
	if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, want) {
		t.Fatalf("greeting %q, %v", line, err)
	}
	return c
}

func TestACallerFindsTheRootAndThenTLSThatItBelieves(t *testing.T) {
	_, call := callBox(t, func(*config.Config) {})
	browser := dialCall(t, call, 80)
	io.WriteString(browser, "GET /root.crt HTTP/1.0\r\n\r\n")
	answer, err := io.ReadAll(browser)
	if err != nil {
		t.Fatal(err)
	}
	_, der, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	installed := x509.NewCertPool()
	installed.AddCert(root)
	for _, name := range []string{"mail.postern.lan", call.Peer().String()} {
		greetedBy(t, tls.Client(dialCall(t, call, 995), &tls.Config{RootCAs: installed, ServerName: name}), "+OK")
	}
	greetedBy(t, tls.Client(dialCall(t, call, 465), &tls.Config{RootCAs: installed, ServerName: "mail.postern.lan"}), "220")
	// Nothing has allowed this one.
	old := tls.Client(dialCall(t, call, 995), &tls.Config{RootCAs: installed, ServerName: "mail.postern.lan", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.0 was spoken without old_clients")
	}
}

func TestOldClientsOnACallAndSamePersonAreSettings(t *testing.T) {
	w, call := callBox(t, func(c *config.Config) {
		c.TLS.OldClients = true
		c.Mail.SamePerson = true
	})
	installed := x509.NewCertPool()
	installed.AppendCertsFromPEM(w.box.root.RootPEM())
	old := &tls.Config{
		RootCAs: installed, ServerName: "mail.postern.lan", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA},
	}
	pop3 := greetedBy(t, tls.Client(dialCall(t, call, 995), old), "+OK")
	for _, command := range []string{"USER " + demoUser, "PASS whatever"} {
		pop3.PrintfLine("%s", command)
		if line, err := pop3.ReadLine(); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Errorf("%s: %q, %v", command, line, err)
		}
	}
	smtp := greetedBy(t, dialCall(t, call, 25), "220")
	saySMTP(t, smtp, 250, "HELO oldpc")
	saySMTP(t, smtp, 250, "MAIL FROM:<"+demoAddress+">")
	saySMTP(t, smtp, 550, "MAIL FROM:<another@example.org>")
}

func TestPPPAloneLogsNobodyInToTheMailServices(t *testing.T) {
	_, call := callBox(t, func(*config.Config) {})
	pop3 := greetedBy(t, dialCall(t, call, 110), "+OK")
	pop3.PrintfLine("USER " + demoUser)
	pop3.ReadLine()
	pop3.PrintfLine("PASS whatever")
	if line, err := pop3.ReadLine(); err != nil || !strings.HasPrefix(line, "-ERR [AUTH]") {
		t.Errorf("%q, %v", line, err)
	}
	smtp := greetedBy(t, dialCall(t, call, 25), "220")
	saySMTP(t, smtp, 250, "HELO oldpc")
	saySMTP(t, smtp, 530, "MAIL FROM:<"+demoAddress+">")
}
