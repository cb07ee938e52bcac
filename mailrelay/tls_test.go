package mailrelay

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/mailrelay/spool"
)

// serverTLS has a certificate of its own making; clients of these tests do not
// look at it.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// secure puts the client under TLS; the server must be ready for it.
func (c *client) secure() *client {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return &client{c.t, conn, bufio.NewReader(conn)}
}

// playTLS plays against both servers on one spool, each on a port without and
// on one with TLS at once.
func playTLS(t *testing.T, guesses *Guesses, play func(t *testing.T, spool *spool.Spool, pop3, pop3s, smtp, smtps *pipes)) {
	t.Helper()
	s := testSpool(t)
	var log journalLog
	conf := serverTLS(t)
	pop3 := &POP3Server{Spool: s, Accounts: testAccounts(), Hostname: "h", TLS: conf, Guesses: guesses, Log: log.logger()}
	smtp := &SMTPServer{Spool: s, Accounts: testAccounts(), Hostname: "h", TLS: conf, Guesses: guesses, Log: log.logger()}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var all []*pipes
		for _, serve := range []func(context.Context, net.Listener) error{pop3.Serve, pop3.ServeTLS, smtp.Serve, smtp.ServeTLS} {
			l := newPipes()
			all = append(all, l)
			go func() { done <- serve(ctx, l) }()
		}
		defer func() {
			cancel()
			for range all {
				if err := <-done; err != nil {
					t.Errorf("Serve: %v", err)
				}
			}
		}()
		play(t, s, all[0], all[1], all[2], all[3])
	})
	for _, secret := range []string{"sesame", b64("\x00alice\x00" + alicePassword)} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, log.String())
		}
	}
}

func (c *client) capa() []string {
	c.t.Helper()
	c.ask("CAPA", "+OK")
	return c.block()
}

func TestSTLSIsOfferedUntilThereIsTLS(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, pop3, pop3s, _, _ *pipes) {
		c := pop3.dial(t)
		c.expect("+OK")
		if list := c.capa(); !slices.Contains(list, "STLS") || !slices.Contains(list, "UTF8") {
			t.Errorf("before TLS: %v", list)
		}
		c.ask("STLS", "+OK")
		c = c.secure() // and no second greeting
		if list := c.capa(); slices.Contains(list, "STLS") {
			t.Errorf("under TLS: %v", list)
		}
		c.ask("STLS", "-ERR")
		c.ask("USER alice", "+OK")
		c.ask("PASS "+alicePassword, "+OK")
		c.ask("STLS", "-ERR")
		c.ask("QUIT", "+OK")
		c.expectEOF() // with close_notify, or this is an error

		c = pop3s.dial(t).secure()
		c.expect("+OK")
		if list := c.capa(); slices.Contains(list, "STLS") {
			t.Errorf("on the port with TLS at once: %v", list)
		}
		c.ask("USER alice", "+OK")
		c.ask("PASS "+alicePassword, "+OK")
		c.ask("QUIT", "+OK")
		c.expectEOF()
	})
}

func TestWithoutTLSNeitherSTLSNorSTARTTLSIsOffered(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		c := p.greeted()
		if list := c.capa(); slices.Contains(list, "STLS") {
			t.Errorf("offered: %v", list)
		}
		c.ask("STLS", "-ERR")
	})
	playSMTP(t, func(p *smtpTest) {
		c := p.l.dial(p.T)
		c.reply("220")
		if list := c.say("EHLO pc", "250"); slices.Contains(list, "250-STARTTLS") {
			t.Errorf("offered: %v", list)
		}
		c.say("STARTTLS", "502")
	})
}

// CVE-2011-0411: a command slipped in behind STARTTLS ran under TLS, as if the
// client had sent it.
func TestWhatIsInjectedBehindSTLSOrSTARTTLSIsDropped(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, pop3, _, smtp, _ *pipes) {
		c := pop3.dial(t)
		c.expect("+OK")
		c.write("STLS\r\nUSER mallory\r\nNOOP\r\n")
		c.expect("+OK")
		c = c.secure()
		c.ask("PASS x", "-ERR send USER first")

		c = smtp.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.write("STARTTLS\r\nEHLO mallory\r\nNOOP\r\n")
		c.reply("220")
		c = c.secure()
		c.say("MAIL FROM:<alice@example.org>", "502") // EHLO was not said
	})
}

func TestAUserNamedBeforeSTLSIsForgotten(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, pop3, _, _, _ *pipes) {
		c := pop3.dial(t)
		c.expect("+OK")
		c.ask("USER alice", "+OK")
		c.ask("STLS", "+OK")
		c.secure().ask("PASS "+alicePassword, "-ERR send USER first")
	})
}

func TestSTARTTLSIsOfferedUntilThereIsTLS(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, s *spool.Spool, _, _, smtp, smtps *pipes) {
		c := smtp.dial(t)
		c.reply("220")
		if list := c.say("EHLO pc", "250"); !slices.Contains(list, "250-STARTTLS") || !slices.Contains(list, "250-SMTPUTF8") {
			t.Errorf("before TLS: %v", list)
		}
		c.say("STARTTLS", "220")
		c = c.secure()
		if list := c.say("EHLO pc", "250"); slices.Contains(list, "250-STARTTLS") {
			t.Errorf("under TLS: %v", list)
		}
		submit(c)

		c = smtps.dial(t).secure()
		c.reply("220")
		if list := c.say("EHLO pc", "250"); slices.Contains(list, "250-STARTTLS") {
			t.Errorf("on the port with TLS at once: %v", list)
		}
		c.say("STARTTLS", "502")
		submit(c)
		if envs, err := s.Queue(); err != nil || len(envs) != 2 {
			t.Errorf("queue is %v, error %v", envs, err)
		}
	})
}

// submit sends a message of lines longer than a command may be.
func submit(c *client) {
	c.t.Helper()
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
	c.say("MAIL FROM:<alice@example.org>", "250")
	c.say("RCPT TO:<b@c.example>", "250")
	c.say("DATA", "354")
	// Not the same twice, or it is one that was sent again.
	c.write("Message-ID: <" + rand.Text() + "@x>\r\n\r\n" + strings.Repeat("a", 200<<10) + "\r\n.\r\n")
	c.reply("250")
	c.say("QUIT", "221")
	c.expectEOF()
}

func TestALogInBeforeSTARTTLSDoesNotCountUnderIt(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, _, _, smtp, _ *pipes) {
		c := smtp.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
		c.say("STARTTLS", "220")
		c = c.secure()
		c.say("EHLO pc", "250")
		c.say("MAIL FROM:<alice@example.org>", "530")
	})
}

func TestALineWithoutEndIsCutOffUnderTLSToo(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, _, _, smtp, smtps *pipes) {
		c := smtp.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("STARTTLS", "220")
		under := c.secure()
		go under.conn.Write([]byte(strings.Repeat("a", 1<<20)))
		under.expectTooLong()

		c = smtps.dial(t).secure()
		c.reply("220")
		go c.conn.Write([]byte(strings.Repeat("a", 1<<20)))
		c.expectTooLong()
	})
}

// expectTooLong is the end of a session for a line without end. go-smtp may
// take what it has of it for a command first.
func (c *client) expectTooLong() {
	c.t.Helper()
	line := c.line()
	if strings.HasPrefix(line, "501 5.5.2") {
		line = c.line()
	}
	if !strings.HasPrefix(line, "500 5.4.0") {
		c.t.Fatalf("got %q", line)
	}
}

func TestAHandshakeThatStallsIsGivenUpAfterTwoMinutes(t *testing.T) {
	playTLS(t, nil, func(t *testing.T, _ *spool.Spool, pop3, pop3s, _, smtps *pipes) {
		for _, l := range []*pipes{pop3s, smtps} {
			start := time.Now()
			l.dial(t).expectEOF()
			if d := time.Since(start); d != handshakeLimit {
				t.Errorf("closed after %v", d)
			}
		}
		c := pop3.dial(t)
		c.expect("+OK")
		c.ask("STLS", "+OK")
		c.expectEOF()
	})
}

func TestLettersOutsideASCIIInAddressesNeedSMTPUTF8(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.loggedIn()
		c.say("MAIL FROM:<alice@example.org>", "250")
		c.say("RCPT TO:<j\u00fcrgen@example.de>", "553 5.6.7")
		c.say("RSET", "250")
		c.say("MAIL FROM:<alice@example.org> SMTPUTF8 BODY=8BITMIME", "250")
		c.say("RCPT TO:<j\u00fcrgen@b\u00fccher.example>", "250")
		c.say("RCPT TO:<\xff@example.de>", "553 5.6.7")
		c.say("DATA", "354")
		c.write("Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n.\r\n")
		c.reply("250")
		envs, bodies := p.queued()
		if len(envs) != 1 || !envs[0].UTF8 || !envs[0].EightBit || !slices.Equal(envs[0].To, []string{"j\u00fcrgen@b\u00fccher.example"}) {
			t.Errorf("queue is %+v", envs)
		}
		if len(bodies) != 1 || bodies[0] != "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n" {
			t.Errorf("messages are %q", bodies)
		}
	})
}

func TestAMessageInUTF8PassesAsItIs(t *testing.T) {
	const message = "From: <j\u00fcrgen@b\u00fccher.example>\r\nSubject: gr\u00fc\u00dfe\r\n\r\nx\r\n"
	playPOP3(t, func(p *pop3Test) {
		p.deliver(message)
		for _, first := range []string{"UTF8", "NOOP"} {
			c := p.greeted()
			c.write(first + "\r\n")
			c.line()
			c.ask("USER alice", "+OK")
			c.ask("PASS "+alicePassword, "+OK")
			c.ask("RETR 1", "+OK")
			if got := strings.Join(c.block(), "\r\n") + "\r\n"; got != message {
				t.Errorf("after %s: got %q", first, got)
			}
			c.ask("QUIT", "+OK")
		}
	})
}

func TestGuessingOverManyConnectionsIsSlow(t *testing.T) {
	playTLS(t, &Guesses{}, func(t *testing.T, _ *spool.Spool, pop3, _, smtp, _ *pipes) {
		// Each guess on a connection of its own, left as soon as no answer comes.
		for range 4 {
			c := pop3.dial(t)
			c.expect("+OK")
			c.ask("USER alice", "+OK")
			c.write("PASS guess\r\n")
			c.conn.Close()
			c = smtp.dial(t)
			c.reply("220")
			c.say("EHLO pc", "250")
			c.write("AUTH PLAIN " + b64("\x00alice\x00guess") + "\r\n")
			c.conn.Close()
		}
		synctest.Wait()
		start := time.Now()
		c := pop3.dial(t)
		c.expect("+OK")
		c.ask("USER alice", "+OK")
		c.ask("PASS "+alicePassword, "+OK")
		// 1 + 2 + 4 + 8 + 8 + 8 s for those before, and 8 for this one.
		if d := time.Since(start); d != 39*time.Second {
			t.Errorf("the right password was answered after %v", d)
		}
	})
}

func TestTooManyGuessesAtOnceAreNotJudged(t *testing.T) {
	playTLS(t, &Guesses{}, func(t *testing.T, _ *spool.Spool, pop3, _, smtp, _ *pipes) {
		var waiting []*client
		for range 10 {
			c := pop3.dial(t)
			c.expect("+OK")
			c.ask("USER alice", "+OK")
			c.write("PASS guess\r\n")
			synctest.Wait()
			waiting = append(waiting, c)
		}
		c := pop3.dial(t)
		c.expect("+OK")
		c.ask("USER alice", "+OK")
		c.ask("PASS "+alicePassword, "-ERR [SYS/TEMP]")
		c.expectEOF()
		c = smtp.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "421 4.7.0")
		c.expectEOF()
		for _, c := range waiting {
			c.conn.Close()
		}
	})
}

func addr(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestGuessesFromOneAddressHoldNobodyElseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		for range 5 {
			g.enter(t.Context(), addr("192.0.2.1:1000"))
		}
		start := time.Now()
		g.enter(t.Context(), addr("192.0.2.2:1000"))
		if d := time.Since(start); d != 0 {
			t.Errorf("a neighbour waits %v", d)
		}
		g.enter(t.Context(), addr("192.0.2.1:2000"))
		if d := time.Since(start); d != maxGuessWait {
			t.Errorf("the same waits %v", d)
		}
		time.Sleep(guessWindow)
		start = time.Now()
		g.enter(t.Context(), addr("192.0.2.1:1000"))
		if d := time.Since(start); d != 0 {
			t.Errorf("a quarter of an hour later it waits %v", d)
		}
	})
}

func TestLogInsThatSucceedAreNeverSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Guesses
		start := time.Now()
		for range 100 {
			g.enter(t.Context(), addr("192.0.2.1:1000"))
			g.succeeded(addr("192.0.2.1:1000"))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("they took %v", d)
		}
	})
}

func TestOwnLogInsDoNotForgiveGuesses(t *testing.T) {
	var g Guesses
	host := hostOf(addr("192.0.2.1:1000"))
	now := time.Now()
	for range 3 {
		g.turn(now, host) // a guess at another's account
		g.turn(now, host) // and a log-in to one's own
		g.succeeded(addr("192.0.2.1:1000"))
	}
	if at, _ := g.turn(now, host); at.Sub(now) < 2*time.Second {
		t.Errorf("the next guess waits %v", at.Sub(now))
	}
}

func TestAnIPv6HostIsItsNetworkAndMemoryIsBounded(t *testing.T) {
	if a, b := hostOf(addr("[2001:db8::1]:1")), hostOf(addr("[2001:db8::ffff:2]:1")); a != b {
		t.Errorf("%v and %v are two", a, b)
	}
	var g Guesses
	for i := range 3 * maxGuessers {
		g.turn(time.Unix(int64(i), 0), hostOf(&net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))}))
	}
	if len(g.hosts) > maxGuessers {
		t.Errorf("%d are kept", len(g.hosts))
	}
}
