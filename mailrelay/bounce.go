package mailrelay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"time"

	"postern/mailrelay/spool"
)

const (
	// maxBouncedHeaders bounds how much of the original's header a bounce repeats.
	maxBouncedHeaders = 64 << 10
	// maxBounceText bounds a server's words within a bounce.
	maxBounceText = 600
)

// refusal is what an upstream server said about one recipient.
type refusal struct {
	Recipient string
	Code      int    // SMTP reply code, 0 when no server said it
	Status    string // RFC 3463, "5.1.1"
	Text      string // the server's words, or ours when Code is 0
}

// reply is the refusal as the server worded it.
func (r refusal) reply() string {
	if r.Code == 0 {
		return r.Text
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
}

// bounce is a non-delivery report to the sender of a message, in the form of
// RFC 3464 within RFC 6522. It only ever goes into the spool mailbox of the
// local user who handed the message in, so the box cannot be made to send
// backscatter to forged senders.
type bounce struct {
	Hostname string // of this box
	Remote   string // the provider's submission server
	Now      time.Time
	Envelope spool.Envelope
	Refused  []refusal
	Header   []byte // of the original, see originalHeader
	// Until, if not zero, makes it a notice that the message waits and is tried
	// until then.
	Until time.Time
}

// source names the bounce, so that a crash between its delivery and the
// removal of the recipients from the queue does not make it twice. The time
// of acceptance is part of it because queue IDs begin anew with an empty queue.
func (b bounce) source() spool.Source {
	to := make([]string, len(b.Refused))
	for i, r := range b.Refused {
		to[i] = r.Recipient
	}
	slices.Sort(to)
	sum := sha256.Sum256([]byte(strings.Join(to, "\n")))
	if b.delayed() { // one a message, whoever of the recipients waits
		return spool.Source{UID: fmt.Sprintf("delay-%s-%d", b.Envelope.ID, b.Envelope.Accepted.UnixNano())}
	}
	return spool.Source{UID: fmt.Sprintf("bounce-%s-%d-%x", b.Envelope.ID, b.Envelope.Accepted.UnixNano(), sum[:8])}
}

func (b bounce) delayed() bool { return !b.Until.IsZero() }

// message writes the report with CR LF line ends.
func (b bounce) message() []byte {
	var m bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&m, format+"\r\n", args...) }
	boundary := b.boundary()
	encoding := "7bit"
	if slices.ContainsFunc(b.Header, func(c byte) bool { return c > 0x7f }) || !allASCII(b.text()) {
		encoding = "8bit"
	}

	line("Return-Path: <>")
	line("From: %s <MAILER-DAEMON@%s>", mime.QEncoding.Encode("utf-8", "Mail Delivery System"), b.Hostname)
	line("To: <%s>", legible(b.Envelope.From, 300))
	if b.delayed() {
		line("Subject: Delayed mail (the box is still trying)")
	} else {
		line("Subject: Undelivered mail returned to sender")
	}
	line("Date: %s", b.Now.Format(time.RFC1123Z))
	line("Message-ID: <%s.%d@%s>", b.source().UID, b.Now.Unix(), b.Hostname)
	line("Auto-Submitted: auto-replied") // RFC 3834: no vacation program may answer this
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status;")
	line("\tboundary=%q", boundary)
	line("Content-Transfer-Encoding: %s", encoding)
	line("")
	line("This is a report in MIME format (RFC 3464).")
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: %s", encoding)
	line("")
	m.WriteString(b.text())
	line("")
	line("--%s", boundary)
	line("Content-Type: message/delivery-status")
	line("")
	b.deliveryStatus(line)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/rfc822-headers")
	line("Content-Transfer-Encoding: %s", encoding)
	line("")
	m.Write(b.Header)
	line("")
	line("--%s--", boundary)
	return m.Bytes()
}

// text is the part for the person.
func (b bounce) text() string {
	var t strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&t, format+"\r\n", args...) }
	if b.delayed() {
		line("Your message of %s has not yet been delivered", b.Envelope.Accepted.Format(time.RFC1123Z))
		line("to the recipients below. It is kept and tried again until %s;", b.Until.Format(time.RFC1123Z))
		line("you need not send it again, and will not be told of it a second time unless it fails.")
	} else {
		line("Your message of %s could not be delivered", b.Envelope.Accepted.Format(time.RFC1123Z))
		line("to the recipients below. It will not be tried again.")
	}
	line("")
	for _, r := range b.Refused {
		line("  %s", legible(r.Recipient, 300))
		if r.Code != 0 {
			line("    %s answered:", b.Remote)
		}
		line("    %s", legible(r.reply(), maxBounceText))
		line("")
	}
	if b.delayed() {
		line("If it is urgent, show this notice to the person who looks after %s.", b.Hostname)
		return t.String()
	}
	line("Check the address, then send the message again, or show this report to")
	line("the person who looks after %s.", b.Hostname)
	return t.String()
}

// deliveryStatus writes the fields of RFC 3464 sections 2.2 and 2.3.
func (b bounce) deliveryStatus(line func(string, ...any)) {
	line("Reporting-MTA: dns; %s", b.Hostname)
	line("Arrival-Date: %s", b.Envelope.Accepted.Format(time.RFC1123Z))
	for _, r := range b.Refused {
		kind := "rfc822"
		if !allASCII(r.Recipient) {
			kind = "utf-8" // RFC 6533
		}
		line("")
		line("Final-Recipient: %s; %s", kind, legible(r.Recipient, 300))
		if b.delayed() {
			line("Action: delayed")
		} else {
			line("Action: failed")
		}
		line("Status: %s", r.Status)
		if r.Code != 0 {
			line("Remote-MTA: dns; %s", b.Remote)
			line("Diagnostic-Code: smtp; %s", legible(r.reply(), maxBounceText))
		} else {
			line("Diagnostic-Code: x-postern; %s", legible(r.Text, maxBounceText))
		}
		if b.delayed() {
			line("Will-Retry-Until: %s", b.Until.Format(time.RFC1123Z))
		} else {
			line("Last-Attempt-Date: %s", b.Now.Format(time.RFC1123Z))
		}
	}
}

// boundary is one that the repeated header does not hold.
func (b bounce) boundary() string {
	for n := 0; ; n++ {
		s := fmt.Sprintf("=_%s_%d", b.source().UID, n)
		if !bytes.Contains(b.Header, []byte(s)) {
			return s
		}
	}
}

// originalHeader reads the header of a message, without the empty line behind
// it, with CR LF line ends, cut at a line when it is too long to be repeated.
func originalHeader(r io.Reader) ([]byte, error) {
	br := bufio.NewReader(io.LimitReader(r, maxBouncedHeaders))
	var header []byte
	for {
		l, err := br.ReadBytes('\n')
		whole := bytes.HasSuffix(l, []byte("\n"))
		l = bytes.TrimRight(l, "\r\n")
		if len(l) == 0 || !whole {
			if err == io.EOF {
				err = nil
			}
			return header, err
		}
		header = append(append(header, l...), "\r\n"...)
	}
}

func allASCII(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}
