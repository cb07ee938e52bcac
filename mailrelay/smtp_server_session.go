package mailrelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postern/mailrelay/spool"
)

// smtpSession is one connection as go-smtp drives it, from one goroutine,
// except for Data of a message in chunks, which runs beside it.
type smtpSession struct {
	server   *SMTPServer
	ctx      context.Context
	conn     *smtpConn
	accounts Accounts
	log      *slog.Logger

	messages
	tries    tries
	account  *Account // nil before AUTH, unless the line says who it is
	envelope spool.Envelope
}

// forget makes the client a stranger, except for what the line says.
func (s *smtpSession) forget() {
	s.account = nil
	if a, ok := proved(s.accounts, s.server.Caller); ok {
		s.account = &a
	}
	s.log = s.server.Log.With("service", "smtp", whose(s.server.Caller, s.conn))
}

// AuthMechanisms are for the EHLO reply. Old Outlooks look for a line
// "AUTH=LOGIN", the form of the drafts before RFC 2554. go-smtp has no setting
// for it but makes a line of its own of what follows a line end here.
func (s *smtpSession) AuthMechanisms() []string {
	mechanisms := saslMechanisms()
	last := len(mechanisms) - 1
	mechanisms[last] += "\nAUTH=LOGIN"
	return mechanisms
}

// Auth starts a mechanism.
func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	server := newSASL(mechanism, s.accounts, func(a Account) { s.account = &a })
	if server == nil {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	if !s.server.Guesses.enter(s.ctx, s.conn.RemoteAddr()) {
		s.conn.hangUp.Store(true)
		return nil, smtpError(421, smtp.EnhancedCode{4, 7, 0}, "too many log-ins from your address have failed, try again in some minutes")
	}
	return &smtpAuth{Server: server, session: s, mechanism: mechanism}, nil
}

// smtpAuth answers the end of a SASL exchange in SMTP's terms.
type smtpAuth struct {
	sasl.Server
	session   *smtpSession
	mechanism string
}

func (a *smtpAuth) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = a.Server.Next(response)
	s := a.session
	switch {
	case err == nil && done:
		s.server.Guesses.succeeded(s.conn.RemoteAddr())
		s.log = s.log.With("user", s.account.User)
		s.log.Info("logged in", "by", a.mechanism)
	case errors.Is(err, errLogin):
		// The name is not logged: people type passwords into name fields.
		s.log.Warn("log-in refused", "by", a.mechanism)
		if !s.tries.fail(s.ctx) {
			s.conn.hangUp.Store(true)
			return nil, true, smtpError(421, smtp.EnhancedCode{4, 7, 0}, "too many wrong log-ins, closing")
		}
		return nil, true, smtpError(535, smtp.EnhancedCode{5, 7, 8}, "%v", err)
	case err != nil:
		return nil, true, smtpError(501, smtp.EnhancedCode{5, 5, 2}, "malformed response")
	}
	return challenge, done, err
}

func smtpError(code int, enhanced smtp.EnhancedCode, format string, args ...any) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: fmt.Sprintf(format, args...)}
}

// Mail takes the sender. It must be one of the account's addresses. The empty
// path of bounces is refused with the rest: a submission server is given new
// mail by people (RFC 6409 section 6.1), and nobody could be told if upstream
// refused it. Read receipts of the clients we know name their user.
func (s *smtpSession) Mail(from string, opts *smtp.MailOptions) error {
	if s.account == nil {
		return smtpError(530, smtp.EnhancedCode{5, 7, 0}, "log in first: turn on %q for the outgoing server", "my server requires authentication")
	}
	if !s.account.sendsAs(from) {
		if len(s.account.Addresses) == 0 {
			return smtpError(550, smtp.EnhancedCode{5, 7, 1}, "you have no address to send from; the box's admin sets it")
		}
		return smtpError(550, smtp.EnhancedCode{5, 7, 1}, "you may not send as <%s>, only as %s", legible(from, 80), strings.Join(s.account.Addresses, ", "))
	}
	international := opts != nil && opts.UTF8
	path, err := smtpPath(from, international)
	if err != nil {
		return err
	}
	size := int64(1)
	if opts != nil {
		size = max(size, opts.Size)
	}
	// Before half an hour of a slow line is spent on it.
	if err := s.server.Spool.Fits(s.account.User, size, 1); errors.Is(err, spool.ErrQuota) {
		return overQuota(err)
	}
	s.envelope = spool.Envelope{
		User:     s.account.User,
		From:     path,
		EightBit: opts != nil && opts.Body == smtp.Body8BitMIME,
		UTF8:     international,
	}
	return nil
}

// Rcpt takes a recipient. Whether he exists is for upstream to say.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	path, err := smtpPath(to, s.envelope.UTF8)
	if err != nil {
		return err
	}
	s.envelope.To = append(s.envelope.To, path)
	return nil
}

// Data puts the message into the queue as it comes, octet for octet. No
// Received field is put before it: the box is the last part of the sender's own
// client, and the first server upstream records whom it took the message from.
//
// Known limit of go-smtp v0.25: after CR CR LF its reader does not see the
// beginning of a line, so that a message whose last line ends so is not over
// for it, and the client waits until the connection times out.
func (s *smtpSession) Data(r io.Reader) error {
	if !s.begin() {
		return smtpError(421, smtp.EnhancedCode{4, 3, 2}, "closing")
	}
	defer s.end()
	s.conn.inMessage.Store(true)
	env := s.envelope
	env.Accepted = smtpNow()
	env, err := s.server.Spool.Accept(env, r)
	var refused *smtp.SMTPError
	switch {
	case err == nil:
		s.log.Info("message accepted", "id", env.ID, "octets", env.Size, "recipients", len(env.To))
		s.server.accepted(env)
		return nil
	case errors.Is(err, spool.ErrResent):
		// The 250 was lost on the way (RFC 1047): here it is again.
		s.log.Info("message was accepted before; its client had not heard so", "id", env.ID)
		return nil
	case errors.As(err, &refused): // go-smtp's own, from r: too large
		s.log.Info("message refused", "err", refused)
		return refused
	case errors.Is(err, spool.ErrQuota):
		s.log.Warn("message refused", "err", err)
		return overQuota(err)
	case errors.Is(err, spool.ErrFull):
		s.log.Error("message refused", "err", err)
		return smtpError(452, smtp.EnhancedCode{4, 3, 1}, "the box's disk is full, keep the message and send it later")
	case errors.Is(err, spool.ErrCutShort):
		s.log.Info("message was cut short; nothing of it was kept", "err", err)
	default:
		s.log.Error("message could not be kept", "err", err)
	}
	return smtpError(451, smtp.EnhancedCode{4, 3, 0}, "the message could not be kept, send it again later")
}

func overQuota(err error) error {
	return smtpError(452, smtp.EnhancedCode{4, 2, 2}, "you may keep no more mail on this box (%v): delete read mail or wait until yours is sent, and send this later", err)
}

// Reset forgets the message, as RSET and the end of one do.
func (s *smtpSession) Reset() {
	s.conn.inMessage.Store(false)
	s.envelope = spool.Envelope{}
}

// Logout has nothing to give back.
func (s *smtpSession) Logout() error { return nil }

// smtpPath puts an address into the form it has inside the brackets of MAIL and
// RCPT: go-smtp's parser has taken the quotes off the local part, and upstream
// needs them back. What it lets through besides, such as a bare CR, is refused:
// it must not get into a command that we send. Letters outside ASCII come only
// with SMTPUTF8 (RFC 6531 section 3.3).
func smtpPath(address string, smtpUTF8 bool) (string, error) {
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:max(at, 0)], address[at+1:]
	if local == "" || domain == "" || len(address) > 320 {
		return "", smtpError(553, smtp.EnhancedCode{5, 1, 3}, "<%s> is not a mail address", legible(address, 80))
	}
	if !utf8.ValidString(address) {
		return "", smtpError(553, smtp.EnhancedCode{5, 6, 7}, "<%s> is not UTF-8", legible(address, 80))
	}
	for _, c := range address {
		if c >= utf8.RuneSelf && !smtpUTF8 {
			return "", smtpError(553, smtp.EnhancedCode{5, 6, 7}, "<%s> has letters outside ASCII, for which the mail program must use SMTPUTF8", legible(address, 80))
		}
		if unicode.IsControl(c) {
			return "", smtpError(553, smtp.EnhancedCode{5, 1, 3}, "<%s> has characters that mail addresses cannot have", legible(address, 80))
		}
	}
	if strings.ContainsAny(domain, ` ()<>,;\"`) {
		return "", smtpError(553, smtp.EnhancedCode{5, 1, 3}, "<%s> has no proper domain", legible(address, 80))
	}
	if isDotString(local) {
		return address, nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"@` + domain, nil
}

// isDotString is RFC 5321 section 4.1.2's Dot-string of ASCII.
func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsAny(atom, ` ()<>[]:;@\,"`) {
			return false
		}
	}
	return true
}
