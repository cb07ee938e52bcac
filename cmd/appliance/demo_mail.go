package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The demo's user, here and at the provider.
const (
	demoUser     = "alice"
	demoAddress  = "alice@example.org"
	demoPassword = "open sesame" // only ever used inside of this process
)

// demoMail makes the demo's messages: what waits at the provider, and what the
// caller sends. They hold what mail relays like to spoil.
func demoMail(seed uint64) (waiting, outgoing [][]byte) {
	random := rand.New(rand.NewPCG(seed, 1998))
	attachment := make([]byte, 9000)
	for i := range attachment {
		attachment[i] = byte(random.Uint32())
	}
	waiting = [][]byte{
		demoMessage("bob@example.net", demoAddress, "Supplies", "The boat comes on Thursday.\r\nBring the list.\r\n"),
		demoMessage("hq@example.net", demoAddress, "Lines that begin with dots",
			".\r\n..\r\n.hidden\r\nA line that looks like a modem:\r\nNO CARRIER\r\n\r\n"+strings.Repeat("It is a long way to the coast. ", 40)+"\r\n"),
		demoMessage("plans@example.net", demoAddress, "The drawings", wrap(base64.StdEncoding.EncodeToString(attachment))),
	}
	outgoing = [][]byte{
		demoMessage(demoAddress, "bob@example.net", "Re: Supplies", "Two barrels of diesel, and the post.\r\n.\r\nAlice\r\n"),
		demoMessage(demoAddress, "hq@example.net", "Readings", wrap(base64.StdEncoding.EncodeToString(attachment[:3000]))),
	}
	return waiting, outgoing
}

func demoMessage(from, to, subject, body string) []byte {
	return []byte("From: " + from + "\r\nTo: " + to + "\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n\r\n" + body)
}

// wrap breaks base64 into lines of 76 (RFC 2045 section 6.8).
func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

// dialer opens connections over the call.
type dialer interface {
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// fetchDemoMail is the mail program that receives: it logs in by POP3, fetches
// every message, deletes it, and quits.
func fetchDemoMail(ctx context.Context, call dialer, box netip.Addr, tale *story) ([][]byte, error) {
	conn, err := call.Dial(ctx, netip.AddrPortFrom(box, portPOP3))
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p := &demoPOP3{textproto.NewConn(conn)}
	defer p.Close()
	if _, err := p.answer(); err != nil {
		return nil, err
	}
	if _, err := p.ask("USER %s", demoUser); err != nil {
		return nil, err
	}
	if _, err := p.ask("PASS %s", demoPassword); err != nil {
		return nil, err
	}
	var n, octets int
	stat, err := p.ask("STAT")
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(stat, "+OK %d %d", &n, &octets); err != nil {
		return nil, fmt.Errorf("POP3 STAT answered %q", stat)
	}
	tale.tell("pop3", "logged in; %d messages wait, %d octets", n, octets)
	var messages [][]byte
	for i := 1; i <= n; i++ {
		began := time.Now()
		if _, err := p.ask("RETR %d", i); err != nil {
			return nil, err
		}
		m, err := readDotLines(p.R)
		if err != nil {
			return nil, fmt.Errorf("POP3 RETR %d: %w", i, err)
		}
		took := time.Since(began)
		tale.tell("pop3", "message %d: %d octets in %.1f s, %.0f bytes/s", i, len(m), took.Seconds(), float64(len(m))/took.Seconds())
		messages = append(messages, m)
		if _, err := p.ask("DELE %d", i); err != nil {
			return nil, err
		}
	}
	_, err = p.ask("QUIT")
	return messages, err
}

// demoPOP3 is a POP3 connection of the demo's mail program.
type demoPOP3 struct{ *textproto.Conn }

func (p *demoPOP3) ask(format string, args ...any) (string, error) {
	if err := p.PrintfLine(format, args...); err != nil {
		return "", err
	}
	line, err := p.answer()
	if err != nil {
		verb, _, _ := strings.Cut(format, " ") // the rest may be a password
		err = fmt.Errorf("POP3 %s: %w", verb, err)
	}
	return line, err
}

func (p *demoPOP3) answer() (string, error) {
	line, err := p.ReadLine()
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = fmt.Errorf("the box answered %q", line)
	}
	return line, err
}

// readDotLines reads a multi-line answer to the byte; textproto's own reader
// would turn CRLF into LF.
func readDotLines(r interface{ ReadBytes(byte) ([]byte, error) }) ([]byte, error) {
	var m []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if bytes.Equal(line, []byte(".\r\n")) {
			return m, nil
		}
		m = append(m, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// sendDemoMail is the mail program that sends.
func sendDemoMail(ctx context.Context, call dialer, box netip.Addr, messages [][]byte, tale *story) error {
	conn, err := call.Dial(ctx, netip.AddrPortFrom(box, portSMTP))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello("oldpc"); err != nil {
		return fmt.Errorf("SMTP EHLO: %w", err)
	}
	if err := c.Auth(sasl.NewPlainClient("", demoUser, demoPassword)); err != nil {
		return fmt.Errorf("SMTP AUTH: %w", err)
	}
	for i, m := range messages {
		began := time.Now()
		if err := c.SendMail(demoAddress, []string{recipient(m)}, bytes.NewReader(m)); err != nil {
			return fmt.Errorf("SMTP message %d: %w", i+1, err)
		}
		tale.tell("smtp", "message %d: %d octets in %.1f s; the box has it on disk", i+1, len(m), time.Since(began).Seconds())
	}
	return c.Quit()
}

func recipient(m []byte) string {
	_, rest, _ := bytes.Cut(m, []byte("\r\nTo: "))
	to, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(to)
}
