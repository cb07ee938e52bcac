package mailrelay

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// imapIdle is RFC 3501 section 5.4's: at least 30 minutes after the log-in.
	// Before it the time of the other services will do.
	imapIdle = 31 * time.Minute
	// maxIMAPCommand bounds a command with its literals, in octets; the message
	// of an APPEND is not counted. RFC 2683 section 3.2.1.5 wants 8,000. go-imap
	// bounds lines and each literal, but not how many literals there are.
	maxIMAPCommand = 128 << 10
	// maxLiteralMinus is RFC 7888 section 5's, and the library's.
	maxLiteralMinus = 4096
)

// imapConn stands between go-imap and the network, for what the library leaves
// open:
//
//   - it would set deadlines for whole responses, which cut off everybody who
//     fetches a big message over a modem;
//   - it does not bound a command;
//   - a literal that it refuses is taken for commands if the client sent it
//     without waiting (RFC 7888), and that may be a stranger's message.
type imapConn struct {
	net.Conn
	r *bufio.Reader

	mu sync.Mutex
	// line is the end of the command line being read.
	line []byte
	// announced is the literal that the last line ended with, asked for by a
	// continuation or not; literal is what is to come of one that was accepted.
	announced, literal int64
	unasked            bool // the announced one comes without a continuation
	startTLS           bool // the last line asked for it
	opaque             bool // TLS has begun
	command            int  // octets of this command
	inMessage          bool // of an APPEND
	hangUp             bool // at the next read
}

func newIMAPConn(conn net.Conn) *imapConn {
	return &imapConn{Conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}
}

// Deadlines are those of idleConn, which give up only when nothing moves.
func (c *imapConn) SetDeadline(time.Time) error      { return nil }
func (c *imapConn) SetReadDeadline(time.Time) error  { return nil }
func (c *imapConn) SetWriteDeadline(time.Time) error { return nil }

// setIdle is called by the goroutine that reads, before others write.
func (c *imapConn) setIdle(d time.Duration) {
	conn := c.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if idle, ok := conn.(*idleConn); ok {
		idle.idle = d
	}
}

// endSoon ends the session when the answer that is due has been written.
func (c *imapConn) endSoon() {
	c.mu.Lock()
	c.hangUp = true
	c.mu.Unlock()
}

// message says that the message of an APPEND is about to be read, or has been.
func (c *imapConn) message(begins bool) {
	c.mu.Lock()
	c.inMessage, c.command = begins, 0
	c.mu.Unlock()
}

// Read gives out at most one line at a time, so that what follows a literal's
// announcement is not given out with it.
func (c *imapConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	hangUp := c.hangUp
	c.mu.Unlock()
	if hangUp {
		return 0, io.EOF
	}
	first, err := c.r.Peek(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, c.bye("Nothing came for too long") // RFC 3501 section 5.4
	}
	if err != nil {
		return 0, err
	}
	const handshakeRecord = 22 // RFC 8446 section 5.1; no tag begins with it
	if c.startTLS && first[0] == handshakeRecord {
		c.opaque = true
	}
	n := min(len(p), c.r.Buffered())
	switch {
	case c.opaque:
	case c.literal > 0:
		n = int(min(int64(n), c.literal))
		c.literal -= int64(n)
	case c.announced > 0 && c.unasked:
		c.literal, c.announced, c.unasked = c.announced, 0, false
		n = int(min(int64(n), c.literal))
		c.literal -= int64(n)
	default:
		n = c.readLine(n)
		if c.unasked && c.announced > maxLiteralMinus {
			return 0, c.bye("A literal of this size has to be asked for")
		}
	}
	if c.command += n; c.command > maxIMAPCommand && !c.inMessage {
		return 0, c.bye("The command is too long")
	}
	return c.r.Read(p[:n]) // from its buffer
}

// bye ends the connection, whatever the library still has to say.
func (c *imapConn) bye(why string) error {
	if !c.opaque {
		io.WriteString(c.Conn, "* BYE "+why+"\r\n")
	}
	c.Conn.Close()
	return io.EOF
}

// readLine takes note of the line whose next octets are in the buffer, and
// returns how many of them, n at most, belong to it.
func (c *imapConn) readLine(n int) int {
	b, _ := c.r.Peek(n)
	end := bytes.IndexByte(b, '\n') + 1
	if end > 0 {
		b = b[:end]
	}
	const enough = 64 // for a literal's announcement and a STARTTLS with its tag
	c.line = append(c.line, b...)
	c.line = c.line[max(0, len(c.line)-enough):]
	if end > 0 {
		c.announced, c.unasked = announcement(c.line)
		c.startTLS = bytes.HasSuffix(bytes.ToUpper(bytes.TrimRight(c.line, " \r\n")), []byte(" STARTTLS"))
		c.line = c.line[:0]
	}
	return len(b)
}

// Write sees what go-imap makes of a literal: a continuation asks for it, any
// other answer says that it is not wanted.
func (c *imapConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if len(p) > 0 && p[0] == '+' && !c.opaque {
		c.literal, c.announced = c.announced, 0
	} else {
		c.command = 0
		c.hangUp = c.hangUp || c.literal > 0 || c.announced > 0 && c.unasked
		c.announced, c.unasked = 0, false
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// announcement reads the {size} or {size+} at the end of a line.
func announcement(line []byte) (size int64, unasked bool) {
	text, closed := strings.CutSuffix(strings.TrimRight(string(line), "\r\n"), "}")
	open := strings.LastIndexByte(text, '{')
	if !closed || open < 0 {
		return 0, false
	}
	digits, unasked := strings.CutSuffix(text[open+1:], "+")
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), unasked && err == nil
}
