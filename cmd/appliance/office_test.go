package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/config"
	"postern/internal/status"
	"postern/mailrelay"
	"postern/mailrelay/spool"
)

// officeTest is an office on loopback, with alice and what change makes of it.
type officeTest struct {
	box *appliance
	at  config.Ports
	log *officeLog
}

// officeLog is read while the box writes it.
type officeLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *officeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *officeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func networks(t *testing.T, list ...string) (all []config.Network) {
	t.Helper()
	for _, text := range list {
		var n config.Network
		if err := n.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// newOfficeBox is a box without lines, whose LAN is not open yet.
func newOfficeBox(t *testing.T, change func(*config.Config)) *officeTest {
	t.Helper()
	o := &officeTest{log: &officeLog{}}
	for _, p := range []*uint16{&o.at.POP3, &o.at.POP3S, &o.at.IMAP, &o.at.IMAPS, &o.at.SMTP, &o.at.Submission, &o.at.SMTPS, &o.at.HTTP} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*p = netip.MustParseAddrPort(l.Addr().String()).Port()
		l.Close()
	}
	cfg := &config.Config{
		StateDir: t.TempDir(), Hostname: "mail.postern.lan",
		PPP:   config.PPP{LocalIP: netip.MustParseAddr("10.64.64.1")},
		Users: []config.User{{Name: "alice", MailPassword: config.NewSecret("wonderland"), Addresses: []string{"alice@example.org"}}},
		LAN:   config.LAN{Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Networks: networks(t, "127.0.0.0/8"), Ports: o.at},
	}
	if change != nil {
		change(cfg)
	}
	s, err := spool.Open(filepath.Join(cfg.StateDir, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	o.box = &appliance{cfg: cfg, board: &status.Board{}, spool: s, log: slog.New(slog.NewTextHandler(o.log, nil))}
	if err := o.box.openTLS(); err != nil {
		t.Fatal(err)
	}
	alice := mailrelay.Account{User: "alice", Addresses: cfg.Users[0].Addresses, Password: cfg.Users[0].MailPassword.Reveal}
	o.box.office = newOffice(o.box, mailrelay.AccountList{alice})
	return o
}

func startOffice(t *testing.T, change func(*config.Config)) *officeTest {
	t.Helper()
	o := newOfficeBox(t, change)
	gone := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(gone)
		o.box.office.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return o
}

// dial reaches a port as soon as it is open.
func (o *officeTest) dial(t *testing.T, port uint16) net.Conn {
	t.Helper()
	for t.Context().Err() == nil {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
	}
	t.Fatal("the port does not open")
	return nil
}

func (o *officeTest) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(o.box.root.RootPEM()) {
		t.Fatal("the root is not PEM")
	}
	return pool
}

func (o *officeTest) today(t *testing.T) *tls.Config {
	return &tls.Config{RootCAs: o.roots(t), ServerName: "127.0.0.1"}
}

// theirs is a client of the years in which the office's scanner was built.
func (o *officeTest) theirs(t *testing.T) *tls.Config {
	return &tls.Config{
		RootCAs: o.roots(t), ServerName: "mail.postern.lan", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	}
}

func saySMTP(t *testing.T, c *textproto.Conn, code int, command string) string {
	t.Helper()
	if command != "" {
		if err := c.PrintfLine("%s", command); err != nil {
			t.Fatal(err)
		}
	}
	_, text, err := c.ReadResponse(code)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return text
}

func TestAPrinterSendsAndAnOldPCFetchesOnTheLAN(t *testing.T) {
	o := startOffice(t, nil)
	c := textproto.NewConn(tls.Client(o.dial(t, o.at.SMTPS), o.today(t)))
	saySMTP(t, c, 220, "")
	saySMTP(t, c, 250, "EHLO printer")
	saySMTP(t, c, 334, "AUTH LOGIN")
	saySMTP(t, c, 334, "YWxpY2U=")
	saySMTP(t, c, 235, "d29uZGVybGFuZA==")
	saySMTP(t, c, 250, "MAIL FROM:<alice@example.org>")
	saySMTP(t, c, 250, "RCPT TO:<bob@example.net>")
	saySMTP(t, c, 354, "DATA")
	saySMTP(t, c, 250, "Subject: scan\r\n\r\nx\r\n.")
	if queue, err := o.box.spool.Queue(); err != nil || len(queue) != 1 || queue[0].User != "alice" {
		t.Errorf("queue is %+v, error %v", queue, err)
	}

	if _, err := o.box.spool.Deliver("alice", spool.Source{}, strings.NewReader("Subject: one\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	p := textproto.NewConn(o.dial(t, o.at.POP3))
	for _, command := range []string{"", "USER alice", "PASS wonderland", "RETR 1"} {
		if command != "" {
			p.PrintfLine("%s", command)
		}
		if line, err := p.ReadLine(); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("%s: %q, %v", command, line, err)
		}
	}
	if lines, err := p.ReadDotLines(); err != nil || lines[0] != "Subject: one" {
		t.Errorf("got %q, error %v", lines, err)
	}
}

// What [mail] same_person allows on a call must not hold here: on every port
// mail without log-in is refused.
func TestTheLANIsNoOpenRelayWhateverIsConfigured(t *testing.T) {
	o := startOffice(t, func(c *config.Config) {
		c.Mail.SamePerson = true
		c.TLS.OldClients = true
		c.LAN.OldClients = c.LAN.Networks
	})
	for _, at := range []struct {
		port   uint16
		secure bool
	}{{o.at.SMTP, false}, {o.at.Submission, false}, {o.at.SMTPS, true}} {
		var conn = o.dial(t, at.port)
		if at.secure {
			conn = tls.Client(conn, o.today(t))
		}
		c := textproto.NewConn(conn)
		saySMTP(t, c, 220, "")
		for _, hello := range []string{"HELO pc", "EHLO pc"} {
			saySMTP(t, c, 250, hello)
			saySMTP(t, c, 530, "MAIL FROM:<alice@example.org>")
			saySMTP(t, c, 530, "MAIL FROM:<>")
			saySMTP(t, c, 502, "RCPT TO:<bob@example.net>")
			saySMTP(t, c, 502, "DATA")
		}
		saySMTP(t, c, 535, "AUTH PLAIN AGFsaWNlAA==") // alice, without password
	}
	if queue, err := o.box.spool.Queue(); err != nil || len(queue) > 0 {
		t.Errorf("queue is %+v, error %v", queue, err)
	}
}

func TestOldTLSIsForTheNamedNetworksOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   bool
	}{
		"nobody named":  {func(*config.Config) {}, false},
		"calls only":    {func(c *config.Config) { c.TLS.OldClients = true }, false},
		"another named": {func(c *config.Config) { c.LAN.OldClients = networks(t, "127.9.0.0/16") }, false},
		"named":         {func(c *config.Config) { c.LAN.OldClients = networks(t, "127.0.0.1") }, true},
	} {
		o := startOffice(t, tc.change)
		for _, port := range []uint16{o.at.POP3S, o.at.SMTPS} {
			conn := tls.Client(o.dial(t, port), o.theirs(t))
			err := conn.Handshake()
			if (err == nil) != tc.want {
				t.Errorf("%s, port %d: error %v", name, port, err)
			}
			if err == nil {
				if st := conn.ConnectionState(); st.Version != tls.VersionTLS10 || st.CipherSuite != tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA {
					t.Errorf("%s: got %+v", name, st)
				}
				if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
					t.Errorf("%s: greeting %q, %v", name, line, err)
				}
			}
		}
		// And today's clients lose nothing by it.
		conn := tls.Client(o.dial(t, o.at.POP3S), o.today(t))
		if err := conn.Handshake(); err != nil || conn.ConnectionState().Version != tls.VersionTLS13 {
			t.Errorf("%s: today's client: %v", name, err)
		}
	}
}

func TestSTLSAndSTARTTLSWorkForOldClientsToo(t *testing.T) {
	o := startOffice(t, func(c *config.Config) {
		c.LAN.OldClients = c.LAN.Networks
		c.TLS.OldCertificate = config.SHA1
	})
	old := o.theirs(t)
	old.InsecureSkipVerify = true // Go's verifier refuses SHA-1
	for _, at := range []struct {
		port          uint16
		start, answer string
	}{{o.at.POP3, "STLS\r\n", "+OK"}, {o.at.Submission, "EHLO pc\r\nSTARTTLS\r\n", "220 2.0.0"}} {
		conn := o.dial(t, at.port)
		r := bufio.NewReader(conn)
		r.ReadString('\n')
		io.WriteString(conn, at.start)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, at.answer) {
				break
			}
		}
		under := tls.Client(conn, old)
		if err := under.Handshake(); err != nil {
			t.Errorf("%s: %v", at.start, err)
		} else if alg := under.ConnectionState().PeerCertificates[0].SignatureAlgorithm; alg != x509.SHA1WithRSA {
			t.Errorf("%s: certificate is %v", at.start, alg)
		}
	}
}

func TestWhoComesFromElsewhereIsClosedAtOnceAndLoggedOnce(t *testing.T) {
	o := startOffice(t, func(c *config.Config) { c.LAN.Networks = networks(t, "192.0.2.0/24") })
	for range 20 {
		conn := o.dial(t, o.at.SMTP)
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Fatalf("was told %q", got)
		}
	}
	if n := strings.Count(o.log.String(), "are refused"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, o.log)
	}
}

func TestOneAddressGetsSoManyConnectionsAndThoseAgainThatItGaveBack(t *testing.T) {
	o := startOffice(t, nil)
	greeted := func(conn net.Conn) bool {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line != ""
	}
	var all []net.Conn
	for i := range hostConns {
		port := []uint16{o.at.POP3, o.at.SMTP}[i%2]
		all = append(all, o.dial(t, port))
		if !greeted(all[i]) {
			t.Fatalf("connection %d is refused", i+1)
		}
	}
	if greeted(o.dial(t, o.at.POP3)) {
		t.Error("one more is let in")
	}
	io.WriteString(all[0], "QUIT\r\n")
	io.ReadAll(all[0])
	if !greeted(o.dial(t, o.at.POP3)) {
		t.Error("the place that was given back is not given again")
	}
}

func TestRefusalsAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		g := newGate(nil, slog.New(slog.NewTextHandler(&log, nil)))
		from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
		for range 121 {
			g.refuse(time.Now(), from)
			time.Sleep(time.Second)
		}
		if got := log.String(); strings.Count(got, "\n") != 3 || strings.Count(got, "refused=60") != 2 {
			t.Errorf("the log is:\n%s", got)
		}
	})
}

func TestTheRootCertificateIsGivenOnTheLAN(t *testing.T) {
	o := startOffice(t, nil)
	conn := o.dial(t, o.at.HTTP)
	io.WriteString(conn, "GET /root.crt HTTP/1.0\r\n\r\n") // as Internet Explorer 3 has it
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, der, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !bytes.Contains(head, []byte("application/x-x509-ca-cert")) || !bytes.Equal(der, o.box.root.RootDER()) {
		t.Errorf("got %s and %d octets", head, len(der))
	}
}

// The box may start before its address on the LAN is there; calls go on.
func TestALANThatCannotBeServedYetIsTriedAgainAndLoggedOnce(t *testing.T) {
	o := newOfficeBox(t, nil)
	o.box.office.listen = []netip.Addr{netip.MustParseAddr("192.0.2.99")} // nobody's
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o.box.office.run(ctx)
		if n := strings.Count(o.log.String(), "trying on"); n != 1 {
			t.Errorf("%d lines in the log:\n%s", n, o.log)
		}
	})
}

func TestADoorThatCannotBeOpenedLeavesNoOtherOpen(t *testing.T) {
	o := newOfficeBox(t, nil)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.at.SMTPS))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := o.box.office.serve(t.Context()); err == nil || !strings.Contains(err.Error(), "[lan] listen") {
		t.Errorf("error is %v", err)
	}
	if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", o.at.POP3)); err == nil {
		conn.Close()
		t.Error("POP3 is open")
	}
}
