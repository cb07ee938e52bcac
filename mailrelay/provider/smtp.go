package provider

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// serveSMTP runs go-smtp's server until ctx ends and all its sessions have.
func (p *Provider) serveSMTP(ctx context.Context, l net.Listener, implicit bool) {
	t := p.track(l)
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{p: p, conn: c}, nil
	}))
	srv.Domain = Host
	srv.MaxMessageBytes = 64 << 20
	srv.ReadTimeout, srv.WriteTimeout = 5*time.Minute, 5*time.Minute
	srv.ErrorLog = log.New(logWriter{p}, "", 0)
	// Shutdown and not Close, for only that one waits for the sessions.
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		t.closeConns()
		srv.Shutdown(context.WithoutCancel(ctx))
	})
	serve := net.Listener(t)
	if implicit {
		serve = tls.NewListener(t, p.tlsConfig())
	} else {
		srv.TLSConfig = p.tlsConfig()
	}
	if err := srv.Serve(serve); err != nil && ctx.Err() == nil {
		p.log.Error("provider: SMTP ended", "err", err)
	}
	if !stop() {
		<-ended
	}
}

// logWriter carries go-smtp's remarks about broken connections to the log.
type logWriter struct{ p *Provider }

func (w logWriter) Write(b []byte) (int, error) {
	w.p.log.Debug("provider: SMTP", "remark", strings.TrimSpace(string(b)))
	return len(b), nil
}

// smtpSession is one customer; go-smtp calls it from one goroutine.
type smtpSession struct {
	p    *Provider
	conn *smtp.Conn
	user string
	now  Received
}

// AuthMechanisms implements smtp.AuthSession. Nothing is offered in the clear.
func (s *smtpSession) AuthMechanisms() []string {
	if _, ok := s.conn.TLSConnectionState(); !ok {
		return nil
	}
	return s.p.mechanisms(sasl.Plain, sasl.Login)
}

// Auth implements smtp.AuthSession.
func (s *smtpSession) Auth(mech string) (sasl.Server, error) {
	m := s.p.newMechanism(mech, func(user string) { s.user = user })
	if m == nil {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return smtpMechanism{m}, nil
}

// smtpMechanism gives a refusal its SMTP reply.
type smtpMechanism struct{ sasl.Server }

func (m smtpMechanism) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := m.Server.Next(response)
	if err != nil {
		err = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: err.Error()}
	}
	return challenge, done, err
}

func (s *smtpSession) Mail(from string, opts *smtp.MailOptions) error {
	if s.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.now = Received{User: s.user, From: from, TLS: describeState(s.conn)}
	if opts != nil {
		s.now.Size, s.now.Body8BitMIME = opts.Size, opts.Body == smtp.Body8BitMIME
	}
	return s.p.refuse(func(f *Faults) Reply { return f.RefuseMail })
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.p.refuse(func(f *Faults) Reply { return f.RefuseRcpt[to] }); err != nil {
		return err
	}
	s.now.To = append(s.now.To, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	dying := false
	s.p.change(func(f *Faults) {
		if f.DropDuringData > 0 {
			f.DropDuringData--
			dying = true
		}
	})
	if dying {
		io.CopyN(io.Discard, r, 16)
		return s.conn.Conn().Close()
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.p.refuse(func(f *Faults) Reply { return f.RefuseData }); err != nil {
		return err
	}
	s.now.Body = body
	s.p.change(func(f *Faults) {
		if f.DropAfterData > 0 {
			f.DropAfterData--
			dying = true
		}
	})
	if dying {
		// Closed first, so that whoever sees the message knows that its 250
		// is lost.
		s.conn.Conn().Close()
	}
	s.p.receive(s.now)
	return nil
}

func (s *smtpSession) Reset()        { s.now = Received{} }
func (s *smtpSession) Logout() error { return nil }

// refuse gives the refusal that pick finds in the faults, nil if there is none
// or it has been given often enough.
func (p *Provider) refuse(pick func(*Faults) Reply) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := pick(&p.faults)
	if r.Code == 0 {
		return nil
	}
	if p.faults.RefuseTimes > 0 {
		if p.faults.RefuseTimes--; p.faults.RefuseTimes == 0 {
			p.faults.RefuseMail, p.faults.RefuseRcpt, p.faults.RefuseData = Reply{}, nil, Reply{}
		}
	}
	e := &smtp.SMTPError{Code: r.Code, EnhancedCode: smtp.NoEnhancedCode, Message: r.Text}
	return e
}

func describeState(c *smtp.Conn) string {
	st, ok := c.TLSConnectionState()
	if !ok {
		return ""
	}
	return tls.VersionName(st.Version) + ", " + tls.CipherSuiteName(st.CipherSuite)
}
