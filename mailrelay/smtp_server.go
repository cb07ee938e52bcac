package mailrelay

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

const (
	defaultSMTPSize       = 25 << 20
	defaultSMTPRecipients = 100 // RFC 5321 section 4.5.3.1.8: at least 100
	// maxSMTPLine is the limit of a command line in octets: RFC 4954 section 4's
	// for AUTH, the longest of them all.
	maxSMTPLine = 12288
	// maxSMTPUnanswered leaves room for a TLS record and a buffer of commands in
	// a row (PIPELINING) besides a line.
	maxSMTPUnanswered = maxSMTPLine + 20<<10
)

// SMTPServer takes mail from callers into the spool's queue: message submission
// (RFC 6409) with AUTH (RFC 4954), STARTTLS (RFC 3207), SIZE, PIPELINING,
// 8BITMIME, SMTPUTF8 (RFC 6531) and ENHANCEDSTATUSCODES, over
// github.com/emersion/go-smtp.
type SMTPServer struct {
	Spool         *spool.Spool
	Accounts      Accounts
	Hostname      string             // in the greeting
	Caller        string             // the user on this line, as PPP knows him
	MaxSize       int64              // octets of a message; default 25 MiB
	MaxRecipients int                // of a message; default 100
	Post          func(status.Event) // told of accepted mail; nil for nobody
	TLS           *tls.Config        // nil: no STARTTLS; Serve needs none, ServeTLS does
	Guesses       *Guesses           // nil: each connection is slowed down for itself
	Log           *slog.Logger

	// SamePerson takes mail from Caller's addresses without AUTH, which clients
	// of 1995 do not have, and lets him log in with any password or none, by all
	// mechanisms but SCRAM, in which the server has to know it.
	SamePerson bool
}

// Serve answers connections of l until ctx ends, then closes them all and l,
// and returns nil when every session is over. A message that was not wholly
// there leaves nothing. An error is that of l.
func (s *SMTPServer) Serve(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "421 4.3.2 too many connections\r\n", func(ctx context.Context, conn net.Conn) {
		s.serveConn(ctx, conn, s.TLS)
	})
}

// ServeTLS is Serve for a port on which TLS comes first, 465 (RFC 8314).
func (s *SMTPServer) ServeTLS(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "", implicitTLS(s.TLS, s.Log, func(ctx context.Context, conn net.Conn) {
		s.serveConn(ctx, conn, nil)
	}))
}

// serveConn gives each connection a go-smtp server of its own, because that is
// the one way to join it: Server.Close does not wait for the sessions, Shutdown
// does but does not end them. Here conn is closed by serveConns when ctx ends,
// and Shutdown waits for what was one session. startTLS is nil if that is not
// offered.
func (s *SMTPServer) serveConn(ctx context.Context, conn net.Conn, startTLS *tls.Config) {
	lines := &smtpConn{Conn: conn}
	session := &smtpSession{
		server:   s,
		ctx:      ctx,
		conn:     lines,
		accounts: s.Accounts,
	}
	if s.SamePerson && s.Caller != "" {
		session.accounts = samePerson{s.Accounts, s.Caller}
	}
	session.forget()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		// Again after STARTTLS: who logged in before, as anybody on the way can,
		// must do so anew (RFC 3207 section 4.2).
		session.forget()
		return session, nil
	}))
	server.Domain = s.Hostname
	server.TLSConfig = startTLS
	server.EnableSMTPUTF8 = true
	server.MaxMessageBytes = s.maxSize()
	server.MaxRecipients = s.maxRecipients()
	// Many clients have no TLS that could be spoken with today. The phone line's
	// own encryption protects their log-in, or CRAM-MD5, SCRAM and NTLM do.
	server.AllowInsecureAuth = true
	// smtpConn sees to length and time. go-smtp would apply its limit to the lines
	// of a message too, and its deadline to the message as a whole.
	server.MaxLineLength = 0
	server.ErrorLog = smtpErrorLog{session.log}

	server.Serve(&onlyConn{conn: lines})
	server.Shutdown(context.WithoutCancel(ctx))
	session.close()
}

func (s *SMTPServer) maxSize() int64 {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return defaultSMTPSize
}

func (s *SMTPServer) maxRecipients() int {
	if s.MaxRecipients > 0 {
		return s.MaxRecipients
	}
	return defaultSMTPRecipients
}

// onlyConn is a listener with one connection.
type onlyConn struct {
	conn net.Conn
	done bool
}

func (o *onlyConn) Accept() (net.Conn, error) {
	if o.done {
		return nil, net.ErrClosed
	}
	o.done = true
	return o.conn, nil
}

func (o *onlyConn) Close() error   { return nil }
func (o *onlyConn) Addr() net.Addr { return o.conn.LocalAddr() }

// smtpConn bounds what go-smtp reads outside of messages; it would keep a line
// without end in memory. Lines cannot be seen here once STARTTLS has run, but
// each gets an answer, so the octets since the last one are what counts.
type smtpConn struct {
	net.Conn
	inMessage  atomic.Bool // set while a message comes; its lines may be any length
	hangUp     atomic.Bool // the next read ends the session; its answer is out by then
	unanswered int         // octets read since the last write
}

func (c *smtpConn) Read(p []byte) (int, error) {
	if c.hangUp.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if c.inMessage.Load() {
		c.unanswered = 0
		return n, err
	}
	if c.unanswered += n; c.unanswered > maxSMTPUnanswered {
		return 0, smtp.ErrTooLongLine
	}
	return n, err
}

func (c *smtpConn) Write(p []byte) (int, error) {
	c.unanswered = 0
	return c.Conn.Write(p)
}

// smtpErrorLog passes go-smtp's messages on: errors of connections and panics,
// no commands and no credentials.
type smtpErrorLog struct{ log *slog.Logger }

func (l smtpErrorLog) Printf(format string, v ...any) {
	l.log.Info("session broke off", "err", fmt.Sprintf(format, v...))
}

func (l smtpErrorLog) Println(v ...any) {
	l.log.Info("session broke off", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}

// accepted tells the status board.
func (s *SMTPServer) accepted(env spool.Envelope) {
	if s.Post != nil {
		s.Post(status.MailAccepted{At: env.Accepted, User: env.User, Octets: env.Size})
	}
}

// messages counts the goroutines in which go-smtp runs Data for a message that
// comes in chunks (BDAT). It starts them, but does not wait for them when the
// connection is lost, and so might Serve return before they have gone.
type messages struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// begin is false after close.
func (m *messages) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Add(1)
	return true
}

func (m *messages) end() { m.wg.Done() }

func (m *messages) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.wg.Wait()
}

func smtpNow() time.Time { return time.Now().UTC().Truncate(time.Second) }
