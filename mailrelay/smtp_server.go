package mailrelay

import (
	"context"
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
)

// SMTPServer takes mail from callers into the spool's queue: message submission
// (RFC 6409) with AUTH (RFC 4954), SIZE, PIPELINING, 8BITMIME and
// ENHANCEDSTATUSCODES, over github.com/emersion/go-smtp.
type SMTPServer struct {
	Spool         *spool.Spool
	Accounts      Accounts
	Hostname      string             // in the greeting
	Caller        string             // the user on this line, as PPP knows him
	MaxSize       int64              // octets of a message; default 25 MiB
	MaxRecipients int                // of a message; default 100
	Post          func(status.Event) // told of accepted mail; nil for nobody
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
	return serveConns(ctx, l, s.Log, "421 4.3.2 too many connections\r\n", s.serveConn)
}

// serveConn gives each connection a go-smtp server of its own, because that is
// the one way to join it: Server.Close does not wait for the sessions, Shutdown
// does but does not end them. Here conn is closed by serveConns when ctx ends,
// and Shutdown waits for what was one session.
func (s *SMTPServer) serveConn(ctx context.Context, conn net.Conn) {
	lines := &smtpConn{Conn: conn}
	session := &smtpSession{
		server:   s,
		ctx:      ctx,
		conn:     lines,
		accounts: s.Accounts,
		log:      s.Log.With("service", "smtp", "caller", s.Caller),
	}
	if s.SamePerson && s.Caller != "" {
		session.accounts = samePerson{s.Accounts, s.Caller}
		if a, ok := proved(session.accounts, s.Caller); ok {
			session.account = &a
		}
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session, nil }))
	server.Domain = s.Hostname
	server.MaxMessageBytes = s.maxSize()
	server.MaxRecipients = s.maxRecipients()
	// The phone line's own encryption protects the log-in; clients of these
	// years have no TLS that could be spoken with today.
	server.AllowInsecureAuth = true
	// smtpConn sees to lines and time. go-smtp would apply its limit to the lines
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

// smtpConn bounds the lines that go-smtp reads outside of messages; it would
// keep a line without end in memory.
type smtpConn struct {
	net.Conn
	inMessage atomic.Bool // set while a message comes; its lines may be any length
	hangUp    atomic.Bool // the next read ends the session; its answer is out by then
	length    int         // of the line being read
}

func (c *smtpConn) Read(p []byte) (int, error) {
	if c.hangUp.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if c.inMessage.Load() {
		c.length = 0
		return n, err
	}
	for _, b := range p[:n] {
		c.length++
		if b == '\n' {
			c.length = 0
		}
		if c.length > maxSMTPLine {
			return 0, smtp.ErrTooLongLine
		}
	}
	return n, err
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
