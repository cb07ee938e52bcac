package mailrelay

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"postern/mailrelay/spool"
)

const (
	imapDelimiter = '/' // though nothing has children

	responseCodeInUse   = imap.ResponseCode("INUSE") // RFC 5530
	responseCodeExpunge = imap.ResponseCode("EXPUNGEISSUED")
)

// imapSession is one connection, as go-imap wants it. The library calls its
// methods from one goroutine, but for Idle, which it does not always wait for.
type imapSession struct {
	server   *IMAPServer
	ctx      context.Context
	conn     *imapConn
	accounts Accounts
	log      *slog.Logger
	closed   chan struct{} // when Close is through
	tries    tries

	// mu is for Idle; a method holds it all the time it runs.
	mu       sync.Mutex
	idling   sync.WaitGroup
	over     bool
	user     string // once logged in
	changes  <-chan struct{}
	unwatch  func()
	selected *imapView // nil if none
}

// Close is called by the library at the end of the connection.
func (s *imapSession) Close() error {
	s.mu.Lock()
	s.over = true
	if s.unwatch != nil {
		s.unwatch()
	}
	s.mu.Unlock()
	s.idling.Wait()
	close(s.closed)
	return nil
}

// imapNo is the answer to a command that the server cannot do.
func imapNo(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

func imapBad(text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeClientBug, Text: text}
}

// spoolError is what a client is told of an error of the spool.
func (s *imapSession) spoolError(err error) error {
	switch {
	case errors.Is(err, spool.ErrLocked):
		return imapNo(responseCodeInUse, "A POP3 session has the mailbox, nothing was expunged; try again when it has ended")
	case errors.Is(err, spool.ErrQuota):
		return imapNo(imap.ResponseCodeOverQuota, "You may keep no more mail on this box; delete some and try again")
	case errors.Is(err, spool.ErrFull):
		return imapNo(imap.ResponseCodeOverQuota, "The disk is full; delete mail and try again")
	}
	s.log.Error("mailbox cannot be used", "user", s.user, "err", err)
	return imapNo(imap.ResponseCodeUnavailable, "The mailbox cannot be used now, try again later")
}

// Login is the LOGIN command.
func (s *imapSession) Login(name, password string) error {
	if err := s.mayTry(); err != nil {
		return err
	}
	a, err := checkPassword(s.accounts, name, password)
	return s.judge("LOGIN", a, err)
}

// AuthenticateMechanisms makes the session offer the mechanisms of all services.
func (s *imapSession) AuthenticateMechanisms() []string { return saslMechanisms() }

// Authenticate starts one of them.
func (s *imapSession) Authenticate(mechanism string) (sasl.Server, error) {
	exchange := &imapSASL{session: s, mechanism: mechanism}
	exchange.server = newSASL(mechanism, s.accounts, func(a Account) { exchange.account = a })
	if exchange.server == nil {
		return nil, imapNo("", "Unknown mechanism, CAPABILITY lists those there are")
	}
	if err := s.mayTry(); err != nil {
		return nil, err
	}
	return exchange, nil
}

// imapSASL gives the errors of a mechanism the form that go-imap wants.
type imapSASL struct {
	session   *imapSession
	mechanism string
	server    sasl.Server
	account   Account
}

func (e *imapSASL) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = e.server.Next(response)
	switch {
	case err != nil && !errors.Is(err, errLogin):
		return nil, false, imapBad(e.mechanism + ": malformed response")
	case err != nil || done:
		return nil, done, e.session.judge(e.mechanism, e.account, err)
	case len(challenge) == 0:
		// The library writes an empty challenge as "=", which RFC 3501 does not
		// know, and only none as none.
		return nil, false, nil
	}
	return challenge, false, nil
}

// mayTry waits until a log-in may be judged, or ends the session.
func (s *imapSession) mayTry() error {
	if s.server.Guesses.enter(s.ctx, s.conn.RemoteAddr()) {
		return nil
	}
	s.conn.endSoon()
	return imapNo(imap.ResponseCodeUnavailable, "Too many log-ins from your address have failed, try again in some minutes")
}

func (s *imapSession) judge(how string, a Account, err error) error {
	if err != nil {
		// The name is not logged: people type passwords into name fields.
		s.log.Warn("log-in refused", "by", how)
		if !s.tries.fail(s.ctx) {
			s.conn.endSoon()
		}
		return imapNo(imap.ResponseCodeAuthenticationFailed, "Wrong user name or password")
	}
	s.server.Guesses.succeeded(s.conn.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = a.User
	s.changes, s.unwatch = s.server.Spool.Watch(a.User)
	s.conn.setIdle(imapIdle)
	s.log = s.log.With("user", a.User)
	s.log.Info("logged in", "by", how)
	return nil
}

// imapMailboxes are all that there are.
func imapMailboxes() []string { return []string{"INBOX", "Sent"} }

// folder opens one of them.
func (s *imapSession) folder(name string) (*spool.Folder, error) {
	var in spool.FolderName
	switch {
	case strings.EqualFold(name, "INBOX"):
		in = spool.InboxFolder
	case name == "Sent":
		in = spool.SentFolder
	default:
		return nil, imapNo(imap.ResponseCodeNonExistent, "No such mailbox, there are INBOX and Sent")
	}
	f, err := s.server.Spool.Folder(s.user, in)
	if err != nil {
		return nil, s.spoolError(err)
	}
	return f, nil
}

// Select is the SELECT and EXAMINE commands.
func (s *imapSession) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	state, err := f.State(time.Now())
	if err != nil {
		return nil, s.spoolError(err)
	}
	s.selected = &imapView{session: s, folder: f, inbox: strings.EqualFold(name, "INBOX"), readOnly: options.ReadOnly, validity: state.UIDValidity, messages: state.Messages}
	data := &imap.SelectData{
		Flags:             imapFlags(^spool.Flags(0)),
		PermanentFlags:    []imap.Flag{},
		NumMessages:       uint32(len(state.Messages)),
		FirstUnseenSeqNum: firstUnseen(state.Messages),
		UIDNext:           imap.UID(state.UIDNext),
		UIDValidity:       state.UIDValidity,
	}
	if !options.ReadOnly {
		data.PermanentFlags = data.Flags
	}
	return data, nil
}

func firstUnseen(messages []spool.Message) uint32 {
	for i, m := range messages {
		if m.Flags&spool.Seen == 0 {
			return uint32(i) + 1
		}
	}
	return 0
}

// Unselect is the UNSELECT command, and the end of CLOSE.
func (s *imapSession) Unselect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.selected = nil
	return nil
}

// List is the LIST and LSUB commands. Both mailboxes are always subscribed to.
func (s *imapSession) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(patterns) == 0 || len(patterns) == 1 && patterns[0] == "" {
		// RFC 3501 section 6.3.8: a question for the delimiter.
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: imapDelimiter})
	}
	for _, name := range imapMailboxes() {
		if !matchesAny(name, ref, patterns) || options.SelectSpecialUse && name != "Sent" {
			continue
		}
		data := &imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoInferiors}, Delim: imapDelimiter, Mailbox: name}
		if name == "Sent" {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSent)
		}
		if options.ReturnSubscribed || options.SelectSubscribed {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if options.ReturnStatus != nil {
			status, err := s.status(name)
			if err != nil {
				return err
			}
			data.Status = status
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func matchesAny(name, ref string, patterns []string) bool {
	for _, pattern := range patterns {
		if len(pattern) <= maxListPattern && imapserver.MatchList(name, imapDelimiter, ref, pattern) ||
			name == "INBOX" && strings.EqualFold(ref+pattern, name) {
			return true
		}
	}
	return false
}

// maxListPattern keeps the library's matching, which is exponential in the
// number of wildcards, from working for ever.
const maxListPattern = 16

// Status is the STATUS command.
func (s *imapSession) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status(name)
}

// status fills in every item: the library panics where one that it knows of is
// missing.
func (s *imapSession) status(name string) (*imap.StatusData, error) {
	f, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	state, err := f.State(time.Now())
	if err != nil {
		return nil, s.spoolError(err)
	}
	var unseen, deleted, recent uint32
	var size, deletedSize int64
	for _, m := range state.Messages {
		size += m.Size
		if m.Flags&spool.Seen == 0 {
			unseen++
		}
		if m.Flags&spool.Deleted != 0 {
			deleted++
			deletedSize += m.Size
		}
	}
	messages, limit := uint32(len(state.Messages)), s.AppendLimit()
	return &imap.StatusData{
		Mailbox: name, NumMessages: &messages, NumRecent: &recent, UIDNext: imap.UID(state.UIDNext), UIDValidity: state.UIDValidity,
		NumUnseen: &unseen, NumDeleted: &deleted, Size: &size, AppendLimit: &limit, DeletedStorage: &deletedSize,
	}, nil
}

// Namespace is RFC 2342: there is one's own mail and nothing else.
func (s *imapSession) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: imapDelimiter}}}, nil
}

// Create, Delete, Rename and Unsubscribe cannot be: the mailboxes are what they
// are.
func (s *imapSession) Create(name string, _ *imap.CreateOptions) error {
	if strings.EqualFold(name, "INBOX") || name == "Sent" {
		return imapNo(imap.ResponseCodeAlreadyExists, "It is there already")
	}
	return errFixedMailboxes()
}

func (s *imapSession) Delete(string) error                              { return errFixedMailboxes() }
func (s *imapSession) Rename(string, string, *imap.RenameOptions) error { return errFixedMailboxes() }
func (s *imapSession) Unsubscribe(string) error                         { return errFixedMailboxes() }

// Subscribe has nothing left to do.
func (s *imapSession) Subscribe(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.folder(name)
	return err
}

func errFixedMailboxes() error {
	return imapNo(imap.ResponseCodeCannot, "There are INBOX and Sent and no others; this box keeps mail, but is no archive")
}

// AppendLimit is RFC 7889's.
func (s *imapSession) AppendLimit() uint32 { return uint32(min(s.server.maxSize(), 1<<32-1)) }
