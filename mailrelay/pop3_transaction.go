package mailrelay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// transaction runs a command of RFC 1939's TRANSACTION state.
func (p *pop3Session) transaction(verb, arg string) error {
	switch verb {
	case "STAT":
		return p.stat()
	case "LIST":
		return p.list(arg, func(i int) string { return strconv.FormatInt(p.messages[i].Size, 10) })
	case "UIDL":
		return p.list(arg, func(i int) string { return p.messages[i].UID })
	case "RETR":
		return p.onMessage(arg, p.retr)
	case "TOP":
		return p.top(arg)
	case "DELE":
		return p.onMessage(arg, func(i int) error {
			p.deleted[i] = true
			return p.ok("message %d is deleted at QUIT", i+1)
		})
	case "NOOP":
		return p.ok("here")
	case "RSET":
		clear(p.deleted)
		return p.ok("nothing is marked for deletion")
	case "CAPA":
		return p.capa()
	case "QUIT":
		return p.quit()
	case "USER", "PASS", "APOP", "AUTH", "STLS", "UTF8":
		return p.senseless("you are logged in already")
	}
	return p.senseless("unknown command")
}

func (p *pop3Session) stat() error {
	count, octets := 0, int64(0)
	for i, m := range p.messages {
		if !p.deleted[i] {
			count, octets = count+1, octets+m.Size
		}
	}
	return p.ok("%d %d", count, octets)
}

// list answers LIST and UIDL, which differ in the word behind the number only.
func (p *pop3Session) list(arg string, word func(i int) string) error {
	if arg = strings.TrimSpace(arg); arg != "" {
		return p.onMessage(arg, func(i int) error { return p.ok("%d %s", i+1, word(i)) })
	}
	p.ok("%d messages", len(p.messages)-len(p.deleted))
	for i := range p.messages {
		if !p.deleted[i] {
			p.w.WriteString(strconv.Itoa(i + 1))
			p.w.WriteByte(' ')
			p.w.WriteString(word(i))
			p.w.WriteString("\r\n")
		}
	}
	_, err := p.w.WriteString(".\r\n")
	return err
}

// onMessage runs do with the index of the message that arg is the number of.
func (p *pop3Session) onMessage(arg string, do func(i int) error) error {
	n, ok := pop3Number(strings.TrimSpace(arg))
	switch {
	case !ok:
		return p.senseless("a message number is needed")
	case n < 1 || n > len(p.messages):
		return p.fail("no such message, there are %d", len(p.messages))
	case p.deleted[n-1]:
		return p.fail("message %d is marked for deletion", n)
	}
	return do(n - 1)
}

func (p *pop3Session) retr(i int) error {
	return p.send(i, -1)
}

func (p *pop3Session) top(arg string) error {
	number, count, _ := strings.Cut(strings.TrimSpace(arg), " ")
	lines, ok := pop3Number(strings.TrimSpace(count))
	if !ok {
		return p.senseless("TOP needs a message number and a number of lines")
	}
	return p.onMessage(number, func(i int) error { return p.send(i, lines) })
}

// send writes a message as a multi-line response, its header and lines of its
// body, or all of it if lines is negative. If it cannot be read to its end the
// connection is cut: with a final dot the client would take the part for the
// whole, and delete it.
func (p *pop3Session) send(i, lines int) error {
	m := p.messages[i]
	body, err := p.maildrop.Open(m.UID)
	if err != nil {
		p.log.Error("message cannot be read", "message", m.UID, "err", err)
		return p.fail("[SYS/TEMP] message cannot be read now")
	}
	defer body.Close()
	p.ok("%d octets", m.Size)
	p.message.Reset(body)
	if err := sendLines(p.w, p.message, lines); err != nil {
		return fmt.Errorf("message %s: %w", m.UID, err)
	}
	return nil
}

// sendLines copies a message to w with RFC 1939's byte-stuffing and the final
// dot. The octets are otherwise those of the message, NUL and all: signatures
// must stay valid. lines as for send.
//
// A dot is doubled after a bare LF, too. There a strict reader sees a dot more
// in a message that is broken already. But most clients end lines at LF, and
// for them a stranger's "LF . CRLF" would end the message, and what follows
// would be read as our replies.
func sendLines(w *bufio.Writer, r *bufio.Reader, lines int) error {
	inHeader, atStart := true, true
	var end [2]byte // the last two octets sent
	for lines < 0 || inHeader || lines > 0 {
		part, err := r.ReadSlice('\n') // a long line comes in parts
		if len(part) > 0 {
			if atStart && part[0] == '.' {
				w.WriteByte('.')
			}
			w.Write(part)
			if len(part) > 1 {
				end = [2]byte(part[len(part)-2:])
			} else {
				end = [2]byte{end[1], part[0]}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		switch wasStart := atStart; {
		case err != nil:
			atStart = false
			continue
		case !inHeader:
			lines--
			atStart = true
		default:
			inHeader = !wasStart || len(bytes.TrimRight(part, "\r\n")) > 0
			atStart = true
		}
	}
	if end != [2]byte{'\r', '\n'} && end != [2]byte{} {
		w.WriteString("\r\n")
	}
	// Old clients look for the blank line behind the header and hang without,
	// even if the message has no body.
	if lines >= 0 && inHeader {
		w.WriteString("\r\n")
	}
	_, err := w.WriteString(".\r\n")
	return err
}

// quit is RFC 1939's UPDATE state: the one place where mail is deleted.
func (p *pop3Session) quit() error {
	uids := make([]string, 0, len(p.deleted))
	for i := range p.messages {
		if p.deleted[i] {
			uids = append(uids, p.messages[i].UID)
		}
	}
	err := p.maildrop.Delete(uids)
	p.unlock() // before the answer, as a client may come back at once
	if err != nil {
		p.log.Error("deletions failed", "messages", len(uids), "err", err)
		p.fail("[SYS/TEMP] nothing was deleted, try again later")
		return errQuit
	}
	if len(uids) > 0 {
		p.log.Info("messages deleted", "messages", len(uids))
	}
	p.ok("bye, %d messages deleted", len(uids))
	return errQuit
}
