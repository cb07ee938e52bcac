package mailrelay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	// idleLimit is how long an upstream server may stay silent, and how long it
	// may refuse to take bytes. RFC 5321 section 4.5.3.2 and RFC 1939 section 3
	// grant minutes; the wait for the reply to a whole message is longer (submitReplyLimit).
	idleLimit = 2 * time.Minute
	// connectLimit bounds TCP and TLS set-up together with the plain-text preface.
	connectLimit = time.Minute
	// sessionLimit bounds one log-in, so that a server that trickles bytes
	// cannot hold a leg for ever. All that was done before it counts.
	sessionLimit = time.Hour
	// maxLine bounds a reply line: RFC 2449 section 4 says 512 octets, RFC 5321
	// section 4.5.3.1.5 too; real servers write somewhat longer ones.
	maxLine = 4096
	// maxHelloLines bounds what a server tells about itself before TLS.
	maxHelloLines = 100
)

// plausibleFrom is a moment before which no Postern was ever built: a clock
// that shows less was never set (boards without a battery start in 1970).
var plausibleFrom = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// ClockPlausible says whether certificates can be judged by now at all. The
// upstream side waits until it is true; callers are served meanwhile.
func ClockPlausible(now time.Time) bool { return !now.Before(plausibleFrom) }

// ReadRoots reads a PEM file of certificate authorities (ca_file).
func ReadRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path)
	}
	return roots, nil
}

// dialFunc is net.Dialer.DialContext, or a test's.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// secured is a connection whose other side has proved by its certificate that
// it is the configured server. Nothing secret is sent on anything else.
type secured struct {
	*tls.Conn
	guard *guardedConn
}

// description names version and suite: "TLS 1.3, TLS_AES_128_GCM_SHA256".
func (s *secured) description() string {
	st := s.ConnectionState()
	return tls.VersionName(st.Version) + ", " + tls.CipherSuiteName(st.CipherSuite)
}

// connect reaches the Endpoint and secures the connection. The connection dies
// with ctx. preface talks to a server that begins in the clear until it has
// agreed to start TLS; it is not called for the other form.
func connect(ctx context.Context, dial dialFunc, e Endpoint, conf *tls.Config, preface func(*plainDialogue) error) (*secured, error) {
	setup, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	raw, err := dial(setup, "tcp", e.Address())
	if err != nil {
		return nil, dialFault(ctx, e, err)
	}
	g := &guardedConn{Conn: raw, idle: idleLimit}
	g.stop = context.AfterFunc(ctx, func() { raw.Close() })
	stopSetup := context.AfterFunc(setup, func() { raw.Close() })
	defer stopSetup()
	if e.StartTLS {
		d := &plainDialogue{endpoint: e, r: bufio.NewReaderSize(g, maxLine), w: g}
		if err := preface(d); err != nil {
			g.Close()
			return nil, plainFault(setup, e, err)
		}
		// What came together with the agreement was put there by somebody who
		// cannot speak under TLS and hopes to be heard as if he could
		// (CVE-2011-0411, "NO STARTTLS" of 2021).
		if d.r.Buffered() > 0 {
			g.Close()
			return nil, &fault{text: fmt.Sprintf("%s sent more data in the clear after agreeing to TLS: somebody between this box and the provider may be tampering; nothing was sent; try %s", e.Address(), implicitForm(e))}
		}
	}
	c := tls.Client(g, conf)
	if err := c.HandshakeContext(setup); err != nil {
		g.Close()
		return nil, tlsFault(setup, e, err)
	}
	return &secured{c, g}, nil
}

func implicitForm(e Endpoint) string {
	for scheme, d := range schemes {
		if d.Direction == e.Direction && !d.StartTLS {
			return scheme + "://"
		}
	}
	return "the form with TLS from the first byte"
}

// plainDialogue is the few lines that may be said before TLS.
type plainDialogue struct {
	endpoint Endpoint
	r        *bufio.Reader
	w        io.Writer
}

func (d *plainDialogue) send(line string) error {
	_, err := io.WriteString(d.w, line+"\r\n")
	return err
}

func (d *plainDialogue) line() (string, error) { return readReplyLine(d.r) }

// notOffered is the fault of a server, or of somebody who strips its offer.
func (d *plainDialogue) notOffered(word string) error {
	return &fault{text: fmt.Sprintf("%s does not offer TLS (no %s): the provider does not support it here, or somebody in between removed the offer; nothing was sent; try %s", d.endpoint.Address(), word, implicitForm(d.endpoint))}
}

// errUpstreamLine ends a connection to a server that never ends its line.
var errUpstreamLine = fmt.Errorf("the server sent a line of more than %d octets", maxLine)

// readReplyLine reads one line without its CR LF. A bare LF also ends it, as
// several POP3 servers of the past wrote it. r's buffer bounds the line.
func readReplyLine(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errUpstreamLine
	case err == io.EOF:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

// guardedConn gives every read and write a deadline, because go-smtp sets none
// while a message streams and net/textproto collects a reply of any length.
type guardedConn struct {
	net.Conn
	idle       time.Duration
	limit      time.Time   // set by SetDeadline; zero: none
	replyLimit int         // octets the server may send without being asked; 0: any
	replied    int         // octets since the last write
	stop       func() bool // unties the connection from its context
}

var errReplyTooLong = errors.New("the server's reply does not end")

func (g *guardedConn) deadline() time.Time {
	t := time.Now().Add(g.idle)
	if !g.limit.IsZero() && g.limit.Before(t) {
		return g.limit
	}
	return t
}

func (g *guardedConn) Read(p []byte) (int, error) {
	if g.replyLimit > 0 && g.replied >= g.replyLimit {
		return 0, errReplyTooLong
	}
	if err := g.Conn.SetReadDeadline(g.deadline()); err != nil {
		return 0, err
	}
	n, err := g.Conn.Read(p)
	g.replied += n
	return n, err
}

func (g *guardedConn) Write(p []byte) (int, error) {
	g.replied = 0
	if err := g.Conn.SetWriteDeadline(g.deadline()); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

// SetDeadline narrows the deadlines of the single reads and writes.
func (g *guardedConn) SetDeadline(t time.Time) error { g.limit = t; return nil }

// SetReadDeadline is SetDeadline: the protocols here are half duplex.
func (g *guardedConn) SetReadDeadline(t time.Time) error { g.limit = t; return nil }

// SetWriteDeadline is SetDeadline: the protocols here are half duplex.
func (g *guardedConn) SetWriteDeadline(t time.Time) error { g.limit = t; return nil }

func (g *guardedConn) Close() error {
	g.stop()
	return g.Conn.Close()
}
