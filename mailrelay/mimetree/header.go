package mimetree

import (
	"bufio"
	"bytes"
	"io"
	"iter"
	"strings"
)

// MaxHeader is how much of a header is looked at, in octets. Fields behind it
// are not found, though they are part of the message as ever.
const MaxHeader = 1 << 20

// ReadHeader reads the header of a message, with its blank line, as far as
// MaxHeader.
func ReadHeader(r io.Reader) ([]byte, error) {
	br := bufio.NewReaderSize(io.LimitReader(r, MaxHeader), 4<<10)
	var header []byte
	for atStart := true; ; {
		line, err := br.ReadSlice('\n')
		header = append(header, line...)
		switch {
		case err == bufio.ErrBufferFull:
			atStart = false
		case err == io.EOF:
			return header, nil
		case err != nil:
			return nil, err
		case atStart && blank(line):
			return header, nil
		default:
			atStart = true
		}
	}
}

func blank(line []byte) bool { return len(bytes.TrimRight(line, "\r\n")) == 0 }

// Fields goes through a header: name as it is written, and the octets of the
// whole field with name, folding and line ends. Lines that are no field have no
// name.
func Fields(header []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(header) > 0 && !blank(firstLine(header)) {
			n := len(firstLine(header))
			for n < len(header) && (header[n] == ' ' || header[n] == '\t') {
				n += len(firstLine(header[n:]))
			}
			name, _, found := bytes.Cut(header[:n], []byte(":"))
			if !found || bytes.ContainsAny(name, "\n") {
				name = nil
			}
			if !yield(string(bytes.TrimRight(name, " \t")), header[:n]) {
				return
			}
			header = header[n:]
		}
	}
}

func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1]
	}
	return b
}

// Unfold returns the body of a field that Fields gave, without the line ends of
// RFC 5322 section 2.2.3.
func Unfold(field []byte) string {
	_, body, _ := bytes.Cut(field, []byte(":"))
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(string(body)))
}

// ParseHeader picks the fields that this package knows out of a header.
func ParseHeader(header []byte) Header {
	budget := maxValues
	return parseHeader(header, &budget)
}

func parseHeader(header []byte, budget *int) Header {
	h := make(Header)
	for name, field := range Fields(header) {
		name = strings.ToLower(name)
		if _, twice := h[name]; twice || !known(name) {
			continue
		}
		value := Unfold(field)
		if *budget -= len(value); *budget < 0 {
			break
		}
		h[name] = value
	}
	return h
}
