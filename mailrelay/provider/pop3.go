package provider

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emersion/go-sasl"
)

// servePOP3 answers customers until ctx ends and all sessions have.
func (p *Provider) servePOP3(ctx context.Context, l net.Listener, implicit bool) {
	t := p.track(l)
	defer context.AfterFunc(ctx, t.closeConns)()
	var wg sync.WaitGroup
	for {
		c, err := t.Accept()
		if err != nil {
			break
		}
		wg.Go(func() {
			defer c.Close()
			s := &pop3Session{p: p, conn: c}
			if implicit {
				s.conn, s.secure = tls.Server(c, p.tlsConfig()), true
			}
			s.serve()
		})
	}
	wg.Wait()
}

// pop3Session is one customer (RFC 1939). The mailbox is a copy taken at the
// log-in, as the exclusive lock of the RFC would have it.
type pop3Session struct {
	p        *Provider
	conn     net.Conn
	secure   bool
	r        *bufio.Reader
	w        *bufio.Writer
	user     string
	loggedIn bool
	box      []Message
	deleted  map[int]bool
}

func (s *pop3Session) serve() {
	s.r, s.w = bufio.NewReader(s.conn), bufio.NewWriter(s.conn)
	s.deleted = make(map[int]bool)
	s.say("+OK provider ready")
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !s.command(strings.ToUpper(verb), arg) || s.w.Flush() != nil {
			s.w.Flush()
			return
		}
	}
}

func (s *pop3Session) say(format string, args ...any) {
	fmt.Fprintf(s.w, format+"\r\n", args...)
	s.w.Flush()
}

// command obeys one command; false ends the connection.
func (s *pop3Session) command(verb, arg string) bool {
	f := s.p.fault()
	switch verb {
	case "CAPA":
		s.capa(f)
		return true
	case "STLS":
		return s.startTLS(f)
	case "USER":
		s.user = arg
		s.say("+OK")
		return true
	case "PASS":
		s.login(s.user, arg)
		return true
	case "AUTH":
		s.auth(arg)
		return true
	case "QUIT":
		return s.quit(f)
	}
	if !s.loggedIn {
		s.say("-ERR log in first")
		return true
	}
	return s.transaction(f, verb, arg)
}

func (s *pop3Session) capa(f Faults) {
	if f.NoCAPA {
		s.say("-ERR what is that?")
		return
	}
	s.say("+OK")
	s.say("UIDL")
	if s.secure {
		s.say("USER")
		s.say("SASL %s", strings.Join(s.p.mechanisms(sasl.Plain), " "))
	} else if !f.NoStartTLS {
		s.say("STLS")
	}
	s.say(".")
}

func (s *pop3Session) startTLS(f Faults) bool {
	if s.secure || f.NoStartTLS {
		s.say("-ERR no TLS here")
		return true
	}
	s.say("+OK begin TLS")
	s.conn, s.secure = tls.Server(s.conn, s.p.tlsConfig()), true
	s.r, s.w = bufio.NewReader(s.conn), bufio.NewWriter(s.conn)
	return true
}

// auth carries a SASL exchange (RFC 5034), without initial responses.
func (s *pop3Session) auth(name string) {
	m := s.p.newMechanism(strings.ToUpper(name), func(user string) { s.user = user })
	if m == nil || !s.secure {
		s.say("-ERR no such mechanism here")
		return
	}
	var response []byte
	for {
		challenge, done, err := m.Next(response)
		if err != nil {
			s.say("-ERR [AUTH] %v", err)
			return
		}
		if done {
			s.enter()
			return
		}
		s.say("+ %s", base64.StdEncoding.EncodeToString(challenge))
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		if line = strings.TrimSpace(line); line == "*" {
			s.say("-ERR as you wish")
			return
		}
		if response, err = base64.StdEncoding.DecodeString(line); err != nil {
			s.say("-ERR not base64")
			return
		}
	}
}

func (s *pop3Session) login(user, password string) {
	if !s.secure {
		s.say("-ERR not in the clear")
		return
	}
	if err := s.p.check(user, password); err != nil {
		s.say("-ERR [AUTH] %v", err)
		return
	}
	s.user = user
	s.enter()
}

func (s *pop3Session) enter() {
	s.loggedIn, s.box = true, s.p.Mailbox(s.user)
	s.say("+OK %d messages", len(s.box))
}

func (s *pop3Session) transaction(f Faults, verb, arg string) bool {
	switch verb {
	case "NOOP":
		s.say("+OK")
	case "STAT":
		total := 0
		for _, m := range s.box {
			total += len(m.Body)
		}
		s.say("+OK %d %d", len(s.box), total)
	case "UIDL":
		if f.Silent != nil {
			f.Silent <- struct{}{}
			io.Copy(io.Discard, s.r)
			return false
		}
		if f.NoUIDL {
			s.say("-ERR not supported")
			return true
		}
		s.list(func(_ int, m Message) string { return m.UID })
	case "LIST":
		s.list(func(_ int, m Message) string {
			if shown, ok := f.SizesShown[m.UID]; ok {
				return strconv.FormatInt(shown, 10)
			}
			return strconv.Itoa(len(m.Body))
		})
	case "RETR", "DELE":
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 || n > len(s.box) || s.deleted[n] {
			s.say("-ERR no such message")
			return true
		}
		if verb == "DELE" {
			s.deleted[n] = true
			s.say("+OK")
			return true
		}
		return s.retr(s.box[n-1], f.DropInRetr[s.box[n-1].UID])
	default:
		s.say("-ERR unknown command")
	}
	return true
}

func (s *pop3Session) list(show func(int, Message) string) {
	fmt.Fprint(s.w, "+OK\r\n")
	for i, m := range s.box {
		if !s.deleted[i+1] {
			fmt.Fprintf(s.w, "%d %s\r\n", i+1, show(i+1, m))
		}
	}
	fmt.Fprint(s.w, ".\r\n")
}

// retr sends a message with its dots stuffed after each CR LF and nowhere else.
func (s *pop3Session) retr(m Message, drop bool) bool {
	fmt.Fprint(s.w, "+OK\r\n")
	body := m.Body
	if drop {
		s.w.Write(body[:len(body)/2])
		return false
	}
	if bytes.HasPrefix(body, []byte(".")) {
		s.w.WriteByte('.')
	}
	s.w.Write(bytes.ReplaceAll(body, []byte("\r\n."), []byte("\r\n..")))
	if !bytes.HasSuffix(body, []byte("\r\n")) {
		io.WriteString(s.w, "\r\n")
	}
	fmt.Fprint(s.w, ".\r\n")
	return true
}

// quit carries out the deletions (RFC 1939 section 6).
func (s *pop3Session) quit(f Faults) bool {
	if f.DropAtQuit {
		return false
	}
	if s.loggedIn && !f.KeepDeleted {
		gone := make(map[string]bool)
		for n := range s.deleted {
			gone[s.box[n-1].UID] = true
		}
		s.p.mu.Lock()
		a := s.p.accounts[s.user]
		a.messages = slices.DeleteFunc(slices.Clone(a.messages), func(m Message) bool { return gone[m.UID] })
		s.p.mu.Unlock()
	}
	s.say("+OK bye")
	return false
}
