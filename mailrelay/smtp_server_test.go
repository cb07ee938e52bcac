package mailrelay

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

type smtpTest struct {
	*testing.T
	spool  *spool.Spool
	dir    string
	log    journalLog
	events []status.Event
	l      *pipes
}

func playSMTP(t *testing.T, play func(*smtpTest)) {
	t.Helper()
	p := &smtpTest{dir: t.TempDir()}
	var err error
	if p.spool, err = spool.Open(p.dir, spool.Options{}); err != nil {
		t.Fatal(err)
	}
	defer p.spool.Close()
	server := &SMTPServer{
		Spool: p.spool, Accounts: testAccounts(), Hostname: "mail.postern.lan", Caller: "alice",
		MaxSize: 1 << 20, MaxRecipients: 3, Log: p.log.logger(),
		Post: func(e status.Event) { p.events = append(p.events, e) },
	}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		p.T, p.l = t, l
		play(p)
	})
	for _, secret := range []string{"sesame", "bob's", b64("\x00alice\x00" + alicePassword), b64(alicePassword)} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, p.log.String())
		}
	}
	if left, err := os.ReadDir(filepath.Join(p.dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("files were left behind: %v %v", left, err)
	}
}

// reply reads one reply of any number of lines.
func (c *client) reply(prefix string) []string {
	c.t.Helper()
	var lines []string
	for {
		line := c.line()
		lines = append(lines, line)
		if len(line) < 4 || line[3] == ' ' {
			if !strings.HasPrefix(line, prefix) {
				c.t.Fatalf("got %q, want %s…", lines, prefix)
			}
			return lines
		}
	}
}

func (c *client) say(command, prefix string) []string {
	c.t.Helper()
	c.write(command + "\r\n")
	return c.reply(prefix)
}

func (p *smtpTest) greeted() *client {
	p.Helper()
	c := p.l.dial(p.T)
	c.reply("220 mail.postern.lan")
	c.say("EHLO pc", "250")
	return c
}

func (p *smtpTest) loggedIn() *client {
	p.Helper()
	c := p.greeted()
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
	return c
}

// addressed is ready for the octets of a message from alice to b@c.
func (p *smtpTest) addressed() *client {
	p.Helper()
	c := p.loggedIn()
	c.say("MAIL FROM:<alice@example.org>", "250")
	c.say("RCPT TO:<b@c.example>", "250")
	c.say("DATA", "354")
	return c
}

func (p *smtpTest) queued() (envs []spool.Envelope, bodies []string) {
	p.Helper()
	envs, err := p.spool.Queue()
	if err != nil {
		p.Fatal(err)
	}
	for _, env := range envs {
		r, err := p.spool.OpenQueued(env.ID)
		if err != nil {
			p.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			p.Fatal(err)
		}
		r.Close()
		bodies = append(bodies, string(body))
	}
	return envs, bodies
}

func TestAMessageIsInTheQueueOctetForOctetWhenItIsAcknowledged(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		body := "Subject: x\r\n\r\n.one dot\r\n..\r\nbare\nLF, lone\rCR, 8 bit \xe4, NUL \x00\r\n" + strings.Repeat("a long line ", 10000) + "\r\n"
		c := p.loggedIn()
		c.say("MAIL FROM:<Alice@Example.org> SIZE=1000 BODY=8BITMIME", "250")
		c.say("RCPT TO:<b@c.example>", "250")
		c.say("RCPT TO:<\"d \\\"e\"@f.example>", "250")
		c.say("DATA", "354")
		start := time.Now()
		c.write(strings.ReplaceAll(body, "\r\n.", "\r\n..") + ".\r\n")
		c.reply("250")
		envs, bodies := p.queued()
		if len(envs) != 1 || bodies[0] != body {
			t.Fatalf("queue is %v, body of %d octets, want %d", envs, len(bodies[0]), len(body))
		}
		env := envs[0]
		if env.User != "alice" || env.From != "Alice@Example.org" || !env.EightBit || env.Size != int64(len(body)) ||
			!slices.Equal(env.To, []string{"b@c.example", `"d \"e"@f.example`}) || !env.Accepted.Equal(start.UTC().Truncate(time.Second)) {
			t.Errorf("envelope is %+v", env)
		}
		if want := (status.MailAccepted{At: env.Accepted, User: "alice", Octets: env.Size}); len(p.events) != 1 || p.events[0] != want {
			t.Errorf("the board heard %v", p.events)
		}
		c.say("MAIL FROM:<alice@example.org>", "250") // and another
		c.say("RCPT TO:<x@y.example>", "250")
		c.say("DATA", "354")
		c.write("second\r\n.\r\n")
		c.reply("250")
		c.say("QUIT", "221")
		if envs, bodies := p.queued(); len(envs) != 2 || bodies[1] != "second\r\n" || len(envs[1].To) != 1 || envs[1].EightBit {
			t.Errorf("queue is %+v", envs)
		}
	})
}

func TestEhloOffersWhatOldAndNewClientsLookFor(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.l.dial(t)
		c.reply("220")
		var got []string
		for _, line := range c.say("EHLO pc", "250") {
			got = append(got, line[4:])
		}
		for _, want := range []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 1048576", "AUTH " + strings.Join(saslMechanisms(), " "), "AUTH=LOGIN"} {
			if !slices.Contains(got, want) {
				t.Errorf("EHLO lacks %q: %q", want, got)
			}
		}
	})
}

func TestAuthLoginHasThePromptsThatOldOutlooksCompareWith(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.greeted()
		c.say("AUTH LOGIN", "334 VXNlcm5hbWU6")
		c.say(b64("alice@example.org"), "334 UGFzc3dvcmQ6")
		c.say(b64(alicePassword), "235")
		c = p.greeted() // the name may come along
		c.say("auth login "+b64("alice"), "334 UGFzc3dvcmQ6")
		c.say(b64(alicePassword), "235")
		c = p.greeted()
		c.say("AUTH PLAIN", "334 ")
		c.say(b64("\x00alice\x00"+alicePassword), "235")
	})
}

func TestMailIsTakenOnlyFromThoseLoggedInAndInTheirOwnName(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.greeted()
		c.say("MAIL FROM:<alice@example.org>", "530 5.7.0")
		c.say("RCPT TO:<b@c.example>", "502")
		c.say("AUTH PLAIN "+b64("\x00alice\x00wrong"), "535 5.7.8")
		c.say("AUTH PLAIN "+b64("\x00nopass\x00"), "535 5.7.8")
		c.say("AUTH PLAIN "+b64("bob\x00alice\x00"+alicePassword), "535 5.7.8")
		c.say("AUTH PLAIN "+b64("nonsense"), "501 5.5.2")
		c.say("AUTH KERBEROS_V4", "504 5.7.4")
		c.say("AUTH PLAIN", "334")
		c.say("*", "501")
		c.say("MAIL FROM:<alice@example.org>", "530 5.7.0")
		c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
		c.say("MAIL FROM:<bob@example.org>", "550 5.7.1")
		c.say("MAIL FROM:<>", "550 5.7.1")
		c.say("MAIL FROM:<alice@example.org>", "250")
		c.say("RCPT TO:<b@c.example>", "250")
		c.say("EHLO again", "250") // forgets the message, not the log-in
		c.say("RCPT TO:<b@c.example>", "502")
		c.say("MAIL FROM:<a.smith@example.org>", "250")
	})
}

func TestGuessingOverSMTPIsSlowedDownAndThenCutOff(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.greeted()
		for i := range maxTries {
			start := time.Now()
			want := "535"
			if i == maxTries-1 {
				want = "421"
			}
			c.say("AUTH PLAIN "+b64("\x00alice\x00wrong"), want)
			if d := time.Since(start); d != time.Duration(i+1)*time.Second {
				t.Errorf("try %d took %v", i+1, d)
			}
		}
		c.expectEOF()
	})
}

func TestRecipientsThatCouldNotBeSentOnAreRefused(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.loggedIn()
		c.say("MAIL FROM:<alice@example.org>", "250")
		for _, to := range []string{"<>", "<b>", "<b@>", "<@c>", "<b@c\rQUIT>", "<b\x01@c>", "<b@c\xff>", "<b@\"c\">", "<b@c,d>", "<" + strings.Repeat("b", 320) + "@c>"} {
			c.say("RCPT TO:"+to, "5")
		}
		for i := range 3 {
			c.say(fmt.Sprintf("RCPT TO:<b%d@c.example>", i), "250")
		}
		c.say("RCPT TO:<b3@c.example>", "452 4.5.3")
		c.say("DATA", "354")
		c.write("x\r\n.\r\n")
		c.reply("250")
		if envs, _ := p.queued(); len(envs) != 1 || len(envs[0].To) != 3 {
			t.Errorf("queue is %v", envs)
		}
	})
}

func TestAMessageTooLargeIsRefusedEarlyOrLateAndLeavesNothing(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.loggedIn()
		c.say("MAIL FROM:<alice@example.org> SIZE=1048577", "552 5.3.4")
		c.say("MAIL FROM:<alice@example.org>", "250")
		c.say("RCPT TO:<b@c.example>", "250")
		c.say("DATA", "354")
		c.write(strings.Repeat(strings.Repeat("x", 1000)+"\r\n", 1100) + ".\r\n")
		c.reply("552 5.3.4")
		if envs, _ := p.queued(); len(envs) != 0 {
			t.Errorf("queue is %v", envs)
		}
		c.say("MAIL FROM:<alice@example.org>", "250") // and the session goes on
	})
}

func TestAClientThatVanishesMidMessageLeavesNothing(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		for _, part := range []string{"", "Subject: x\r\n", "half a line", "all but the dot\r\n", "dot\r\n.", "dot\r\n.\r"} {
			c := p.addressed()
			c.write(part)
			c.conn.Close()
			synctest.Wait()
		}
		if envs, _ := p.queued(); len(envs) != 0 || len(p.events) != 0 {
			t.Errorf("queue is %v, the board heard %v", envs, p.events)
		}
	})
}

func TestTheEndOfTheServiceMidMessageLeavesNothing(t *testing.T) {
	var envs []spool.Envelope
	playSMTP(t, func(p *smtpTest) {
		p.addressed().write("half a message\r\n")
		chunks := p.loggedIn()
		chunks.say("MAIL FROM:<alice@example.org>", "250")
		chunks.say("RCPT TO:<b@c.example>", "250")
		chunks.write("BDAT 5\r\nhello")
		chunks.reply("250")
		t.Cleanup(func() { envs, _ = p.queued() })
	})
	if len(envs) != 0 {
		t.Errorf("queue is %v", envs)
	}
}

func TestAMessageInChunksIsTakenToo(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.loggedIn()
		c.say("MAIL FROM:<alice@example.org>", "250")
		c.say("RCPT TO:<b@c.example>", "250")
		long := strings.Repeat("y", 100000) // no line end for long
		c.write("BDAT 7\r\n.\r\nabc\n")
		c.reply("250")
		c.write(fmt.Sprintf("BDAT %d\r\n%s", len(long), long))
		c.reply("250")
		c.write("BDAT 3 LAST\r\nend")
		c.reply("250")
		if _, bodies := p.queued(); len(bodies) != 1 || bodies[0] != ".\r\nabc\n"+long+"end" {
			t.Errorf("%d messages", len(bodies))
		}
		c.say("MAIL FROM:<alice@example.org>", "250")
	})
}

func TestASlowMessageIsTakenHoweverLongItLasts(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.addressed()
		for range 20 {
			time.Sleep(9 * time.Minute) // three hours in all
			c.write("still here\r\n")
		}
		c.write(".\r\n")
		c.reply("250")
		if _, bodies := p.queued(); len(bodies) != 1 || len(bodies[0]) != 20*12 {
			t.Errorf("%d messages", len(bodies))
		}
	})
}

func TestASilentClientIsSentAwayAfterTenMinutes(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.greeted()
		start := time.Now()
		c.reply("421 4.4.2")
		c.expectEOF()
		if d := time.Since(start); d != 10*time.Minute {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestAnSMTPLineWithoutEndIsCutOff(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.greeted()
		go c.conn.Write([]byte(strings.Repeat("a", 1<<20))) // fails: nobody reads on
		c.expectTooLong()
		c.expectEOF()
	})
}

func TestPipelinedSubmissionWorks(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		c := p.loggedIn()
		go c.conn.Write([]byte("MAIL FROM:<alice@example.org>\r\nRCPT TO:<b@c.example>\r\nRCPT TO:<c@c.example>\r\nDATA\r\n"))
		for _, want := range []string{"250", "250", "250", "354"} {
			c.reply(want)
		}
		c.write("x\r\n.\r\n")
		c.reply("250")
	})
}

func TestWhenTheDiskIsFullTheClientKeepsItsMessage(t *testing.T) {
	dir := t.TempDir()
	full, err := spool.Open(dir, spool.Options{Reserve: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var log journalLog
	server := &SMTPServer{Spool: full, Accounts: testAccounts(), Log: log.logger()}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		p := &smtpTest{T: t, spool: full, l: l}
		c := l.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
		for range 2 { // and the session goes on
			c.say("MAIL FROM:<alice@example.org>", "250")
			c.say("RCPT TO:<b@c.example>", "250")
			c.say("DATA", "354")
			c.write("x\r\n.\r\n")
			c.reply("452 4.3.1")
		}
		if envs, _ := p.queued(); len(envs) != 0 {
			t.Errorf("queue is %v", envs)
		}
	})
}
