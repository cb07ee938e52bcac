package mailrelay

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/mailrelay/spool"
)

type imapTest struct {
	*testing.T
	spool *spool.Spool
	dir   string
	log   journalLog
	l     *pipes
}

// playIMAP plays against a server on a new spool.
func playIMAP(t *testing.T, play func(*imapTest)) {
	t.Helper()
	playIMAPIn(t, t.TempDir(), play)
}

func playIMAPIn(t *testing.T, dir string, play func(*imapTest)) {
	t.Helper()
	p := &imapTest{dir: dir}
	var err error
	if p.spool, err = spool.Open(dir, spool.Options{}); err != nil {
		t.Fatal(err)
	}
	defer p.spool.Close()
	server := &IMAPServer{Spool: p.spool, Accounts: testAccounts(), Caller: "alice", MaxSize: 1 << 20, Log: p.log.logger()}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		p.T, p.l = t, l
		play(p)
	})
	for _, secret := range []string{"sesame", "bob's", base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + alicePassword))} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, p.log.String())
		}
	}
	if strings.Contains(p.log.String(), "panic") {
		t.Errorf("panic:\n%s", p.log.String())
	}
}

func (p *imapTest) deliver(bodies ...string) {
	p.Helper()
	for _, b := range bodies {
		ms, err := p.spool.Known("alice", "isp")
		if err != nil {
			p.Fatal(err)
		}
		if _, err := p.spool.Deliver("alice", spool.Source{Upstream: "isp", UID: fmt.Sprint("u", len(ms)+1)}, strings.NewReader(b)); err != nil {
			p.Fatal(err)
		}
	}
}

func (p *imapTest) waiting() int {
	p.Helper()
	ms, err := p.spool.Messages("alice")
	if err != nil {
		p.Fatal(err)
	}
	return len(ms)
}

// imapClient is a raw session.
type imapClient struct {
	*client
	tag int
}

func (p *imapTest) greeted() *imapClient {
	p.Helper()
	c := &imapClient{client: p.l.dial(p.T)}
	c.expect("* OK [CAPABILITY IMAP4rev1 ")
	return c
}

func (p *imapTest) loggedIn() *imapClient {
	p.Helper()
	c := p.greeted()
	c.ok(`LOGIN alice "` + alicePassword + `"`)
	return c
}

func (p *imapTest) selected(mailbox string) *imapClient {
	p.Helper()
	c := p.loggedIn()
	c.ok("SELECT " + mailbox)
	return c
}

// do sends a command and returns the untagged responses, literals and all, and
// the tagged one without its tag.
func (c *imapClient) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.tag++
	tag := fmt.Sprint("t", c.tag, " ")
	c.write(tag + command + "\r\n")
	return c.until(tag)
}

func (c *imapClient) until(tag string) (untagged []string, tagged string) {
	c.t.Helper()
	for {
		r := c.response()
		if rest, ok := strings.CutPrefix(r, tag); ok {
			return untagged, rest
		}
		if !strings.HasPrefix(r, "* ") {
			c.t.Fatalf("got %q before the answer to %s", r, tag)
		}
		untagged = append(untagged, strings.TrimPrefix(r, "* "))
	}
}

// response reads a line with the literals in it.
func (c *imapClient) response() string {
	c.t.Helper()
	all := c.line()
	for strings.HasSuffix(all, "}") {
		n, err := strconv.Atoi(all[strings.LastIndexByte(all, '{')+1 : len(all)-1])
		if err != nil {
			return all
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			c.t.Fatalf("literal: %v", err)
		}
		all += "\r\n" + string(literal) + c.line()
	}
	return all
}

func (c *imapClient) ok(command string) []string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%.60s: %s", command, tagged)
	}
	return untagged
}

// gives checks the untagged responses of a command that succeeds.
func (c *imapClient) gives(command string, want ...string) {
	c.t.Helper()
	if got := c.ok(command); !slices.Equal(got, want) {
		c.t.Errorf("%s gives\n%q, want\n%q", command, got, want)
	}
}

func (c *imapClient) refused(command, prefix string) {
	c.t.Helper()
	if _, tagged := c.do(command); !strings.HasPrefix(tagged, prefix) {
		c.t.Errorf("%.60s is answered %q, want %s", command, tagged, prefix)
	}
}

func TestAnIMAPSession(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("Subject: one\r\n\r\nbody\r\n", "Subject: two\r\n\r\nlonger body\r\n")
		c := p.loggedIn()
		got := c.ok("select inbox")
		for _, want := range []string{"2 EXISTS", "0 RECENT", "OK [UNSEEN 1] First unseen message", "OK [UIDNEXT 3] Predicted next UID",
			`FLAGS (\Seen \Answered \Flagged \Deleted \Draft)`, `OK [PERMANENTFLAGS (\Seen \Answered \Flagged \Deleted \Draft)] Permanent flags`} {
			if !slices.Contains(got, want) {
				t.Errorf("SELECT does not give %q: %q", want, got)
			}
		}
		c.gives("FETCH 1:* (UID FLAGS RFC822.SIZE)", "1 FETCH (UID 1 FLAGS () RFC822.SIZE 22)", "2 FETCH (UID 2 FLAGS () RFC822.SIZE 29)")
		c.gives("FETCH 2 BODY[]", "2 FETCH (FLAGS (\\Seen) BODY[] {29}\r\nSubject: two\r\n\r\nlonger body\r\n)")
		c.gives("FETCH 2 BODY[]", "2 FETCH (BODY[] {29}\r\nSubject: two\r\n\r\nlonger body\r\n)")
		c.gives(`STORE 1 +FLAGS (\Deleted \Flagged)`, `1 FETCH (UID 1 FLAGS (\Flagged \Deleted))`)
		c.gives(`UID STORE 2 -FLAGS.SILENT (\Seen)`)
		c.gives("NOOP")
		c.gives("EXPUNGE", "1 EXPUNGE")
		c.gives("UID FETCH 1:* FLAGS", "1 FETCH (UID 2 FLAGS ())")
		if untagged, _ := c.do("LOGOUT"); !slices.Equal(untagged, []string{"BYE Logging out"}) {
			t.Errorf("LOGOUT gives %q", untagged)
		}
		c.expectEOF()
	})
}

func TestAnExpungedMessageIsDeletedAtTheProvider(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n", "A: 4\r\n\r\n")
		c := p.selected("INBOX")
		c.ok(`STORE 1:3 +FLAGS.SILENT (\Deleted)`)
		c.gives("UID EXPUNGE 2,4", "2 EXPUNGE")
		c.ok("CLOSE")
		uids, err := p.spool.Deletions("alice", "isp")
		if err != nil || !slices.Equal(uids, []string{"u2", "u1", "u3"}) {
			t.Errorf("deletions are %q, %v", uids, err)
		}
		if n := p.waiting(); n != 1 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestExamineChangesNothing(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n")
		c := p.selected("INBOX")
		c.ok(`STORE 1 +FLAGS (\Deleted)`)
		if got := c.ok("EXAMINE INBOX"); !slices.Contains(got, "OK [PERMANENTFLAGS ()] Permanent flags") {
			t.Errorf("EXAMINE gives %q", got)
		}
		c.gives("FETCH 1 RFC822", "1 FETCH (RFC822 {8}\r\nA: 1\r\n\r\n)")
		c.refused(`STORE 1 FLAGS ()`, "NO")
		c.refused("EXPUNGE", "NO")
		c.refused("MOVE 1 Sent", "NO")
		c.ok("CLOSE")
		if p.waiting() != 1 {
			t.Error("CLOSE after EXAMINE has expunged")
		}
	})
}

func TestUIDsAndFlagsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var before []string
	look := func(c *imapClient) []string {
		untagged := c.ok("SELECT INBOX")
		return append(untagged, c.ok("FETCH 1:* (FLAGS UID)")...)
	}
	playIMAPIn(t, dir, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n")
		c := p.selected("INBOX")
		c.ok(`STORE 1:2 FLAGS (\Seen \Answered \Deleted)`)
		c.ok(`STORE 2:3 FLAGS (\Draft \Flagged)`)
		c.ok("EXPUNGE")
		before = look(p.loggedIn())
	})
	playIMAPIn(t, dir, func(p *imapTest) {
		if got := look(p.loggedIn()); !slices.Equal(got, before) {
			t.Errorf("now\n%q, before\n%q", got, before)
		}
		p.deliver("A: 4\r\n\r\n")
		p.selected("INBOX").gives("FETCH * UID", "3 FETCH (UID 4)")
	})
}

func TestSessionsSeeEachOther(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n")
		a, b := p.selected("INBOX"), p.selected("INBOX")
		a.ok(`STORE 3 +FLAGS.SILENT (\Answered)`)
		a.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
		a.gives("EXPUNGE", "1 EXPUNGE")
		// Numbers must not move in the middle of b's commands on them.
		b.gives("FETCH 2:3 UID", "2 FETCH (UID 2)", "3 FETCH (UID 3)", `3 FETCH (UID 3 FLAGS (\Answered))`)
		b.refused("FETCH 1 RFC822.HEADER", "NO [EXPUNGEISSUED]")
		b.refused(`STORE 1 +FLAGS (\Seen)`, "NO [EXPUNGEISSUED]")
		b.gives("NOOP", "1 EXPUNGE")
		b.gives("FETCH 1:* UID", "1 FETCH (UID 2)", "2 FETCH (UID 3)")
		p.deliver("A: 4\r\n\r\n")
		a.gives("NOOP", "3 EXISTS")
	})
}

func TestIdleTellsOfNewMailAtOnce(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n")
		c := p.selected("INBOX")
		c.write("i IDLE\r\n")
		c.expect("+ idling")
		p.deliver("A: 2\r\n\r\n")
		c.expect("* 2 EXISTS")
		d := p.selected("INBOX")
		d.ok(`STORE 1 FLAGS.SILENT (\Deleted)`)
		c.expect(`* 1 FETCH (UID 1 FLAGS (\Deleted))`)
		d.write("x EXPUNGE\r\n")
		c.expect("* 1 EXPUNGE")
		d.until("x ")
		time.Sleep(29 * time.Minute) // RFC 2177: clients say IDLE again every 29 minutes
		c.write("DONE\r\n")
		c.expect("i OK")
		c.write("j IDLE\r\n")
		c.expect("+ idling")
		time.Sleep(imapIdle)
		c.expect("* BYE")
		c.expectEOF()
	})
}

func TestAPOP3SessionKeepsItsMessagesAndIMAPKeepsNobodyOut(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n", "A: 2\r\n\r\n")
		c := p.selected("INBOX")
		c.ok(`STORE 1 +FLAGS (\Deleted)`)
		drop, err := p.spool.Lock("alice") // what PASS does
		if err != nil {
			t.Fatal(err)
		}
		c.refused("EXPUNGE", "NO [INUSE]")
		c.refused("CLOSE", "NO [INUSE]")
		c.refused("MOVE 1 Sent", "NO [INUSE]")
		c.gives("FETCH 1 RFC822.SIZE", "1 FETCH (RFC822.SIZE 8)")
		if got := c.ok("STATUS Sent (MESSAGES)"); !slices.Equal(got, []string{`STATUS "Sent" (MESSAGES 0)`}) {
			t.Errorf("a MOVE that failed left its copy: %q", got)
		}
		if err := drop.Delete([]string{drop.Messages()[1].UID}); err != nil {
			t.Fatal(err)
		}
		drop.Unlock()
		c.gives("NOOP", "2 EXPUNGE")
		c.gives("EXPUNGE", "1 EXPUNGE")
	})
}

func TestAppendKeepsOctetsFlagsAndDate(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		c := p.loggedIn()
		message := "Subject: sent\r\n\r\nt9 LOGOUT {5+}\r\n\x00\xff\r\n"
		c.write(fmt.Sprintf("a APPEND \"Sent\" (\\Seen $Forwarded) \" 7-Feb-1994 21:52:25 -0800\" {%d}\r\n", len(message)))
		c.expect("+ ")
		c.write(message + "\r\n")
		if _, tagged := c.until("a "); !strings.HasPrefix(tagged, "OK [APPENDUID ") || !strings.Contains(tagged, " 1] ") {
			t.Errorf("APPEND is answered %q", tagged)
		}
		c.write("b APPEND Sent {4+}\r\nA: b\r\n") // LITERAL-
		c.until("b ")
		c.ok("SELECT Sent")
		c.gives("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])", `1 FETCH (FLAGS (\Seen) INTERNALDATE " 7-Feb-1994 21:52:25 -0800" BODY[] {`+fmt.Sprint(len(message))+"}\r\n"+message+")")
		c.gives("FETCH 2 (FLAGS INTERNALDATE)", "2 FETCH (FLAGS () INTERNALDATE \""+time.Now().Format("_2-Jan-2006 15:04:05 -0700")+"\")")
		c.refused("APPEND Sent {1048577}", "NO [TOOBIG]")
		c.write("d APPEND Trash {4}\r\n")
		c.expect("+ ")
		c.write("A: b\r\n")
		if _, tagged := c.until("d "); !strings.HasPrefix(tagged, "NO [NONEXISTENT]") {
			t.Errorf("APPEND to nowhere is answered %q", tagged)
		}
		if p.waiting() != 0 {
			t.Error("something is in INBOX")
		}
	})
}

func TestAnAppendCutShortLeavesNothing(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		c := p.loggedIn()
		c.write("a APPEND INBOX {100}\r\n")
		c.expect("+ ")
		c.write("Subject: half")
		c.conn.Close()
		synctest.Wait()
		if n := p.waiting(); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestCopyAndMoveKeepOctetsFlagsAndDate(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("Received: from x\r\n\tby y; Tue, 3 Mar 2026 10:00:00 +0100\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n\r\n\x00", "Date: Mon, 2 Mar 2026 10:00:00 +0100\r\n\r\n", "\r\nx")
		c := p.selected("INBOX")
		c.ok(`STORE 1 FLAGS.SILENT (\Answered)`)
		if _, tagged := c.do("COPY 1:2 Sent"); !strings.Contains(tagged, " 1:2 1:2]") {
			t.Errorf("COPY is answered %q", tagged)
		}
		if got := c.ok("MOVE 3 Sent"); len(got) != 2 || !strings.HasPrefix(got[0], "OK [COPYUID ") && !strings.HasPrefix(got[1], "OK [COPYUID ") {
			t.Errorf("MOVE gives %q", got)
		}
		if uids, _ := p.spool.Deletions("alice", "isp"); !slices.Equal(uids, []string{"u3"}) {
			t.Errorf("deletions are %q", uids)
		}
		c.refused("COPY 1 Archive", "NO [NONEXISTENT]")
		c.ok("SELECT Sent")
		c.gives("FETCH 1:3 (FLAGS INTERNALDATE BODY.PEEK[TEXT])",
			"1 FETCH (FLAGS (\\Answered) INTERNALDATE \" 3-Mar-2026 10:00:00 +0100\" BODY[TEXT] {1}\r\n\x00)",
			"2 FETCH (FLAGS () INTERNALDATE \" 2-Mar-2026 10:00:00 +0100\" BODY[TEXT] {0}\r\n)",
			"3 FETCH (FLAGS () INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" BODY[TEXT] {1}\r\nx)")
	})
}

func TestListStatusAndNamespace(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n")
		c := p.loggedIn()
		c.gives(`LIST "" ""`, `LIST (\Noselect) "/" ""`)
		c.gives(`LIST "" *`, `LIST (\Noinferiors) "/" INBOX`, `LIST (\Noinferiors \Sent) "/" "Sent"`)
		c.gives(`LIST "" inbox`, `LIST (\Noinferiors) "/" INBOX`)
		c.gives(`LSUB "" "S%"`, `LSUB (\Noinferiors \Sent \Subscribed) "/" "Sent"`)
		c.gives(`LIST "" % RETURN (STATUS (MESSAGES UNSEEN))`, `LIST (\Noinferiors) "/" INBOX`, `STATUS INBOX (MESSAGES 1 UNSEEN 1)`, `LIST (\Noinferiors \Sent) "/" "Sent"`, `STATUS "Sent" (MESSAGES 0 UNSEEN 0)`)
		c.gives("NAMESPACE", `NAMESPACE (("" "/")) NIL NIL`)
		c.gives("STATUS INBOX (UIDNEXT SIZE DELETED DELETED-STORAGE APPENDLIMIT RECENT)", "STATUS INBOX (UIDNEXT 2 DELETED 0 SIZE 8 APPENDLIMIT 1048576 DELETED-STORAGE 0 RECENT 0)")
		c.refused("CREATE Trash", "NO [CANNOT]")
		c.refused("DELETE Sent", "NO [CANNOT]")
		c.refused("STATUS Trash (MESSAGES)", "NO [NONEXISTENT]")
		c.refused("SELECT Trash", "NO [NONEXISTENT]")
	})
}

func TestEveryMechanismLogsIn(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		c := p.greeted()
		got := c.ok("CAPABILITY")
		for _, m := range saslMechanisms() {
			if !strings.Contains(got[0], " AUTH="+m) {
				t.Errorf("%s is not in %q", m, got[0])
			}
		}
		c.write("a AUTHENTICATE PLAIN " + b64("\x00alice\x00"+alicePassword) + "\r\n")
		c.expect("a OK [CAPABILITY")

		c = p.greeted()
		c.write("a AUTHENTICATE PLAIN\r\n")
		if line := c.line(); line != "+ " {
			t.Errorf("an empty challenge is %q", line)
		}
		c.write(b64("\x00alice\x00"+alicePassword) + "\r\n")
		c.expect("a OK")

		c = p.greeted()
		c.write("a AUTHENTICATE LOGIN\r\n")
		c.expect("+ " + b64("Username:"))
		c.write(b64("alice@example.org") + "\r\n")
		c.expect("+ " + b64("Password:"))
		c.write(b64(alicePassword) + "\r\n")
		c.expect("a OK")

		c = p.greeted()
		c.write("a AUTHENTICATE CRAM-MD5\r\n")
		challenge, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.expect("+ "), "+ "))
		c.write(b64("alice "+cramDigest(string(challenge), alicePassword)) + "\r\n")
		c.expect("a OK")

		c = p.greeted()
		c.write("a AUTHENTICATE SCRAM-SHA-256\r\n")
		if line := c.line(); line != "+ " {
			t.Errorf("an empty challenge is %q", line)
		}
		c.write("*\r\n")
		c.expect("a BAD")
		c.write("b AUTHENTICATE GSSAPI\r\n")
		c.expect("b NO")
		c.write("b AUTHENTICATE PLAIN " + b64("x") + "\r\n")
		c.expect("b BAD")
	})
}

func TestGuessingOverIMAPIsSlow(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		c := p.greeted()
		start := time.Now()
		for i := range maxTries {
			c.write(fmt.Sprintf("a%d LOGIN alice wrong%d\r\n", i, i))
			c.expect(fmt.Sprintf("a%d NO [AUTHENTICATIONFAILED]", i))
		}
		c.expectEOF()
		if d := time.Since(start); d != 21*time.Second {
			t.Errorf("%d tries took %v", maxTries, d)
		}
	})
}

func TestALiteralThatIsRefusedIsNotTakenForCommands(t *testing.T) {
	const evil = "x\r\nt STORE 1 FLAGS (\\Deleted)\r\nt EXPUNGE\r\n"
	for _, times := range []int{10, 200} {
		message := strings.Repeat(evil, times)
		for name, command := range map[string]string{
			"too big for LITERAL-": "a APPEND Sent {%d+}\r\n",
			"a date no date":       "a APPEND Sent \"today\" {%d+}\r\n",
			"no such command":      "a KEEP Sent {%d+}\r\n",
			"no such mailbox":      "a EXAMINE {%d+}\r\n",
			"not the last word":    "a STATUS INBOX {%d+}\r\n",
		} {
			t.Run(fmt.Sprint(name, " ", times), func(t *testing.T) {
				playIMAP(t, func(p *imapTest) {
					p.deliver("A: 1\r\n\r\n")
					c := p.selected("INBOX")
					go func() {
						fmt.Fprintf(c.conn, command, len(message))
						io.WriteString(c.conn, message+"\r\nz LOGOUT\r\n")
					}()
					io.Copy(io.Discard, c.r)
					if p.waiting() != 1 {
						t.Error("a message has expunged another")
					}
				})
			})
		}
	}
}

func TestACommandIsBounded(t *testing.T) {
	for name, endless := range map[string]string{
		"a line":   "x",
		"literals": " {4000+}\r\n" + strings.Repeat("y", 4000),
		"nesting":  "(",
	} {
		t.Run(name, func(t *testing.T) {
			playIMAP(t, func(p *imapTest) {
				c := p.greeted()
				go func() {
					io.WriteString(c.conn, "a SEARCH TEXT")
					for {
						if _, err := io.WriteString(c.conn, endless); err != nil {
							return
						}
					}
				}()
				io.Copy(io.Discard, c.r) // until it is cut
			})
		})
	}
}

func TestEverySessionIsOverWhenServeReturns(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver("A: 1\r\n\r\n")
		p.greeted()
		c := p.selected("INBOX")
		c.write("a IDLE\r\n")
		c.expect("+ ")
		d := p.loggedIn()
		d.write("a APPEND Sent {1000}\r\n")
		d.expect("+ ")
		e := p.selected("INBOX")
		e.write("a FETCH 1 BODY[]\r\n") // and reads nothing
	})
}

// FuzzIMAPSession feeds a whole connection: whatever comes, the server does not
// panic, ends, and expunges nothing unless it was told to.
func FuzzIMAPSession(f *testing.F) {
	const login = "a LOGIN alice x\r\nb SELECT INBOX\r\n"
	for _, seed := range []string{
		"a CAPABILITY\r\nb LOGOUT\r\n",
		"a AUTHENTICATE PLAIN AGFsaWNlAHg=\r\nb STATUS INBOX (MESSAGES UIDNEXT)\r\n",
		login + "c FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY[1.HEADER]<0.5> BODY[HEADER.FIELDS (A)] INTERNALDATE)\r\n",
		login + "c STORE 1 +FLAGS (\\Deleted)\r\nd EXPUNGE\r\ne CLOSE\r\n",
		login + "c UID SEARCH OR NOT SEEN (SUBJECT a TEXT b) SINCE 1-Jan-2020 LARGER 3\r\nd SEARCH RETURN (SAVE) ALL\r\ne FETCH $ UID\r\n",
		login + "c APPEND Sent (\\Seen) {4+}\r\nA: b\r\nd MOVE 1 Sent\r\ne IDLE\r\nDONE\r\n",
		"a LOGIN {5}\r\nalice {1+}\r\nx\r\nb LIST \"\" *\r\nc SELECT Sent\r\nd COPY * INBOX\r\n",
	} {
		f.Add([]byte(seed))
	}
	s := testSpool(f)
	accounts := AccountList{{User: "alice", Password: func() string { return "x" }}}
	const message = "A: b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n"
	f.Fuzz(func(t *testing.T, in []byte) {
		state := mustState(t, s)
		if len(state.Messages) == 0 {
			if _, err := s.Deliver("alice", spool.Source{}, strings.NewReader(message)); err != nil {
				t.Fatal(err)
			}
		}
		before := len(mustState(t, s).Messages)
		var log bytes.Buffer
		server := &IMAPServer{Spool: s, Accounts: accounts, Log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // or wrong log-ins would cost real time
		server.serveConn(ctx, &scriptedConn{scripted: scripted{in: bytes.NewReader(in)}})
		if bytes.Contains(log.Bytes(), []byte("panic")) {
			t.Fatalf("%q: %s", in, log.Bytes())
		}
		words := bytes.ToUpper(in)
		if n := len(mustState(t, s).Messages); n < before && !bytes.Contains(words, []byte("EXPUNGE")) && !bytes.Contains(words, []byte("CLOSE")) && !bytes.Contains(words, []byte("MOVE")) {
			t.Fatalf("%q deleted mail", in)
		}
	})
}

func mustState(t testing.TB, s *spool.Spool) spool.FolderState {
	t.Helper()
	f, err := s.Folder("alice", spool.InboxFolder)
	if err != nil {
		t.Fatal(err)
	}
	state, err := f.State(time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return state
}
