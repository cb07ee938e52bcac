package mailrelay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// readBody lets a body be read in pieces of n octets.
func readBody(wire string, limit int64, n int) (string, error) {
	b := &pop3Body{r: bufio.NewReader(strings.NewReader(wire)), left: limit, done: func() {}}
	var out bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{b}, make([]byte, n))
	return out.String(), err
}

func TestRetrievedMessagesKeepEveryOctet(t *testing.T) {
	for _, c := range []struct{ name, wire, want string }{
		{"empty", ".\r\n", ""},
		{"one line", "a\r\n.\r\n", "a\r\n"},
		{"stuffed dot", "..a\r\n.\r\n", ".a\r\n"},
		{"line of one dot", "..\r\n.\r\n", ".\r\n"},
		{"line of two dots", "...\r\n.\r\n", "..\r\n"},
		{"dot after a bare LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n"},
		{"bare CR", "a\rb\r\n.\r\n", "a\rb\r\n"},
		{"CR CR LF", "a\r\r\n.\r\n", "a\r\r\n"},
		{"stuffed dot, bare CR", "..\rb\r\n.\r\n", ".\rb\r\n"},
		{"unstuffed dot, bare CR", ".\rb\r\n.\r\n", "\rb\r\n"},
		{"8-bit and NUL", "\xe9\x00\xff\r\n.\r\n", "\xe9\x00\xff\r\n"},
		{"empty lines", "\r\n\r\n.\r\n", "\r\n\r\n"},
	} {
		for _, n := range []int{1, 2, 3, 4096} {
			got, err := readBody(c.wire+"+OK next", math.MaxInt64, n)
			if err != nil || got != c.want {
				t.Errorf("%s, %d at a time: %q, %v; want %q", c.name, n, got, err, c.want)
			}
		}
	}
}

func TestMessageCutByALostConnectionIsNoMessage(t *testing.T) {
	wire := "Subject: x\r\n\r\n..\r\nend\r\n.\r\n"
	for cut := range len(wire) {
		if _, err := readBody(wire[:cut], math.MaxInt64, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d octets: %v", cut, err)
		}
	}
}

func TestMessageLongerThanTheLimitIsNotReadOn(t *testing.T) {
	if _, err := readBody("12345\r\n.\r\n", 7, 100); err != nil {
		t.Errorf("a message of the limit's size: %v", err)
	}
	if _, err := readBody("123456\r\n.\r\n", 7, 100); !errors.Is(err, errMessageTooLong) {
		t.Errorf("a longer one: %v", err)
	}
}

// scriptedPOP3 is a client whose server has said everything beforehand.
func scriptedPOP3(server string) *pop3Client {
	return &pop3Client{r: bufio.NewReaderSize(strings.NewReader(server), maxLine)}
}

func TestHostilePOP3RepliesAreErrorsNotTrouble(t *testing.T) {
	for _, c := range []struct{ name, server string }{
		{"no reply", ""},
		{"other protocol", "220 smtp.example.org ESMTP\r\n"},
		{"endless line", strings.Repeat("x", 1<<20)},
		{"endless greeting", "+OK " + strings.Repeat("x", 1<<20)},
	} {
		if _, err := scriptedPOP3(c.server).reply(); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
	for _, line := range []string{"", "1", "0 x", "-1 x", "99999999999999999999 x", "1 ", "1 a b", "1 \xff", "x y", "1 " + strings.Repeat("u", maxUID+1)} {
		if n, uid, err := parseUIDL(line); err == nil {
			t.Errorf("unique-id listing %q: %d %q", line, n, uid)
		}
	}
	for _, line := range []string{"", "1", "1 -5", "1 x", "0 5", "1 99999999999999999999"} {
		if n, size, err := parseScan(line); err == nil {
			t.Errorf("scan listing %q: %d %d", line, n, size)
		}
	}
	endless := &pop3Client{r: bufio.NewReaderSize(&endlessLines{}, maxLine)}
	if err := endless.multiline(1000, func(string) error { return nil }); !errors.Is(err, errPOP3Syntax) {
		t.Errorf("endless list: %v", err)
	}
}

type endlessLines struct{ n int }

func (e *endlessLines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "a\r\n"[e.n%3]
		e.n++
	}
	return len(p), nil
}

func TestRepliesAreReadInAnyCaseAndPiece(t *testing.T) {
	for _, c := range []struct{ line, text, code string }{
		{"+OK", "", ""},
		{"+OK 2 messages", "2 messages", ""},
		{"+ok", "", ""},
		{"-ERR [IN-USE] Do you have another POP session running?", "", "IN-USE"},
		{"-ERR [sys/temp] later", "", "SYS/TEMP"},
		{"-ERR [unclosed", "", ""},
	} {
		c2 := &pop3Client{r: bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(c.line+"\r\n")), maxLine)}
		text, err := c2.reply()
		var refused *pop3Refusal
		if strings.HasPrefix(c.line, "-") {
			if !errors.As(err, &refused) || refused.Code != c.code {
				t.Errorf("%q: %v", c.line, err)
			}
		} else if err != nil || text != c.text {
			t.Errorf("%q: %q, %v", c.line, text, err)
		}
	}
}

// FuzzPOP3Client plays a hostile server's side of a whole visit.
func FuzzPOP3Client(f *testing.F) {
	f.Add([]byte("+OK hi\r\n+OK\r\nUIDL\r\nSASL PLAIN\r\n.\r\n+ \r\n+OK\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n1 3\r\n2 4\r\n.\r\n+OK\r\n..a\r\n.\r\n+OK\r\n"))
	f.Add([]byte("+OK\r\n-ERR\r\n+OK\r\n+OK\r\n-ERR\r\n"))
	f.Add([]byte("+OK\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n1 a\r\n1 a\r\n.\r\n"))
	f.Fuzz(func(t *testing.T, server []byte) {
		c := &pop3Client{r: bufio.NewReaderSize(bytes.NewReader(server), maxLine), w: io.Discard}
		if _, err := c.reply(); err != nil {
			return
		}
		if err := c.login(credentials{username: "alice", password: "pw"}); err != nil {
			return
		}
		entries, err := c.list()
		if err != nil {
			return
		}
		plan := planFetch(entries, map[string]bool{"b": true}, []string{"c"}, 1000)
		if len(plan.retrieve)+len(plan.remove)+len(plan.tooLarge)+len(plan.ambiguous) > len(entries) {
			t.Fatalf("%d entries became %+v", len(entries), plan)
		}
		for _, e := range plan.retrieve {
			r, err := c.retrieve(e.Number, 1000)
			if err != nil {
				return
			}
			b, err := io.ReadAll(r)
			if len(b) > 1000 {
				t.Fatalf("%d octets read", len(b))
			}
			if err != nil {
				return
			}
		}
		c.quit()
	})
}
