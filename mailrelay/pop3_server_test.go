package mailrelay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postern/mailrelay/spool"
)

type pop3Test struct {
	*testing.T
	spool *spool.Spool
	dir   string
	log   journalLog
	l     *pipes
}

// pop3Test plays against a server on a new spool.
func playPOP3(t *testing.T, play func(*pop3Test)) {
	t.Helper()
	p := &pop3Test{dir: t.TempDir()}
	var err error
	if p.spool, err = spool.Open(p.dir, spool.Options{}); err != nil {
		t.Fatal(err)
	}
	defer p.spool.Close()
	server := &POP3Server{Spool: p.spool, Accounts: testAccounts(), Hostname: "mail.postern.lan", Caller: "alice", Log: p.log.logger()}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		p.T, p.l = t, l
		play(p)
	})
	for _, secret := range []string{"sesame", "bob's", base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + alicePassword))} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, p.log.String())
		}
	}
}

func (p *pop3Test) deliver(bodies ...string) {
	p.Helper()
	for i, b := range bodies {
		if _, err := p.spool.Deliver("alice", spool.Source{Upstream: "isp", UID: fmt.Sprint(i)}, strings.NewReader(b)); err != nil {
			p.Fatal(err)
		}
	}
}

func (p *pop3Test) waiting() int {
	p.Helper()
	ms, err := p.spool.Messages("alice")
	if err != nil {
		p.Fatal(err)
	}
	return len(ms)
}

func (p *pop3Test) greeted() *client {
	p.Helper()
	c := p.l.dial(p.T)
	c.expect("+OK")
	return c
}

func (p *pop3Test) loggedIn() *client {
	p.Helper()
	c := p.greeted()
	c.ask("USER alice", "+OK")
	c.ask("PASS "+alicePassword, "+OK")
	return c
}

func TestASessionAsRFC1939ShowsIt(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("Subject: one\r\n\r\n"+strings.Repeat("x", 102)+"\r\n", "Subject: two\r\n\r\n"+strings.Repeat("y", 182)+"\r\n")
		c := p.greeted()
		c.ask("user alice", "+OK") // keywords in any case
		c.ask("pass "+alicePassword, "+OK 2 messages")
		c.ask("STAT", "+OK 2 320")
		c.ask("LIST", "+OK")
		if got := c.block(); !slices.Equal(got, []string{"1 120", "2 200"}) {
			t.Errorf("LIST is %q", got)
		}
		c.ask("LIST 2", "+OK 2 200")
		c.ask("LIST 3", "-ERR")
		c.ask("RETR 1", "+OK 120 octets")
		if got := c.block(); !slices.Equal(got, []string{"Subject: one", "", strings.Repeat("x", 102)}) {
			t.Errorf("RETR is %q", got)
		}
		c.ask("DELE 1", "+OK")
		c.ask("DELE 1", "-ERR")
		c.ask("RETR 1", "-ERR")
		c.ask("LIST 1", "-ERR")
		c.ask("STAT", "+OK 1 200")
		c.ask("RSET", "+OK")
		c.ask("STAT", "+OK 2 320")
		c.ask("NOOP", "+OK")
		c.ask("DELE 2", "+OK")
		c.ask("LIST", "+OK")
		if got := c.block(); !slices.Equal(got, []string{"1 120"}) {
			t.Errorf("LIST after DELE is %q", got)
		}
		c.ask("QUIT", "+OK")
		c.expectEOF()
		if p.waiting() != 1 {
			t.Errorf("%d messages wait", p.waiting())
		}
		if uids, _ := p.spool.Deletions("alice", "isp"); !slices.Equal(uids, []string{"1"}) {
			t.Errorf("upstream is to be told of %q", uids)
		}
	})
}

func TestUIDLGivesTheSpoolsUIDsInBothForms(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a", "b", "c")
		ms, _ := p.spool.Messages("alice")
		c := p.loggedIn()
		c.ask("DELE 2", "+OK")
		c.ask("UIDL", "+OK")
		if got := c.block(); !slices.Equal(got, []string{"1 " + ms[0].UID, "3 " + ms[2].UID}) {
			t.Errorf("UIDL is %q", got)
		}
		if got := c.ask("UIDL 3", "+OK"); got != "+OK 3 "+ms[2].UID {
			t.Errorf("UIDL 3 is %q", got)
		}
		c.ask("UIDL 2", "-ERR")
	})
}

func TestDropWithoutQuitDeletesNothing(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a", "b")
		c := p.loggedIn()
		c.ask("DELE 1", "+OK")
		c.ask("DELE 2", "+OK")
		c.conn.Close()
		synctest.Wait()
		p.loggedIn().ask("STAT", "+OK 2 2")
	})
}

func TestTheEndOfTheServiceDeletesNothing(t *testing.T) {
	s := testSpool(t)
	if _, err := s.Deliver("alice", spool.Source{}, strings.NewReader("a")); err != nil {
		t.Fatal(err)
	}
	var log journalLog
	server := &POP3Server{Spool: s, Accounts: testAccounts(), Log: log.logger()}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		c := l.dial(t)
		c.expect("+OK")
		c.ask("USER alice", "+OK")
		c.ask("PASS "+alicePassword, "+OK")
		c.ask("DELE 1", "+OK")
	})
	if ms, _ := s.Messages("alice"); len(ms) != 1 {
		t.Error("the message is gone")
	}
}

func TestIdleSessionsEndAfterTenMinutesAndDeleteNothing(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a")
		c := p.loggedIn()
		c.ask("DELE 1", "+OK")
		start := time.Now()
		c.expectEOF()
		if d := time.Since(start); d != 10*time.Minute {
			t.Errorf("closed after %v", d)
		}
		if p.waiting() != 1 {
			t.Error("the message is gone")
		}
	})
}

func TestIfDeletionFailsAtQuitTheClientHearsSoAndNothingIsDeleted(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a", "b")
		c := p.loggedIn()
		c.ask("DELE 1", "+OK")
		c.ask("DELE 2", "+OK")
		// Without its folder for new files the spool cannot write the journal.
		tmp := filepath.Join(p.dir, "tmp")
		if err := os.Rename(tmp, tmp+"x"); err != nil {
			t.Fatal(err)
		}
		c.ask("QUIT", "-ERR [SYS/TEMP]")
		c.expectEOF()
		if err := os.Rename(tmp+"x", tmp); err != nil {
			t.Fatal(err)
		}
		if p.waiting() != 2 {
			t.Errorf("%d messages wait", p.waiting())
		}
		p.loggedIn().ask("STAT", "+OK 2 2")
	})
}

func TestASecondSessionHearsThatTheMailboxIsInUse(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		first := p.loggedIn()
		second := p.greeted()
		second.ask("USER alice", "+OK")
		second.ask("PASS "+alicePassword, "-ERR [IN-USE]")
		first.ask("QUIT", "+OK")
		first.expectEOF()
		second.ask("USER alice", "+OK")
		second.ask("PASS "+alicePassword, "+OK")
	})
}

func TestAPOPIsTheDigestOfRFC1939(t *testing.T) {
	if got := apopDigest("<1896.697170952@dbc.mtview.ca.us>", "tanstaaf"); got != "c4c9334bac560ecc979e58001b3e22fb" {
		t.Errorf("the RFC's own example gives %s", got)
	}
	playPOP3(t, func(p *pop3Test) {
		c := p.l.dial(t)
		greeting := c.expect("+OK")
		banner := greeting[strings.IndexByte(greeting, '<'):]
		if !strings.HasSuffix(banner, "@mail.postern.lan>") {
			t.Errorf("greeting is %q", greeting)
		}
		c.ask("APOP alice "+apopDigest(banner, "wrong"), "-ERR [AUTH]")
		c.ask("APOP nopass "+apopDigest(banner, ""), "-ERR [AUTH]")
		c.ask("APOP stranger "+apopDigest(banner, "nobody"), "-ERR [AUTH]")
		c.ask("APOP alice@example.org "+strings.ToUpper(apopDigest(banner, alicePassword)), "+OK")
		if again := p.l.dial(t).expect("+OK"); again == greeting {
			t.Error("two greetings are the same: a digest could be replayed")
		}
	})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAuthListsItsMechanismsAndLogsInByThem(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		plain := b64("\x00alice\x00" + alicePassword)
		c := p.greeted()
		c.ask("AUTH", "+OK")
		list := c.block()
		if !slices.Contains(list, "PLAIN") || !slices.Contains(list, "LOGIN") {
			t.Errorf("AUTH lists %q", list)
		}
		c.ask("AUTH PLAIN *", "-ERR")
		c.ask("AUTH PLAIN", "+ ")
		c.ask("*", "-ERR")
		c.ask("AUTH PLAIN", "+ ")
		c.ask("%%%", "-ERR")
		c.ask("AUTH PLAIN", "+ ")
		c.ask(b64("no nul in here"), "-ERR")
		c.ask("AUTH PLAIN =", "-ERR")
		c.ask("AUTH KERBEROS_V4", "-ERR")
		c.ask("AUTH PLAIN "+b64("bob\x00alice\x00"+alicePassword), "-ERR [AUTH]")
		c.ask("AUTH PLAIN "+b64("\x00alice\x00wrong"), "-ERR [AUTH]")
		c.ask("auth plain "+plain, "+OK")
		c.ask("AUTH PLAIN "+plain, "-ERR")
		c.ask("QUIT", "+OK")

		c = p.greeted()
		c.ask("AUTH PLAIN", "+ ")
		c.ask(b64("alice\x00alice\x00"+alicePassword), "+OK")
		c.ask("QUIT", "+OK")

		c = p.greeted()
		c.ask("AUTH LOGIN", "+ VXNlcm5hbWU6")
		c.ask(b64("alice"), "+ UGFzc3dvcmQ6")
		c.ask(b64(alicePassword), "+OK")
	})
}

func TestCapaListsWhatIsThere(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		for _, c := range []*client{p.greeted(), p.loggedIn()} {
			c.ask("CAPA", "+OK")
			list := c.block()
			for _, want := range []string{"TOP", "USER", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} {
				if !slices.Contains(list, want) {
					t.Errorf("CAPA lacks %s: %q", want, list)
				}
			}
			if !slices.ContainsFunc(list, func(s string) bool { return s == "SASL "+strings.Join(saslMechanisms(), " ") }) {
				t.Errorf("CAPA lacks SASL: %q", list)
			}
		}
	})
}

func TestGuessingIsSlowedDownAndThenCutOff(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		c := p.greeted()
		for i := range maxTries {
			start := time.Now()
			c.ask("USER alice", "+OK")
			c.ask("PASS wrong", "-ERR [AUTH]")
			if d := time.Since(start); d != time.Duration(i+1)*time.Second {
				t.Errorf("try %d took %v", i+1, d)
			}
		}
		c.expectEOF()
	})
}

func TestTheEndOfTheServiceDoesNotWaitForADelay(t *testing.T) {
	var start time.Time
	s := testSpool(t)
	var log journalLog
	server := &POP3Server{Spool: s, Accounts: testAccounts(), Log: log.logger()}
	serve := func(ctx context.Context, l net.Listener) error {
		err := server.Serve(ctx, l)
		if d := time.Since(start); d != 0 {
			t.Errorf("Serve returned %v later", d)
		}
		return err
	}
	serving(t, serve, func(t *testing.T, l *pipes) {
		c := l.dial(t)
		c.expect("+OK")
		c.write("USER alice\r\nPASS wrong\r\n")
		c.expect("+OK")
		synctest.Wait()
		start = time.Now()
	})
}

func TestLinesWithoutEndAndNonsenseAreAnsweredAndThenCutOff(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		c := p.greeted()
		c.ask("USER "+strings.Repeat("a", maxPOP3Line), "-ERR")
		c.ask("USER "+strings.Repeat("a", 3*4096), "-ERR")
		c.ask("USER alice", "+OK")                     // the next line is understood again
		c.write(strings.Repeat("a", maxPOP3Junk+4096)) // a buffer more, and nobody reads on
		c.expect("-ERR line is without end")
		c.expectEOF()

		c = p.greeted()
		for range maxPOP3Errors - 1 {
			c.ask("XYZZY\x00\xff", "-ERR unknown")
		}
		c.ask("", "-ERR too many errors")
		c.expectEOF()
	})
}

func TestPipelinedCommandsAreAnsweredInOneGo(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a", "b")
		c := p.greeted()
		c.write("USER alice\r\nPASS " + alicePassword + "\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
		buf := make([]byte, 4096)
		n, err := c.conn.Read(buf)
		if want := "+OK send PASS\r\n+OK 2 messages\r\n+OK 2 2\r\n+OK 1 octets\r\na\r\n.\r\n+OK message 1 is deleted at QUIT\r\n+OK bye, 1 messages deleted\r\n"; err != nil || string(buf[:n]) != want {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	})
}

func TestCommandsOutOfPlaceAreRefused(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		p.deliver("a")
		c := p.greeted()
		for _, command := range []string{"STAT", "LIST", "RETR 1", "DELE 1", "NOOP", "RSET", "TOP 1 0", "UIDL", "PASS x", "USER", "APOP", "APOP alice"} {
			c.ask(command, "-ERR")
		}
		c = p.loggedIn()
		for _, command := range []string{"USER alice", "PASS x", "APOP a b", "RETR", "RETR 0", "RETR -1", "RETR 2", "RETR 1x", "RETR 99999999999999999999", "DELE", "TOP 1", "TOP 1 -1", "TOP x 1", "TOP 2 0", "LIST x", "UIDL 0"} {
			c.ask(command, "-ERR")
		}
		c.ask("RETR  1 ", "+OK") // one blank too many is understood
		c.block()
		c.ask("TOP 1  0", "+OK")
		c.block()
	})
}

func TestAMessageThatCannotBeReadToItsEndIsNotEndedByADot(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	broken := errors.New("bad sector")
	err := sendLines(w, bufio.NewReader(io.MultiReader(strings.NewReader("Subject: x\r\n\r\nhalf"), iotest.ErrReader(broken))), -1)
	w.Flush()
	if !errors.Is(err, broken) || strings.Contains(out.String(), ".") {
		t.Errorf("sent %q, %v", out.String(), err)
	}
}

func TestMessagesGoOutOctetForOctetWithDotsDoubled(t *testing.T) {
	long := strings.Repeat("x", 100000)
	for in, want := range map[string]string{
		"":                         ".\r\n",
		"a\r\n":                    "a\r\n.\r\n",
		"a":                        "a\r\n.\r\n",
		"a\n":                      "a\n\r\n.\r\n",
		"\n":                       "\n\r\n.\r\n",
		"\r\n":                     "\r\n.\r\n",
		".\r\n":                    "..\r\n.\r\n",
		"a\r\n.\r\n..b\r\n":        "a\r\n..\r\n...b\r\n.\r\n",
		"a\n.\r\nb\r\n":            "a\n..\r\nb\r\n.\r\n", // see sendLines
		"a\r.\r\n":                 "a\r.\r\n.\r\n",
		"nul \x00 and \xff\r\n":    "nul \x00 and \xff\r\n.\r\n",
		long + "\r\n." + long:      long + "\r\n.." + long + "\r\n.\r\n",
		long[:16<<10] + ".\r\n":    long[:16<<10] + ".\r\n.\r\n",
		long[:16<<10-1] + "\r\n.x": long[:16<<10-1] + "\r\n..x\r\n.\r\n",
	} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := sendLines(w, bufio.NewReaderSize(strings.NewReader(in), 16<<10), -1); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if out.String() != want {
			t.Errorf("%.40q goes out as %.60q", in, out.String())
		}
	}
}

func TestTopGivesTheHeaderTheBlankLineAndSoManyLines(t *testing.T) {
	const header = "Subject: x\r\nTo: y\r\n"
	long := "X: " + strings.Repeat("x", 50000) + "\r\n"
	for _, c := range []struct {
		in    string
		lines int
		want  string
	}{
		{header + "\r\n1\r\n2\r\n3\r\n", 0, header + "\r\n.\r\n"},
		{header + "\r\n1\r\n2\r\n3\r\n", 2, header + "\r\n1\r\n2\r\n.\r\n"},
		{header + "\r\n1\r\n2\r\n3\r\n", 9, header + "\r\n1\r\n2\r\n3\r\n.\r\n"},
		{header + "\r\n\r\n\r\n.\r\n", 3, header + "\r\n\r\n\r\n..\r\n.\r\n"},
		{header + "\r\n", 0, header + "\r\n.\r\n"},
		{header + "\r\n", 5, header + "\r\n.\r\n"},
		{header, 0, header + "\r\n.\r\n"}, // no blank line, no body: there must be one all the same
		{header, 5, header + "\r\n.\r\n"},
		{"Subject: x", 5, "Subject: x\r\n\r\n.\r\n"},
		{"", 1, "\r\n.\r\n"},
		{long + "\r\nb\r\n", 0, long + "\r\n.\r\n"}, // the rest of a long line is no blank line
		{"A: b\n\nbody\n", 1, "A: b\n\nbody\n\r\n.\r\n"},
	} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := sendLines(w, bufio.NewReaderSize(strings.NewReader(c.in), 16<<10), c.lines); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if out.String() != c.want {
			t.Errorf("TOP %d of %.40q is %.60q", c.lines, c.in, out.String())
		}
	}
}

func TestRetrieveOverAConnectionIsExact(t *testing.T) {
	playPOP3(t, func(p *pop3Test) {
		var body strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&body, "%s line %d\r\n", strings.Repeat(".", i%3), i)
		}
		p.deliver(body.String())
		c := p.loggedIn()
		c.ask("RETR 1", fmt.Sprintf("+OK %d octets", body.Len()))
		var got strings.Builder
		for _, line := range c.block() {
			got.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		}
		if got.String() != body.String() {
			t.Errorf("%d octets came, %d were sent", got.Len(), body.Len())
		}
	})
}
