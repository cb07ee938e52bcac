package mailrelay

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
)

const (
	// maxPOP3Line is RFC 2449 section 4's limit of a command in octets, CRLF
	// included, doubled for clients with long passwords.
	maxPOP3Line = 512
	// maxSASLLine is the limit of a line inside a SASL exchange, as RFC 4954
	// section 4 has it; RFC 5034 names none.
	maxSASLLine = 12288
	// maxPOP3Junk is how much of a line without end is read away before the
	// connection is closed, in octets.
	maxPOP3Junk = 64 << 10
)

var (
	errPOP3LineTooLong = errors.New("line too long")
	errPOP3LineEndless = errors.New("line without end")
)

// readLine reads a line of at most limit octets and returns it without its end,
// which may be a bare LF. The result is valid until the next read. After
// errPOP3LineTooLong the line has been read to its end and r is at the next one.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var long []byte
	total := 0
	for {
		part, err := r.ReadSlice('\n')
		total += len(part)
		switch {
		case err == nil && total > limit:
			return nil, errPOP3LineTooLong
		case err == nil:
			if long != nil {
				part = append(long, part...)
			}
			return bytes.TrimSuffix(part[:len(part)-1], []byte{'\r'}), nil
		case err != bufio.ErrBufferFull:
			return nil, err
		case total > maxPOP3Junk:
			return nil, errPOP3LineEndless
		case total <= limit:
			long = append(long, part...)
		}
	}
}

// parsePOP3 splits a command line (RFC 1939 section 3). The verb comes back in
// upper case. arg is all behind the first space, as PASS needs it: passwords
// may hold spaces.
func parsePOP3(line []byte) (verb, arg string) {
	verb, arg, _ = strings.Cut(string(line), " ")
	return strings.ToUpper(verb), arg
}

// pop3Number is an argument of decimal digits, at most nine of them.
func pop3Number(s string) (int, bool) {
	if len(s) == 0 || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
