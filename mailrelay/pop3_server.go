package mailrelay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"postern/mailrelay/spool"
)

// maxPOP3Errors is how many commands in a row may make no sense before the
// connection is closed: it is then no POP3 client.
const maxPOP3Errors = 20

// POP3Server lets callers fetch their mail from the spool: RFC 1939 with UIDL,
// TOP and APOP, CAPA and its response codes (RFC 2449, 3206), AUTH (RFC 5034),
// STLS (RFC 2595) and UTF8 (RFC 6856).
type POP3Server struct {
	Spool    *spool.Spool
	Accounts Accounts
	Hostname string // in the greeting
	Caller   string // the user on this line, as PPP knows him
	// SamePerson lets Caller into his own mailbox with any password or none, by
	// all log-ins but SCRAM, in which the server has to know it.
	SamePerson bool
	TLS        *tls.Config // nil: no STLS; Serve needs none, ServeTLS does
	Guesses    *Guesses    // nil: each connection is slowed down for itself
	Log        *slog.Logger
}

// Serve answers connections of l until ctx ends, then closes them all and l,
// and returns nil when every session is over. Sessions cut off delete nothing.
// An error is that of l.
func (s *POP3Server) Serve(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "-ERR [SYS/TEMP] too many connections\r\n", s.serveConn)
}

// ServeTLS is Serve for a port on which TLS comes first, 995 (RFC 8314).
func (s *POP3Server) ServeTLS(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "", implicitTLS(s.TLS, s.Log, s.serveConn))
}

func (s *POP3Server) serveConn(ctx context.Context, conn net.Conn) {
	p := &pop3Session{
		server:   s,
		accounts: s.Accounts,
		ctx:      ctx,
		conn:     conn,
		r:        bufio.NewReaderSize(conn, 4<<10),
		w:        bufio.NewWriterSize(conn, 4<<10),
		message:  bufio.NewReaderSize(nil, 4<<10),
		// RFC 1939 section 7: different each time, in the form of a msg-id.
		banner: fmt.Sprintf("<%s@%s>", rand.Text(), s.Hostname),
		log:    s.Log.With("service", "pop3", whose(s.Caller, conn)),
	}
	if s.SamePerson && s.Caller != "" {
		p.accounts = samePerson{s.Accounts, s.Caller}
	}
	defer p.unlock()
	defer func() { p.conn.Close() }() // TLS says that it ends
	p.ok("Postern POP3 ready %s", p.banner)
	err := p.run()
	if err == nil {
		err = p.w.Flush()
	}
	switch {
	case err == nil:
	case p.maildrop != nil:
		p.log.Info("session ended without QUIT; nothing was deleted", "marked", len(p.deleted), "err", err)
	case ctx.Err() == nil && !errors.Is(err, io.EOF):
		p.log.Info("session broke off", "err", err)
	}
}

// pop3Session is one connection. Without a maildrop it is in RFC 1939's
// AUTHORIZATION state, with one in the TRANSACTION state.
type pop3Session struct {
	server   *POP3Server
	accounts Accounts
	ctx      context.Context
	conn     net.Conn // *tls.Conn as soon as it is one
	r        *bufio.Reader
	w        *bufio.Writer
	banner   string

	message *bufio.Reader // used again for each message
	log     *slog.Logger

	tries  tries
	errors int    // senseless commands in a row
	user   string // given by USER

	maildrop *spool.Maildrop
	messages []spool.Message
	deleted  map[int]bool // by index, until QUIT
}

// errQuit ends a session in order.
var errQuit = errors.New("quit")

func (p *pop3Session) run() error {
	for {
		line, err := p.readLine(maxPOP3Line)
		switch {
		case err == errPOP3LineTooLong:
			err = p.senseless("line is longer than %d octets", maxPOP3Line)
		case err == errPOP3LineEndless:
			p.fail("line is without end")
			return nil
		case err == nil:
			verb, arg := parsePOP3(line)
			if p.maildrop == nil {
				err = p.authorization(verb, arg)
			} else {
				err = p.transaction(verb, arg)
			}
		}
		if err == errQuit {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine flushes the replies first, unless the client has already sent its
// next command (PIPELINING): many small packets are dear on a modem line.
func (p *pop3Session) readLine(limit int) ([]byte, error) {
	if next, _ := p.r.Peek(p.r.Buffered()); bytes.IndexByte(next, '\n') < 0 {
		if err := p.w.Flush(); err != nil {
			return nil, err
		}
	}
	return readLine(p.r, limit)
}

// ok and fail answer a command. Both return nil, so that a command can end with
// its answer; if the connection is broken the next read or flush tells.
func (p *pop3Session) ok(format string, args ...any) error {
	p.errors = 0
	fmt.Fprintf(p.w, "+OK "+format+"\r\n", args...)
	return nil
}

func (p *pop3Session) fail(format string, args ...any) error {
	fmt.Fprintf(p.w, "-ERR "+format+"\r\n", args...)
	return nil
}

// senseless answers what no client should send, and ends the session when
// nothing else comes.
func (p *pop3Session) senseless(format string, args ...any) error {
	p.errors++
	if p.errors >= maxPOP3Errors {
		p.fail("too many errors, closing")
		return errQuit
	}
	return p.fail(format, args...)
}

func (p *pop3Session) unlock() {
	if p.maildrop != nil {
		p.maildrop.Unlock()
		p.maildrop = nil
	}
}

// capa is RFC 2449. The list is the same in both states; STLS is on it until
// there is TLS (RFC 2595 section 4).
func (p *pop3Session) capa() error {
	p.ok("capabilities follow")
	sasl := "SASL"
	for _, m := range saslMechanisms() {
		sasl += " " + m
	}
	list := []string{"TOP", "USER", sasl, "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8", "EXPIRE NEVER", "IMPLEMENTATION Postern"}
	if p.mayStartTLS() {
		list = append(list, "STLS")
	}
	for _, c := range list {
		fmt.Fprintf(p.w, "%s\r\n", c)
	}
	_, err := p.w.WriteString(".\r\n")
	return err
}
