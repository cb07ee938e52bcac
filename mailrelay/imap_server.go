package mailrelay

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/mailrelay/spool"
)

const defaultAppendSize = 25 << 20

// IMAPServer shows callers their mail in the spool by IMAP4rev1 (RFC 3501), over
// github.com/emersion/go-imap/v2: an INBOX with the messages that POP3 has, and
// Sent. There are IDLE, NAMESPACE, UIDPLUS, MOVE, ESEARCH, SEARCHRES, LIST-STATUS,
// SPECIAL-USE, STATUS=SIZE, APPENDLIMIT, ENABLE, UNSELECT, LITERAL- and SASL-IR;
// and not COMPRESS=DEFLATE (RFC 4978), which the library has no place for: it
// answers commands that it does not know itself.
//
// A message that is expunged from INBOX goes from its provider too, as after
// POP3's DELE. While a POP3 session has the mailbox, everything else works, but
// EXPUNGE, MOVE and CLOSE of INBOX answer NO [INUSE] if something would go: RFC
// 1939 promises that session that its messages stay. An IMAP session never
// keeps a POP3 session out.
type IMAPServer struct {
	Spool    *spool.Spool
	Accounts Accounts
	Caller   string // the user on this line, as PPP knows him
	// SamePerson lets Caller into his own mailboxes with any password, by all
	// log-ins but SCRAM, in which the server has to know it.
	SamePerson bool
	MaxSize    int64       // octets of a message appended; default 25 MiB
	TLS        *tls.Config // nil: no STARTTLS; Serve needs none, ServeTLS does
	Guesses    *Guesses    // nil: each connection is slowed down for itself
	Log        *slog.Logger
}

// Serve answers connections of l until ctx ends, then closes them all and l,
// and returns nil when every session is over. A message that was not wholly
// there leaves nothing. An error is that of l.
func (s *IMAPServer) Serve(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "* BYE too many connections\r\n", s.serveConn)
}

// ServeTLS is Serve for a port on which TLS comes first, 993 (RFC 8314).
func (s *IMAPServer) ServeTLS(ctx context.Context, l net.Listener) error {
	return serveConns(ctx, l, s.Log, "", implicitTLS(s.TLS, s.Log, s.serveConn))
}

// serveConn gives each connection a go-imap server of its own, because that is
// the one way to join it: Server.Close closes connections but waits for none,
// and there is no Shutdown. Here conn is closed by serveConns when ctx ends, and
// the library closes the session as the last thing it does.
func (s *IMAPServer) serveConn(ctx context.Context, conn net.Conn) {
	guarded := newIMAPConn(conn)
	session := &imapSession{
		server:   s,
		ctx:      ctx,
		conn:     guarded,
		accounts: s.Accounts,
		log:      s.Log.With("service", "imap", whose(s.Caller, conn)),
		closed:   make(chan struct{}),
	}
	if s.SamePerson && s.Caller != "" {
		session.accounts = samePerson{s.Accounts, s.Caller}
	}
	options := &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return session, nil, nil
		},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1:  {},
			imap.CapNamespace:  {},
			imap.CapUIDPlus:    {},
			imap.CapESearch:    {},
			imap.CapSearchRes:  {},
			imap.CapListStatus: {},
			imap.CapMove:       {},
			imap.CapStatusSize: {},
			imap.CapSpecialUse: {},
		},
		Logger: imapErrorLog{session.log},
		// The phone line's own encryption protects the log-in; clients of these
		// years have no TLS that could be spoken with today.
		InsecureAuth: true,
	}
	if _, already := conn.(*tls.Conn); !already {
		options.TLSConfig = s.TLS
	}
	imapserver.New(options).Serve(&onlyConn{conn: guarded})
	<-session.closed
}

func (s *IMAPServer) maxSize() int64 {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return defaultAppendSize
}

// imapErrorLog passes go-imap's messages on: errors of connections and panics,
// no commands and no credentials.
type imapErrorLog struct{ log *slog.Logger }

func (l imapErrorLog) Printf(format string, v ...any) {
	l.log.Info("session broke off", "err", fmt.Sprintf(format, v...))
}
