package mailrelay

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
)

const (
	// maxListed bounds the messages of one upstream mailbox that the box keeps
	// in memory while it looks at them (some 100 octets each).
	maxListed = 100_000
	// maxCapabilities bounds the lines of a CAPA reply.
	maxCapabilities = 200
	// maxUID is longer than RFC 1939 allows (70), because some providers are.
	maxUID = 255
)

// pop3Client is our side of one POP3 session (RFC 1939) under TLS. It is used
// by one goroutine. After an error other than a *pop3Refusal the session is
// broken and only close remains.
type pop3Client struct {
	conn *secured
	r    *bufio.Reader
	w    io.Writer
	body *pop3Body // the message that is being read, nil else
}

// pop3Refusal is an -ERR reply. Code is the response code of RFC 2449 section
// 8 and RFC 3206 without brackets, "" if there was none.
type pop3Refusal struct {
	Code string
	Text string // as the server wrote it: may repeat what it was sent
}

func (e *pop3Refusal) Error() string {
	if e.Text == "" {
		return "-ERR without a reason"
	}
	return legible(e.Text, 200)
}

// errPOP3Syntax is wrapped by every complaint about what the server wrote.
var errPOP3Syntax = errors.New("not POP3")

// dialPOP3 connects, secures the connection and reads the greeting.
func dialPOP3(ctx context.Context, dial dialFunc, e Endpoint, conf *tls.Config) (*pop3Client, error) {
	conn, err := connect(ctx, dial, e, conf, pop3Preface)
	if err != nil {
		return nil, err
	}
	c := newPOP3Client(conn)
	if !e.StartTLS {
		if _, err := c.reply(); err != nil {
			c.close()
			return nil, faultOf(e, "greeting", err)
		}
	}
	return c, nil
}

func newPOP3Client(conn *secured) *pop3Client {
	return &pop3Client{conn: conn, r: bufio.NewReaderSize(conn, maxLine), w: conn}
}

// pop3Preface asks for STLS (RFC 2595 section 4). A server that does not list
// it is asked all the same, for some know STLS but not CAPA; the answer, not
// the list, decides.
func pop3Preface(d *plainDialogue) error {
	if line, err := d.line(); err != nil {
		return err
	} else if _, err := parsePOP3Reply(line); err != nil {
		return err
	}
	if err := d.send("STLS"); err != nil {
		return err
	}
	line, err := d.line()
	if err != nil {
		return err
	}
	var refused *pop3Refusal
	if _, err := parsePOP3Reply(line); errors.As(err, &refused) {
		return d.notOffered("STLS")
	} else if err != nil {
		return err
	}
	return nil
}

func (c *pop3Client) close() { c.conn.guard.Close() }

// command sends one line and reads the status line of its reply.
func (c *pop3Client) command(line string) (string, error) {
	if c.body != nil {
		return "", errors.New("pop3: the message before this command was not read to its end")
	}
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", errors.New("pop3: a command holds a line end")
	}
	if _, err := io.WriteString(c.w, line+"\r\n"); err != nil {
		return "", err
	}
	return c.reply()
}

func (c *pop3Client) reply() (string, error) {
	line, err := readReplyLine(c.r)
	if err != nil {
		return "", err
	}
	return parsePOP3Reply(line)
}

// parsePOP3Reply reads a status line: "+OK text" or "-ERR [CODE] text". It
// returns the text after the indicator.
func parsePOP3Reply(line string) (string, error) {
	indicator, text, _ := strings.Cut(line, " ")
	switch {
	case strings.EqualFold(indicator, "+OK"):
		return text, nil
	case strings.EqualFold(indicator, "-ERR"):
		refusal := &pop3Refusal{Text: text}
		if strings.HasPrefix(text, "[") {
			if code, _, ok := strings.Cut(text[1:], "]"); ok {
				refusal.Code = strings.ToUpper(legible(code, 40))
			}
		}
		return "", refusal
	}
	return "", fmt.Errorf("%w: the server wrote %q where +OK or -ERR belongs", errPOP3Syntax, legible(line, 60))
}

// multiline reads the lines of a multi-line reply (RFC 1939 section 3), at
// most limit of them, and hands each to see.
func (c *pop3Client) multiline(limit int, see func(line string) error) error {
	for n := 0; ; n++ {
		line, err := readReplyLine(c.r)
		if err != nil {
			return err
		}
		if line == "." {
			return nil
		}
		if n == limit {
			return fmt.Errorf("%w: a list of more than %d lines", errPOP3Syntax, limit)
		}
		if err := see(strings.TrimPrefix(line, ".")); err != nil {
			return err
		}
	}
}

// capabilities asks CAPA (RFC 2449): names in upper case with their
// parameters. A server without CAPA has none, which is no error.
func (c *pop3Client) capabilities() (map[string]string, error) {
	caps := make(map[string]string)
	_, err := c.command("CAPA")
	var refused *pop3Refusal
	if errors.As(err, &refused) {
		return caps, nil
	}
	if err != nil {
		return nil, err
	}
	err = c.multiline(maxCapabilities, func(line string) error {
		name, params, _ := strings.Cut(line, " ")
		caps[strings.ToUpper(name)] = params
		return nil
	})
	return caps, err
}

// login proves who we are by a SASL mechanism (RFC 5034) where one that fits is
// offered, since USER and PASS cannot carry every password on every server; else
// by USER and PASS. All are safe because the connection is a secured one.
func (c *pop3Client) login(cred credentials) error {
	if !cred.clean() {
		return &fault{auth: true, text: "the user name or password for the provider holds a line end: correct it in the configuration"}
	}
	caps, err := c.capabilities()
	if err != nil {
		return err
	}
	offered := strings.Fields(strings.ToUpper(caps["SASL"]))
	if mech := cred.choose(func(m string) bool { return slices.Contains(offered, m) }); mech != nil {
		return c.authenticate(mech)
	}
	if cred.token != "" || cred.password == "" || cred.allowed != nil {
		return &fault{text: fmt.Sprintf("the provider offers no log-in of the kind that is configured (%s) for fetching, only %s: check the upstream's settings; mail waits there", strings.Join(cred.mechanisms(), ", "), legible(strings.Join(append(offered, "USER"), ", "), 100))}
	}
	if _, err := c.command("USER " + cred.username); err != nil {
		return err
	}
	_, err = c.command("PASS " + cred.password)
	return withoutEcho(err)
}

// withoutEcho drops what a server wrote in place of an answer to a secret.
func withoutEcho(err error) error {
	if errors.Is(err, errPOP3Syntax) {
		return fmt.Errorf("%w: the log-in was answered with neither +OK nor -ERR", errPOP3Syntax)
	}
	return err
}

// authenticate carries a SASL exchange. The initial response goes in a line of
// its own: with AUTH it would have to fit into 255 octets (RFC 5034 section 4),
// and some servers that list SASL do not know it.
func (c *pop3Client) authenticate(mech sasl.Client) error {
	name, response, err := mech.Start()
	if err != nil {
		return err
	}
	line := "AUTH " + name
	for {
		text, more, err := c.exchange(line)
		if err != nil {
			return withoutEcho(err)
		}
		if !more {
			return verified(mech)
		}
		if response == nil {
			challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			if err == nil {
				response, err = mech.Next(challenge)
			}
			if err != nil {
				c.exchange("*") // RFC 5034: the client gives up
				return err
			}
		}
		line, response = base64.StdEncoding.EncodeToString(response), nil
	}
}

// exchange is command with the difference between "+OK" and "+ ".
func (c *pop3Client) exchange(line string) (text string, more bool, err error) {
	if _, err := io.WriteString(c.w, line+"\r\n"); err != nil {
		return "", false, err
	}
	got, err := readReplyLine(c.r)
	if err != nil {
		return "", false, err
	}
	if challenge, ok := strings.CutPrefix(got, "+ "); ok || got == "+" {
		return challenge, true, nil
	}
	text, err = parsePOP3Reply(got)
	return text, false, err
}

// pop3Entry is one message of the upstream mailbox.
type pop3Entry struct {
	Number int
	UID    string
	Size   int64 // octets by the server's own count
}

// list is UIDL joined with LIST.
func (c *pop3Client) list() ([]pop3Entry, error) {
	if _, err := c.command("UIDL"); err != nil {
		return nil, err
	}
	var entries []pop3Entry
	at := make(map[int]int)
	err := c.multiline(maxListed, func(line string) error {
		number, uid, err := parseUIDL(line)
		if err != nil {
			return err
		}
		if _, twice := at[number]; twice {
			return fmt.Errorf("%w: message %d is listed twice", errPOP3Syntax, number)
		}
		at[number] = len(entries)
		entries = append(entries, pop3Entry{Number: number, UID: uid})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.command("LIST"); err != nil {
		return nil, err
	}
	err = c.multiline(maxListed, func(line string) error {
		number, size, err := parseScan(line)
		if err != nil {
			return err
		}
		// A message that UIDL did not show (it may have arrived since) waits
		// for the next session.
		if i, ok := at[number]; ok {
			entries[i].Size = size
		}
		return nil
	})
	return entries, err
}

// parseUIDL reads "1 whqtswO00WBw418f9t5JxYwZ" (RFC 1939 section 7).
func parseUIDL(line string) (number int, uid string, err error) {
	first, rest, _ := strings.Cut(line, " ")
	number, err = parseNumber(first)
	if err != nil {
		return 0, "", err
	}
	uid = strings.Trim(rest, " ")
	if uid == "" || len(uid) > maxUID || strings.ContainsFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return 0, "", fmt.Errorf("%w: message %d has the unique-id %q, which is not 1 to %d printable characters", errPOP3Syntax, number, legible(uid, 80), maxUID)
	}
	return number, uid, nil
}

// parseScan reads a scan listing, "1 120" and whatever the server adds
// (RFC 1939 section 5).
func parseScan(line string) (number int, size int64, err error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("%w: %q is no scan listing", errPOP3Syntax, legible(line, 60))
	}
	if number, err = parseNumber(fields[0]); err != nil {
		return 0, 0, err
	}
	// A size beyond int64 is refused here; one merely too large is skipped later.
	u, err := strconv.ParseUint(fields[1], 10, 63)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %q is no size", errPOP3Syntax, legible(fields[1], 40))
	}
	return number, int64(u), nil
}

func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: %q is no message number", errPOP3Syntax, legible(s, 40))
	}
	return int(n), nil
}

// remove marks a message as deleted; the server does it after quit.
func (c *pop3Client) remove(number int) error {
	_, err := c.command("DELE " + strconv.Itoa(number))
	return err
}

// quit ends the session in order; only then are deletions carried out
// (RFC 1939 section 6, the UPDATE state).
func (c *pop3Client) quit() error {
	_, err := c.command("QUIT")
	return err
}

// retrieve begins to read a message of at most limit octets. The body must be
// read to io.EOF before the next command.
func (c *pop3Client) retrieve(number int, limit int64) (io.Reader, error) {
	if _, err := c.command("RETR " + strconv.Itoa(number)); err != nil {
		return nil, err
	}
	c.body = &pop3Body{r: c.r, left: limit, done: func() { c.body = nil }}
	return c.body, nil
}
