package mailrelay

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"postern/mailrelay/spool"
)

func playIMAPTLS(t *testing.T, serve func(*IMAPServer) func(context.Context, net.Listener) error, play func(*imapTest)) {
	t.Helper()
	p := &imapTest{spool: testSpool(t)}
	server := &IMAPServer{Spool: p.spool, Accounts: testAccounts(), Log: p.log.logger(), TLS: serverTLS(t)}
	serving(t, serve(server), func(t *testing.T, l *pipes) {
		p.T, p.l = t, l
		play(p)
	})
}

func TestIMAPStartsTLSOnce(t *testing.T) {
	play := func(p *imapTest) {
		if _, err := p.spool.Deliver("alice", spool.Source{}, strings.NewReader(imapLetter)); err != nil {
			p.Fatal(err)
		}
		c := p.greeted()
		if got := c.ok("CAPABILITY")[0]; !strings.Contains(got, " STARTTLS") {
			p.Errorf("before TLS: %s", got)
		}
		c.ok("STARTTLS")
		c.client = c.secure()
		if got := c.ok("CAPABILITY")[0]; strings.Contains(got, " STARTTLS") || !strings.Contains(got, " AUTH=PLAIN") {
			p.Errorf("under TLS: %s", got)
		}
		c.refused("STARTTLS", "BAD")
		c.ok(`LOGIN alice "` + alicePassword + `"`)
		c.ok("SELECT INBOX")
		if got := c.ok("FETCH 1 BODY[]"); !strings.Contains(got[0], imapLetter) {
			p.Errorf("FETCH gives %q", got)
		}
		c.do("LOGOUT")
		c.expectEOF() // with close_notify, or this is an error
	}
	playIMAPTLS(t, func(s *IMAPServer) func(context.Context, net.Listener) error { return s.Serve }, play)
}

func TestIMAPWithTLSAtOnce(t *testing.T) {
	playIMAPTLS(t, func(s *IMAPServer) func(context.Context, net.Listener) error { return s.ServeTLS }, func(p *imapTest) {
		c := &imapClient{client: p.l.dial(p.T).secure()}
		if greeting := c.expect("* OK [CAPABILITY IMAP4rev1"); strings.Contains(greeting, "STARTTLS") {
			p.Errorf("greeting is %q", greeting)
		}
		c.ok(`LOGIN alice "` + alicePassword + `"`)
		c.do("LOGOUT")
		c.expectEOF()
	})
}

func TestWhatIsInjectedBehindIMAPsSTARTTLSIsNotTakenForTheClients(t *testing.T) {
	playIMAPTLS(t, func(s *IMAPServer) func(context.Context, net.Listener) error { return s.Serve }, func(p *imapTest) {
		c := p.greeted()
		go io.WriteString(c.conn, "a STARTTLS\r\nb CAPABILITY\r\n")
		c.expect("a OK")
		if rest, _ := io.ReadAll(c.r); strings.Contains(string(rest), "CAPABILITY") {
			p.Errorf("the injected command is answered: %q", rest)
		}
	})
}
