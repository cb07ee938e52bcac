package mailrelay

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"postern/mailrelay/spool"
)

func someBounce() bounce {
	return bounce{
		Hostname: "box.example", Remote: "smtp.example.org",
		Now: time.Date(2026, 5, 2, 10, 0, 0, 0, time.UTC),
		Envelope: spool.Envelope{
			ID: "7", User: "alice", From: "alice@example.org",
			Accepted: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		},
		Refused: []refusal{
			{Recipient: "bob@example.net", Code: 550, Status: "5.1.1", Text: "no such user here"},
			{Recipient: "carol@example.net", Status: "4.4.7", Text: "given up after 5 days; the last reason was: 451 4.3.0 later"},
		},
		Header: []byte("From: alice@example.org\r\nSubject: hello\r\n"),
	}
}

func TestBounceIsAReportThatProgramsCanRead(t *testing.T) {
	// RFC 3464 and RFC 6522, read with the standard library.
	m, err := mail.ReadMessage(bytes.NewReader(someBounce().message()))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"Return-Path": "<>", "To": "<alice@example.org>", "Auto-Submitted": "auto-replied",
		"From": "Mail Delivery System <MAILER-DAEMON@box.example>", "Mime-Version": "1.0",
	} {
		if got := m.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v, %v", kind, params, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	var types, parts []string
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		types, parts = append(types, p.Header.Get("Content-Type")), append(parts, string(b))
	}
	if len(parts) != 3 || !strings.HasPrefix(types[0], "text/plain") || types[1] != "message/delivery-status" || types[2] != "text/rfc822-headers" {
		t.Fatalf("parts %q", types)
	}
	for _, words := range []string{"bob@example.net", "smtp.example.org answered:", "550 5.1.1 no such user here", "given up after 5 days"} {
		if !strings.Contains(parts[0], words) {
			t.Errorf("the text does not say %q:\n%s", words, parts[0])
		}
	}
	groups := textproto.NewReader(bufio.NewReader(strings.NewReader(parts[1] + "\r\n\r\n")))
	for i, want := range []map[string]string{
		{"Reporting-Mta": "dns; box.example", "Arrival-Date": "Fri, 01 May 2026 10:00:00 +0000"},
		{"Final-Recipient": "rfc822; bob@example.net", "Action": "failed", "Status": "5.1.1", "Diagnostic-Code": "smtp; 550 5.1.1 no such user here", "Remote-Mta": "dns; smtp.example.org"},
		{"Final-Recipient": "rfc822; carol@example.net", "Action": "failed", "Status": "4.4.7", "Remote-Mta": ""},
	} {
		h, err := groups.ReadMIMEHeader()
		if err != nil {
			t.Fatalf("group %d: %v", i, err)
		}
		for field, v := range want {
			if h.Get(field) != v {
				t.Errorf("group %d, %s: %q, want %q", i, field, h.Get(field), v)
			}
		}
	}
	if parts[2] != "From: alice@example.org\r\nSubject: hello\r\n" {
		t.Errorf("header repeated as %q", parts[2])
	}
}

func TestBounceCannotBeBentByWhatTheServerOrTheMailSays(t *testing.T) {
	b := someBounce()
	b.Refused[0].Text = "no\r\nX-Injected: yes\r\n\r\n--boundary\x00" + strings.Repeat("long ", 1000)
	b.Refused[1].Recipient = "c\r\nX-Injected: yes"
	b.Envelope.From = "a@b\r\nX-Injected: yes"
	b.Header = []byte("Subject: " + b.boundary() + "\r\n--" + b.boundary() + "\r\n")
	out := b.message()
	for l := range bytes.SplitSeq(out, []byte("\r\n")) {
		if bytes.HasPrefix(l, []byte("X-Injected")) || bytes.ContainsAny(l, "\r\n\x00") || len(l) > 998 {
			t.Errorf("line %q", l)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	_, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if bytes.Contains(b.Header, []byte(params["boundary"])) {
		t.Error("the boundary is in the repeated header")
	}
}

func TestEightBitHeadersAreDeclared(t *testing.T) {
	b := someBounce()
	b.Header = []byte("Subject: gr\xfc\xdfe\r\n")
	if out := b.message(); !bytes.Contains(out, []byte("Content-Transfer-Encoding: 8bit\r\n")) || !bytes.Contains(out, b.Header) {
		t.Errorf("%s", out)
	}
}

func TestOnlyTheHeaderOfTheOriginalIsRepeated(t *testing.T) {
	for in, want := range map[string]string{
		"A: 1\r\nB: 2\r\n\r\nbody\r\n": "A: 1\r\nB: 2\r\n",
		"A: 1\n folded\n\nbody\n":      "A: 1\r\n folded\r\n",
		"A: 1\r\n":                     "A: 1\r\n",
		"A: 1":                         "",
		"\r\nbody":                     "",
		"":                             "",
	} {
		got, err := originalHeader(strings.NewReader(in))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	long := strings.Repeat("X: "+strings.Repeat("y", 95)+"\r\n", 10_000)
	got, err := originalHeader(strings.NewReader(long))
	if err != nil || len(got) > maxBouncedHeaders || len(got)%100 != 0 || len(got) == 0 {
		t.Errorf("%d octets of a long header, %v", len(got), err)
	}
}

func TestSameRefusalMakesTheSameBounceAndAnotherAnother(t *testing.T) {
	a, b := someBounce(), someBounce()
	b.Now = b.Now.Add(time.Hour)
	b.Refused[0], b.Refused[1] = b.Refused[1], b.Refused[0]
	if a.source() != b.source() {
		t.Error("the order of recipients or the time of the bounce matters")
	}
	b.Refused = b.Refused[:1]
	if a.source() == b.source() {
		t.Error("other recipients, same bounce")
	}
	b = someBounce()
	b.Envelope.Accepted = b.Envelope.Accepted.Add(time.Second)
	if a.source() == b.source() {
		t.Error("another message under a reused ID, same bounce")
	}
}
