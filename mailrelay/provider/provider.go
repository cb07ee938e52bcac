package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
)

// Host is the name in the certificate, beside the loopback addresses.
const Host = "localhost"

// Message is one message of a mailbox.
type Message struct {
	UID  string // unique-id (RFC 1939 section 7)
	Body []byte // as RETR sends it, before byte-stuffing
}

// Received is one message that came in by SMTP.
type Received struct {
	User         string   // who logged in
	From         string   // reverse-path
	To           []string // forward-paths
	Body         []byte   // as it came, after the stuffing was undone
	TLS          string   // version and suite, "TLS 1.3, TLS_AES_128_GCM_SHA256"
	Size         int64    // the SIZE parameter of MAIL, 0 if there was none
	Body8BitMIME bool
}

// Provider is a mail provider in memory. Its methods may be called from many
// goroutines, also while it runs.
type Provider struct {
	authority *authority
	listeners [4]net.Listener
	log       *slog.Logger

	mu       sync.Mutex
	faults   Faults
	accounts map[string]*account
	received []Received
	arrived  chan struct{} // closed and replaced when received grows
	nextUID  int
	sessions map[string]int // SMTP and POP3 log-ins by user
}

type account struct {
	password string
	messages []Message
}

// The listeners in their order.
const (
	pop3s = iota
	pop3
	smtps
	submission
)

// New opens a provider on loopback ports of the system's choice, with an
// authority and a certificate made for this run.
func New(log *slog.Logger) (*Provider, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		authority: ca,
		log:       log,
		accounts:  make(map[string]*account),
		arrived:   make(chan struct{}),
		sessions:  make(map[string]int),
	}
	for i := range p.listeners {
		if p.listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			p.closeListeners()
			return nil, fmt.Errorf("provider: %w", err)
		}
	}
	return p, nil
}

func (p *Provider) closeListeners() {
	for _, l := range p.listeners {
		if l != nil {
			l.Close()
		}
	}
}

// Run serves until ctx ends, then closes every connection and returns when all
// sessions have ended. It may be called once.
func (p *Provider) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.closeListeners)()
	var wg sync.WaitGroup
	for i, l := range p.listeners {
		wg.Go(func() {
			if i == pop3s || i == pop3 {
				p.servePOP3(ctx, l, i == pop3s)
			} else {
				p.serveSMTP(ctx, l, i == smtps)
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return errors.New("provider: the listeners were closed by somebody else")
	}
	return nil
}

// CertificatePEM is the authority's certificate, for a ca_file.
func (p *Provider) CertificatePEM() []byte { return p.authority.pem() }

// The servers, in the form of the configuration's fetch and submit.

// POP3S begins with TLS.
func (p *Provider) POP3S() string { return p.url("pop3s", pop3s) }

// POP3StartTLS begins in the clear and offers STLS.
func (p *Provider) POP3StartTLS() string { return p.url("pop3+starttls", pop3) }

// SMTPS begins with TLS.
func (p *Provider) SMTPS() string { return p.url("smtps", smtps) }

// SMTPStartTLS begins in the clear and offers STARTTLS.
func (p *Provider) SMTPStartTLS() string { return p.url("smtp+starttls", submission) }

func (p *Provider) url(scheme string, i int) string {
	port := p.listeners[i].Addr().(*net.TCPAddr).Port
	return scheme + "://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// AddUser opens an account for both servers, or changes its password.
func (p *Provider) AddUser(name, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.accounts[name]; a != nil {
		a.password = password
		return
	}
	p.accounts[name] = &account{password: password}
}

// AddMessage puts a message into a user's mailbox and returns its unique-id. The
// user must exist.
func (p *Provider) AddMessage(user string, body []byte) (uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextUID++
	uid = fmt.Sprintf("provider-%06d", p.nextUID)
	p.accounts[user].messages = append(p.accounts[user].messages, Message{UID: uid, Body: slices.Clone(body)})
	return uid
}

// SetMailbox replaces all that a user's mailbox holds, unique-ids included.
func (p *Provider) SetMailbox(user string, messages ...Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[user].messages = slices.Clone(messages)
}

// Mailbox is what a user's mailbox holds.
func (p *Provider) Mailbox(user string) []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.accounts[user].messages)
}

// Received is what came in by SMTP, oldest first.
func (p *Provider) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// WaitReceived returns what came in by SMTP as soon as it is n messages.
func (p *Provider) WaitReceived(ctx context.Context, n int) ([]Received, error) {
	for {
		p.mu.Lock()
		got, arrived := slices.Clone(p.received), p.arrived
		p.mu.Unlock()
		if len(got) >= n {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-arrived:
		}
	}
}

// Logins is how often a user was let in, by both servers together.
func (p *Provider) Logins(user string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[user]
}

func (p *Provider) receive(r Received) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, r)
	close(p.arrived)
	p.arrived = make(chan struct{})
}

// check judges a log-in by password.
func (p *Provider) check(user, password string) error {
	if right, known := p.password(user); !known || right != password {
		return p.refusal(password)
	}
	return p.enter(user)
}

// password is the one that a user must prove to know, unknown if log-ins are refused.
func (p *Provider) password(user string) (password string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[user]
	if a == nil || p.faults.RefuseLogin {
		return "", false
	}
	return a.password, true
}

// enter counts a log-in.
func (p *Provider) enter(user string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[user]++
	return nil
}

// refusal is the one for a wrong password or token.
func (p *Provider) refusal(secret string) error {
	if p.fault().EchoLogin {
		return fmt.Errorf("%s is wrong", secret)
	}
	return errors.New("wrong user name or password")
}

// SetFaults makes the provider misbehave from now on; the zero Faults end it.
func (p *Provider) SetFaults(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

func (p *Provider) fault() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// change edits the faults, for those that happen a number of times.
func (p *Provider) change(edit func(*Faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(&p.faults)
}
