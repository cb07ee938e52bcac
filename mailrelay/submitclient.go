package mailrelay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"postern/mailrelay/spool"
)

const (
	// submitReplyLimit is how long a server may take to judge a whole message
	// (RFC 5321 section 4.5.3.2.6 asks for 10 minutes, because giving up too
	// early is what makes duplicates, RFC 1047).
	submitReplyLimit = 10 * time.Minute
	// maxSMTPReply bounds one reply, certificate and handshake included.
	maxSMTPReply = 1 << 20
)

// submitClient is one SMTP session (RFC 6409) with a provider: go-smtp's
// client on a connection that is secured before go-smtp sees it.
type submitClient struct {
	*smtp.Client
	conn *secured
}

// dialSubmit connects, secures the connection and says EHLO.
func dialSubmit(ctx context.Context, dial dialFunc, a UpstreamAccount, hostname string, now func() time.Time) (*submitClient, error) {
	preface := func(d *plainDialogue) error { return smtpPreface(d, hostname) }
	conn, err := connect(ctx, dial, a.Submit, a.tlsConfig(a.Submit, now), preface)
	if err != nil {
		return nil, err
	}
	conn.guard.replyLimit = maxSMTPReply
	var nc net.Conn = conn
	if a.Submit.StartTLS {
		nc = &greetedConn{Conn: conn, greeting: strings.NewReader("220 greeted before TLS\r\n")}
	}
	c := &submitClient{smtp.NewClient(nc), conn}
	c.CommandTimeout, c.SubmissionTimeout = idleLimit, submitReplyLimit
	if err := c.Hello(hostname); err != nil {
		c.close()
		var refused *smtp.SMTPError
		if errors.As(err, &refused) {
			return nil, unwelcome(a.Submit, refused.Message, err)
		}
		return nil, err
	}
	return c, nil
}

// unwelcome is the fault of a server that greets with anything but 220 and 250.
func unwelcome(e Endpoint, words string, err error) error {
	return &fault{err: err, text: fmt.Sprintf("%s does not want to talk to this box (%s): it may not be a submission server, or the provider has blocked this box's address: check the port or ask the provider; mail waits here", e.Address(), legible(words, 200))}
}

func (c *submitClient) close() { c.conn.guard.Close() }

// greetedConn lets go-smtp's client begin on a connection whose server has
// greeted already. go-smtp could start TLS itself, but it silently drops what
// was injected into the clear text, which ought to be seen.
type greetedConn struct {
	net.Conn
	greeting *strings.Reader
}

func (c *greetedConn) Read(p []byte) (int, error) {
	if c.greeting.Len() > 0 {
		return c.greeting.Read(p)
	}
	return c.Conn.Read(p)
}

// smtpPreface asks for STARTTLS (RFC 3207).
func smtpPreface(d *plainDialogue, hostname string) error {
	greeting, ok, err := smtpReply(d.r, 220)
	if err != nil {
		return err
	}
	if !ok {
		return unwelcome(d.endpoint, strings.Join(greeting, " "), nil)
	}
	if err := d.send("EHLO " + hostname); err != nil {
		return err
	}
	offers, ok, err := smtpReply(d.r, 250)
	if err != nil {
		return err
	}
	offered := false
	for _, o := range offers {
		offered = offered || strings.EqualFold(o, "STARTTLS")
	}
	if !ok || !offered {
		return d.notOffered("STARTTLS")
	}
	if err := d.send("STARTTLS"); err != nil {
		return err
	}
	if _, ok, err = smtpReply(d.r, 220); err == nil && !ok {
		return d.notOffered("STARTTLS")
	}
	return err
}

// errSMTPSyntax is wrapped by every complaint about what the server wrote.
var errSMTPSyntax = errors.New("not SMTP")

var replyCode = regexp.MustCompile(`^[2-5][0-9][0-9]([ -]|$)`)

// smtpReply reads one reply before TLS and says whether it has the code.
func smtpReply(r *bufio.Reader, code int) (lines []string, ok bool, err error) {
	want := fmt.Sprint(code)
	for range maxHelloLines {
		line, err := readReplyLine(r)
		if err != nil {
			return nil, false, err
		}
		if !replyCode.MatchString(line) {
			return nil, false, fmt.Errorf("%w: the server wrote %q where a reply belongs", errSMTPSyntax, legible(line, 60))
		}
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line[3:], "-")))
		if !strings.HasPrefix(line[3:], "-") {
			return lines, line[:3] == want, nil
		}
	}
	return nil, false, errReplyTooLong
}

// login proves who we are by the best mechanism on offer, all safe because the
// connection is a secured one.
func (c *submitClient) login(ctx context.Context, a UpstreamAccount) error {
	cred, err := a.credentials(ctx)
	if err != nil {
		return err
	}
	if !cred.clean() {
		return &fault{auth: true, text: "the user name or password for the provider holds a line end: correct it in the configuration"}
	}
	mech := cred.choose(c.SupportsAuth)
	if mech == nil {
		return &fault{text: fmt.Sprintf("%s offers no log-in of the kind that is configured (%s): this may not be a submission server; check the address, the port and the upstream's settings; mail waits here", a.Submit.Address(), strings.Join(cred.mechanisms(), ", "))}
	}
	err = c.Auth(mech)
	if err == nil {
		return verified(mech)
	}
	var refused *smtp.SMTPError
	var garbled textproto.ProtocolError
	switch {
	case errors.As(err, &garbled): // what the server wrote may repeat the secret
		return fmt.Errorf("%w: the log-in was answered with no reply", errSMTPSyntax)
	case !errors.As(err, &refused):
		return err
	}
	words := legible(withoutSecrets(refused.Message, cred.secrets()...), 200)
	switch {
	case refused.Temporary():
		return &fault{err: err, text: fmt.Sprintf("%s cannot check the log-in just now (%d %s): the provider has trouble; the box will try again, mail waits here", a.Upstream, refused.Code, words)}
	case cred.token != "":
		return &fault{auth: true, err: err, text: fmt.Sprintf("%s refused this box's access token for sending (%d %s): authorize this box again at the provider; mail waits here", a.Upstream, refused.Code, words)}
	}
	return &fault{auth: true, err: err, text: fmt.Sprintf("%s refused the user name or password for sending (%d %s): correct username and password of this upstream, or unlock the account at the provider; mail waits here", a.Upstream, refused.Code, words)}
}

// outcome is what became of one transaction.
type outcome struct {
	accepted []string  // delivered for good: the server said 250 to the message
	failed   []refusal // 5xx
	deferred []refusal // 4xx, or the connection broke: try again
	inDoubt  []string  // the final dot was sent, and no answer came
	broken   error     // the session cannot go on; may be a *fault of the leg
}

// all gives every recipient of to the same refusal.
func all(to []string, r refusal) []refusal {
	rs := make([]refusal, len(to))
	for i, addr := range to {
		r.Recipient = addr
		rs[i] = r
	}
	return rs
}

// submit runs one transaction. The message goes out as it was accepted, 8-bit
// octets included: a server without 8BITMIME (RFC 6152) gets them all the same,
// as from most of today's mailers, since recoding would break signatures and
// every server of the last twenty years is 8-bit clean. Right before the final
// dot mark is called with those who are about to get the message; if it fails
// the dot is not sent.
func (c *submitClient) submit(env spool.Envelope, body io.Reader, mark func(to []string) error) outcome {
	utf8 := env.UTF8 || !allASCII(env.From+strings.Join(env.To, ""))
	if ok, _ := c.Extension("SMTPUTF8"); utf8 && !ok {
		return outcome{failed: all(env.To, refusal{Status: "5.6.7", Text: "the provider's server takes no addresses with letters outside ASCII (SMTPUTF8, RFC 6531)"})}
	}
	if err := c.Mail(env.From, &smtp.MailOptions{Size: env.Size, UTF8: utf8}); err != nil {
		return judge(outcome{}, env.To, err)
	}
	var o outcome
	var willing []string
	for _, to := range env.To {
		err := c.Rcpt(to, nil)
		if err == nil {
			willing = append(willing, to)
			continue
		}
		o = judge(o, []string{to}, err)
		if o.broken != nil {
			return o.deferRest(env.To)
		}
	}
	if len(willing) == 0 {
		o.broken = c.Reset()
		return o
	}
	w, err := c.Data()
	if err != nil {
		o = judge(o, willing, err)
		if o.broken == nil {
			o.broken = c.Reset()
		}
		return o
	}
	source := &readErrors{r: body}
	// Past go-smtp's own writer, which doubles the CR of a CR CR LF; its Close
	// still ends the message, with a CR LF and the dot, and reads the reply.
	if err := stuffDots(c.conn, source); err != nil {
		if source.err != nil {
			err = spoolFault(source.err)
		}
		return judge(o, willing, err)
	}
	if err := mark(willing); err != nil {
		return judge(o, willing, err)
	}
	c.conn.guard.idle = submitReplyLimit
	_, err = w.CloseWithResponse()
	c.conn.guard.idle = idleLimit
	var answer *smtp.SMTPError
	switch {
	case err == nil:
	case errors.As(err, &answer):
		return judge(o, willing, err)
	default:
		o.inDoubt, o.broken = willing, err
		return o
	}
	o.accepted = willing
	return o
}

// judge adds what err means for the recipients to.
func judge(o outcome, to []string, err error) outcome {
	var refused *smtp.SMTPError
	if !errors.As(err, &refused) {
		o.broken = err
		o.deferred = append(o.deferred, all(to, refusal{Status: "4.4.2", Text: legible(err.Error(), 200)})...)
		return o
	}
	r := refusal{Code: refused.Code, Status: enhancedStatus(refused), Text: legible(refused.Message, maxBounceText)}
	switch {
	case refused.Code == 421: // the server is closing the connection
		o.broken = &fault{err: err, text: fmt.Sprintf("the provider's server ended the session (%s): it is overloaded or being restarted; the box will try again", r.reply())}
		o.deferred = append(o.deferred, all(to, r)...)
	case refused.Code == 530 || refused.Code == 534 || refused.Code == 535 || refused.Code == 538:
		// RFC 4954 section 6: it is we who are not let in, not this mail.
		o.broken = &fault{auth: true, err: err, text: fmt.Sprintf("the provider's server wants another log-in before it takes mail (%s): check username and password of this upstream; mail waits here", r.reply())}
		o.deferred = append(o.deferred, all(to, r)...)
	case refused.Code/100 == 5:
		o.failed = append(o.failed, all(to, r)...)
	default:
		o.deferred = append(o.deferred, all(to, r)...)
	}
	return o
}

// deferRest defers the recipients that the transaction did not come to, and
// those that the server took before it broke.
func (o outcome) deferRest(to []string) outcome {
	judged := make(map[string]bool)
	for _, r := range append(append([]refusal(nil), o.failed...), o.deferred...) {
		judged[r.Recipient] = true
	}
	for _, addr := range to {
		if !judged[addr] {
			o.deferred = append(o.deferred, refusal{Recipient: addr, Status: "4.4.2", Text: "the session ended before the message was sent"})
		}
	}
	return o
}

// enhancedStatus is the server's RFC 3463 code, or the one that says no more
// than its reply code.
func enhancedStatus(e *smtp.SMTPError) string {
	if c := e.EnhancedCode; c[0] == e.Code/100 {
		return fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
	}
	return fmt.Sprintf("%d.0.0", e.Code/100)
}

// stuffDots copies a message to an SMTP server in the transparent form of
// RFC 5321 section 4.5.2, without the CR LF of its last line and the final dot.
// A bare LF becomes CR LF, for RFC 5321 section 2.3.8 forbids to send it and
// servers differ over whether it ends a line; every other octet stays.
func stuffDots(w io.Writer, r io.Reader) error {
	var (
		br        = bufio.NewReader(r)
		bw        = bufio.NewWriterSize(w, 16<<10)
		lineStart = true
		cr, lf    bool // read and not yet written: a CR; a whole line end
	)
	for {
		c, err := br.ReadByte()
		if err == io.EOF {
			if cr {
				bw.WriteByte('\r')
			}
			return bw.Flush()
		}
		if err != nil {
			return err
		}
		if lf {
			bw.WriteString("\r\n")
			lf, lineStart = false, true
		}
		if c == '\n' {
			cr, lf = false, true
			continue
		}
		if cr {
			bw.WriteByte('\r') // a bare one
			cr, lineStart = false, false
		}
		if c == '\r' {
			cr = true
			continue
		}
		if lineStart && c == '.' {
			bw.WriteByte('.')
		}
		lineStart = false
		if err := bw.WriteByte(c); err != nil {
			return err
		}
	}
}
