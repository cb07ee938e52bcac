package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/dialup"
	"postern/internal/status"
)

// client is an old PC with a modem and a mail program. It calls and does what
// such a PC does, a step each.
type client struct {
	modem  dialup.CallerConfig // Post is filled in
	number string
	line   string // goes before the names of the steps; may be empty
	server string // the mail server's name or address

	mailUser, mailPassword string
	fetch                  bool   // messages, not only their list
	from, sendTo           string // no sendTo: nothing is sent
}

// clientResult is what a client has seen. Its JSON names are documented.
type clientResult struct {
	Number      string `json:"number"`
	ConnectRate int    `json:"connect_rate"` // bit/s; 0: never connected, or the modem did not say
	Auth        string `json:"auth"`
	Encryption  string `json:"encryption"` // empty: the line was in clear text
	Messages    int    `json:"messages"`   // that waited
	Octets      int    `json:"octets"`
	Sent        int    `json:"sent"`
	Verdict     string `json:"verdict"` // how this end saw the call end

	fetched [][]byte
	sent    []byte // the test message
}

// run makes the call and reports each step. It goes on after a fault as long as
// the next step can tell something new.
func (c client) run(ctx context.Context, report *steps) (r clientResult) {
	r.Number = c.number
	report = report.of(c.line)
	w := &watchedCall{report: report, result: &r}
	c.modem.Post = w.event
	call, err := dialup.Dial(ctx, c.modem, c.number)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		report.fault(w.next(), err)
		return r
	}
	program := mailProgram{call: call, server: call.Peer(), user: c.mailUser, password: c.mailPassword}
	if address, err := c.resolve(ctx, call); err != nil {
		report.fault("dns", err)
	} else {
		report.passed("dns", "%s is at %v", c.server, address)
		program.server = address
	}
	if err := c.list(ctx, program, &r); err != nil {
		report.fault("pop3", err)
	} else {
		report.passed("pop3", "logged in; %s, %d octets", waiting(r.Messages), r.Octets)
	}
	if c.sendTo != "" {
		if err := c.send(ctx, program, &r); err != nil {
			report.fault("smtp", err)
		} else {
			report.passed("smtp", "logged in; a message of %d octets to %s was taken", len(r.sent), c.sendTo)
		}
	}
	if w.clear() {
		report.passed("encryption", "none: what crosses the phone line is in clear text")
	}
	r.Verdict = call.Close().Text
	report.passed("hang-up", "%s", r.Verdict)
	return r
}

func waiting(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

// resolve finds the mail server as the PC's resolver would.
func (c client) resolve(ctx context.Context, call *dialup.Caller) (netip.Addr, error) {
	if address, err := netip.ParseAddr(c.server); err == nil {
		return address, nil
	}
	server := call.DNS()[0]
	if !server.IsValid() {
		return netip.Addr{}, errors.New("the answering side named no name server")
	}
	conn, err := call.ListenPacket(0)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return resolve(ctx, conn, server, c.server)
}

// list logs in to the mailbox, looks, and leaves everything where it is.
func (c client) list(ctx context.Context, program mailProgram, r *clientResult) error {
	box, err := program.receive(ctx)
	if err != nil {
		return err
	}
	defer box.close()
	if r.Messages, r.Octets, err = box.stat(); err != nil {
		return err
	}
	for i := 1; c.fetch && i <= r.Messages; i++ {
		m, err := box.retrieve(i)
		if err != nil {
			return err
		}
		r.fetched = append(r.fetched, m)
	}
	return box.quit()
}

func (c client) send(ctx context.Context, program mailProgram, r *clientResult) error {
	now, id := time.Now(), rand.Text()
	_, domain, _ := strings.Cut(c.from, "@")
	r.sent = fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: Test call of %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n\r\n"+
		"This message was sent by a test call through the modem lines.\r\nNobody needs to answer it.\r\n",
		c.from, c.sendTo, now.Format("2 January 15:04"), now.Format(time.RFC1123Z), id, domain)
	return program.send(ctx, []letter{{c.from, c.sendTo, r.sent}}, func(int) { r.Sent++ })
}

// watchedCall turns a call's events into steps while they happen.
type watchedCall struct {
	report *steps

	mu     sync.Mutex
	result *clientResult
	up     bool
}

func (w *watchedCall) event(e status.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case status.CallConnected:
		w.up, w.result.ConnectRate = true, e.Rate
		w.report.passed("modem", "%s", e.Result)
	case status.CallAuthenticated:
		w.result.Auth = e.Method
		w.report.passed("log-in", "%s by %s; %s", e.User, e.Method, passwordWords(e.Method))
	case status.CallEncrypted:
		if e.Cipher != "" {
			w.result.Encryption = e.Cipher
			w.report.passed("encryption", "%s", e.Cipher)
		}
	case status.CallIPUp:
		w.report.passed("ip", "up; the other end is at %v", e.Peer)
	}
}

// next is the step that a call without IP has failed at.
func (w *watchedCall) next() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.up:
		return "modem"
	case w.result.Auth == "":
		return "log-in"
	}
	return "ip"
}

// clear reports whether the line was never encrypted.
func (w *watchedCall) clear() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.result.Encryption == ""
}

// passwordWords says what a log-in does to a password.
func passwordWords(method string) string {
	if method == "PAP" {
		return "the password went over the line in clear text"
	}
	return "the password was never sent"
}
