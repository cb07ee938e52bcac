package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// dialer opens connections over a call.
type dialer interface {
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// mailProgram is the caller's: it fetches by POP3 and sends by SMTP over a call.
type mailProgram struct {
	call           dialer
	server         netip.Addr
	user, password string
}

// maxReceived bounds one POP3 session, in octets: who answers may be anybody.
const maxReceived = 64 << 20

// maildrop is a POP3 session that has logged in.
type maildrop struct {
	*textproto.Conn
	stop func() bool // the watch over the context
}

// receive connects and logs in. ctx ends the session's every command.
func (m mailProgram) receive(ctx context.Context) (*maildrop, error) {
	conn, err := m.call.Dial(ctx, netip.AddrPortFrom(m.server, portPOP3))
	if err != nil {
		return nil, err
	}
	bounded := struct {
		io.Reader
		io.WriteCloser
	}{io.LimitReader(conn, maxReceived), conn}
	d := &maildrop{textproto.NewConn(bounded), context.AfterFunc(ctx, func() { conn.Close() })}
	if _, err := d.answer(); err != nil {
		return nil, errors.Join(fmt.Errorf("POP3 greeting: %w", err), d.close())
	}
	if _, err := d.ask("USER %s", m.user); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if _, err := d.ask("PASS %s", m.password); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// close drops the connection. Without quit, nothing is deleted.
func (d *maildrop) close() error {
	d.stop()
	return d.Close()
}

// stat is how many messages wait, and their octets.
func (d *maildrop) stat() (n, octets int, err error) {
	line, err := d.ask("STAT")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(line, "+OK %d %d", &n, &octets); err != nil {
		return 0, 0, fmt.Errorf("POP3 STAT answered %q", line)
	}
	return n, octets, nil
}

// retrieve fetches message i, from 1, to the byte.
func (d *maildrop) retrieve(i int) ([]byte, error) {
	if _, err := d.ask("RETR %d", i); err != nil {
		return nil, err
	}
	m, err := readDotLines(d.R)
	if err != nil {
		return nil, fmt.Errorf("POP3 RETR %d: %w", i, err)
	}
	return m, nil
}

func (d *maildrop) delete(i int) error {
	_, err := d.ask("DELE %d", i)
	return err
}

// quit makes the deletions count.
func (d *maildrop) quit() error {
	_, err := d.ask("QUIT")
	return err
}

func (d *maildrop) ask(format string, args ...any) (string, error) {
	verb, _, _ := strings.Cut(format, " ") // the rest may be a password
	err := d.PrintfLine(format, args...)
	if err != nil {
		return "", fmt.Errorf("POP3 %s: %w", verb, err)
	}
	line, err := d.answer()
	if err != nil {
		err = fmt.Errorf("POP3 %s: %w", verb, err)
	}
	return line, err
}

func (d *maildrop) answer() (string, error) {
	line, err := d.ReadLine()
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

// letter is a message and its envelope.
type letter struct {
	from, to string
	body     []byte
}

// send submits the letters, and calls sent after each.
func (m mailProgram) send(ctx context.Context, letters []letter, sent func(i int)) error {
	conn, err := m.call.Dial(ctx, netip.AddrPortFrom(m.server, portSMTP))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello("oldpc"); err != nil {
		return fmt.Errorf("SMTP EHLO: %w", err)
	}
	if err := c.Auth(sasl.NewPlainClient("", m.user, m.password)); err != nil {
		return fmt.Errorf("SMTP AUTH: %w", err)
	}
	for i, l := range letters {
		if err := c.SendMail(l.from, []string{l.to}, bytes.NewReader(l.body)); err != nil {
			return fmt.Errorf("SMTP message %d: %w", i+1, err)
		}
		sent(i)
	}
	return c.Quit()
}
