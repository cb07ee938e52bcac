package mailrelay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
)

// bothForms runs a test with TLS from the first byte and with STARTTLS.
func bothForms(t *testing.T, test func(*testing.T, ...worldOption)) {
	t.Run("implicit TLS", func(t *testing.T) { test(t) })
	t.Run("STARTTLS", func(t *testing.T) { test(t, withStartTLS) })
}

// mustSendNothing runs both legs with mail waiting on both sides and checks
// that the provider saw no log-in and nothing was lost.
func (w *world) mustSendNothing(words ...string) {
	w.t.Helper()
	w.provider.AddMessage("alice@isp", []byte("waits\r\n"))
	w.accept("alice@example.org", "waits too\r\n", "bob@example.net")
	w.fetch()
	w.submit()
	w.mustFail(status.Fetch, words...)
	w.mustFail(status.Submit, words...)
	if n := w.provider.Logins("alice@isp"); n != 0 {
		w.t.Errorf("%d log-ins were sent", n)
	}
	if n := len(w.provider.Received()); n != 0 {
		w.t.Errorf("%d messages were sent", n)
	}
	if len(w.queue()) != 1 || len(w.mailbox()) != 0 {
		w.t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
}

func TestNothingIsSentToAServerThatCannotProveItsName(t *testing.T) {
	for _, c := range []struct {
		name  string
		cert  provider.Certificate
		words []string
	}{
		{"strange authority", provider.StrangeAuthority, []string{"not signed by an authority this box trusts", "nothing was sent", "ca_file"}},
		{"wrong name", provider.WrongName, []string{"for another name", "mail.elsewhere.example", "nothing was sent"}},
		{"expired", provider.Expired, []string{"valid from", "nothing was sent", "the provider must renew"}},
		{"not yet valid", provider.NotYetValid, []string{"valid from", "check the box's date"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothForms(t, func(t *testing.T, opts ...worldOption) {
				w := newWorld(t, opts...)
				w.provider.SetFaults(provider.Faults{Certificate: c.cert})
				w.mustSendNothing(c.words...)

				// When the provider has repaired it, all goes through.
				w.provider.SetFaults(provider.Faults{})
				w.clock = w.clock.Add(3 * time.Minute)
				w.fetch()
				w.submit()
				w.mustWork(status.Fetch)
				w.mustWork(status.Submit)
				if len(w.provider.Received()) != 1 || len(w.mailbox()) != 1 {
					t.Error("mail did not pass afterwards")
				}
			})
		})
	}
}

func TestServerOfOldTLSIsRefused(t *testing.T) {
	bothForms(t, func(t *testing.T, opts ...worldOption) {
		w := newWorld(t, opts...)
		w.provider.SetFaults(provider.Faults{MaxTLS: tls.VersionTLS11})
		w.mustSendNothing("TLS", "1.2", "the provider must")
	})
}

func TestTLS12IsTakenAndNamed(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{MaxTLS: tls.VersionTLS12})
	w.fetch()
	w.mustWork(status.Fetch)
	if e := w.leg(status.Fetch); !strings.HasPrefix(e.TLS, "TLS 1.2, TLS_ECDHE_") {
		t.Errorf("TLS is %q", e.TLS)
	}
}

func TestStrippedStartTLSSendsNothing(t *testing.T) {
	w := newWorld(t, withStartTLS)
	w.provider.SetFaults(provider.Faults{NoStartTLS: true})
	w.mustSendNothing("does not offer TLS", "nothing was sent", "s://")
}

func TestBytesInjectedBeforeTLSAreAFault(t *testing.T) {
	w := newWorld(t, withStartTLS)
	w.provider.SetFaults(provider.Faults{Injected: "250 surely\r\n"})
	w.mustSendNothing("tampering", "nothing was sent")
}

func TestPlainServerBehindATLSPortIsNamed(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, w *world) {
		a := &cfg.Accounts[0]
		a.Fetch.Port = mustEndpoint(w.t, w.provider.POP3StartTLS()).Port
		a.Submit.Port = mustEndpoint(w.t, w.provider.SMTPStartTLS()).Port
	})
	w.mustSendNothing("does not speak TLS", "port")
}

func TestBoxWithoutADateWaits(t *testing.T) {
	w := newWorld(t)
	right := w.clock
	w.clock = time.Unix(100, 0)
	w.mustSendNothing("clock shows 1970-01-01", "NTP")
	if d := w.fetch(); d != clockRecheck {
		t.Errorf("the clock is looked at again in %v", d)
	}
	if next := w.submit(); next.Sub(w.clock) != clockRecheck {
		t.Errorf("the clock is looked at again at %v", next)
	}
	// NTP sets it. What was accepted in 1970 is no 50 years late.
	w.clock = right
	w.provider.SetFaults(provider.Faults{RefuseMail: provider.Reply{Code: 451, Text: "later"}, RefuseTimes: 1})
	w.fetch()
	w.submit()
	if q := w.queue(); len(q) != 1 || !q[0].Accepted.Equal(right) {
		t.Fatalf("queue %+v", q)
	}
	if len(w.mailbox()) != 1 {
		t.Errorf("mailbox %q: a bounce?", w.mailbox())
	}
}

func TestClockPlausibleFromTheYearOfTheBuild(t *testing.T) {
	if ClockPlausible(time.Time{}) || ClockPlausible(time.Unix(0, 0)) || !ClockPlausible(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("wrong")
	}
}

func TestCertificatesAreJudgedByTheBoxesClock(t *testing.T) {
	w := newWorld(t)
	w.clock = w.clock.AddDate(2, 0, 0)
	w.mustSendNothing("clock does not fall between")
}

func TestSilentServerIsLeftAfterTheIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		g := &guardedConn{Conn: here, idle: idleLimit, stop: func() bool { return true }}
		defer g.Close()
		begin := time.Now()
		if _, err := g.Read(make([]byte, 1)); !isTimeout(err) || time.Since(begin) != idleLimit {
			t.Errorf("read ended after %v: %v", time.Since(begin), err)
		}
		begin = time.Now()
		if _, err := g.Write([]byte("x")); !isTimeout(err) || time.Since(begin) != idleLimit {
			t.Errorf("write ended after %v: %v", time.Since(begin), err)
		}
		begin = time.Now()
		g.SetDeadline(begin.Add(time.Second)) // as go-smtp does
		if _, err := g.Read(make([]byte, 1)); !isTimeout(err) || time.Since(begin) != time.Second {
			t.Errorf("read ended after %v: %v", time.Since(begin), err)
		}
	})
}

func TestReplyWithoutEndIsCut(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		for {
			if _, err := there.Write([]byte("250-and so on\r\n")); err != nil {
				return
			}
		}
	}()
	g := &guardedConn{Conn: here, idle: idleLimit, replyLimit: 10_000, stop: func() bool { return true }}
	defer g.Close()
	if n, err := io.Copy(io.Discard, g); !errors.Is(err, errReplyTooLong) || n > 20_000 {
		t.Errorf("%d octets, %v", n, err)
	}
}

func TestFaultsOfTheNetworkSayWhoseSideItIs(t *testing.T) {
	e := mustEndpoint(t, "pop3s://pop.example.org")
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: e.Host, IsNotFound: true}, "does not exist in the DNS"},
		{&net.DNSError{Err: "server misbehaving", Name: e.Host}, "cannot be looked up"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, "does not answer"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, "cannot connect to pop.example.org:995 (connection refused)"},
	} {
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
		_, err := connect(t.Context(), dial, e, nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.err, err, c.want)
		}
	}
	// A closed port is the same in earnest.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = connect(t.Context(), (&net.Dialer{}).DialContext, mustEndpoint(t, "pop3s://"+l.Addr().String()), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("closed port: %v", err)
	}
}

func TestHostileServerBeforeTLSIsCut(t *testing.T) {
	for _, c := range []struct{ name, says string }{
		{"endless line", "+OK " + strings.Repeat("x", 100_000)},
		{"endless reply", strings.Repeat("220-hello\r\n", 10_000)},
		{"another protocol", "SSH-2.0-OpenSSH_9.9\r\n"},
		{"no reply", ""},
		{"half a code", "22\r\n"},
	} {
		for _, url := range []string{"pop3+starttls://", "smtp+starttls://"} {
			here, there := net.Pipe()
			go func() {
				go there.Write([]byte(c.says))
				if c.says == "" {
					there.Close()
				}
				r := bufio.NewReader(there)
				for {
					if _, err := r.ReadByte(); err != nil {
						return
					}
				}
			}()
			e := mustEndpoint(t, url+"mail.example.org")
			dial := func(context.Context, string, string) (net.Conn, error) { return here, nil }
			preface := pop3Preface
			if e.Direction == status.Submit {
				preface = func(d *plainDialogue) error { return smtpPreface(d, "box.example") }
			}
			_, err := connect(t.Context(), dial, e, &tls.Config{ServerName: e.Host}, preface)
			var f *fault
			if !errors.As(err, &f) {
				t.Errorf("%s, %s: %v", url, c.name, err)
			}
			there.Close()
		}
	}
}

func TestRootsAreReadFromPEM(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := ReadRoots(path); err == nil {
		t.Error("a missing file is no error")
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRoots(path); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("nonsense: %v", err)
	}
	if err := os.WriteFile(path, w.provider.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := ReadRoots(path)
	want := x509.NewCertPool()
	want.AppendCertsFromPEM(w.provider.CertificatePEM())
	if err != nil || !roots.Equal(want) {
		t.Errorf("roots differ, %v", err)
	}
}
