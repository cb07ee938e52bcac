package mailrelay

import (
	"bufio"
	"errors"
	"io"
)

// errMessageTooLong is a server that sends more than it announced.
var errMessageTooLong = errors.New("the message is longer than the server said and than this box takes")

// pop3Body undoes the byte-stuffing of a multi-line reply and changes nothing
// else. Only CR LF ends a line here: a message may hold bare LFs, and a dot
// after one was not stuffed by a server that kept them.
type pop3Body struct {
	r     *bufio.Reader
	left  int64
	state bodyState
	err   error
	done  func()
}

type bodyState int

const (
	bodyLineStart bodyState = iota
	bodyDot                 // a dot at the start of a line
	bodyDotCR               // a dot and a CR
	bodyCR                  // a CR within a line
	bodyText
)

// Read implements io.Reader. It returns io.EOF only after the final dot, and
// io.ErrUnexpectedEOF when the connection ended before it.
func (b *pop3Body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	for n < len(p) {
		c, err := b.r.ReadByte()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			b.err = err
			return n, err
		}
		if b.state == bodyDotCR && c == '\n' {
			b.err = io.EOF
			b.done()
			return n, io.EOF
		}
		emit := true
		switch b.state {
		case bodyLineStart:
			if c == '.' {
				b.state, emit = bodyDot, false
			} else {
				b.state = afterText(c)
			}
		case bodyDot:
			// The dot was the stuffing; what follows is the line.
			if c == '\r' {
				b.state, emit = bodyDotCR, false
			} else {
				b.state = afterText(c)
			}
		case bodyDotCR:
			// Not the end: ".\r" began a line of the message, stuffed with the
			// dot that was dropped, so its CR is still owed.
			if err := b.r.UnreadByte(); err != nil {
				b.err = err
				return n, err
			}
			c, b.state = '\r', bodyCR
		case bodyCR:
			if c == '\n' {
				b.state = bodyLineStart
			} else {
				b.state = afterText(c)
			}
		case bodyText:
			b.state = afterText(c)
		}
		if !emit {
			continue
		}
		if b.left == 0 {
			b.err = errMessageTooLong
			return n, b.err
		}
		b.left--
		p[n] = c
		n++
	}
	return n, nil
}

func afterText(c byte) bodyState {
	if c == '\r' {
		return bodyCR
	}
	return bodyText
}
