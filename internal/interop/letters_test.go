//go:build interop

package interop

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// letters are messages that something on the way might damage: each line is
// here because some program has been seen to trip over its like.
func letters(from, to string) []string {
	head := func(subject string, more ...string) string {
		return strings.Join(append([]string{
			"From: <" + from + ">", "To: <" + to + ">", "Subject: " + subject,
			"Date: Mon, 1 Mar 1999 12:00:00 +0000", "Message-ID: <" + rand.Text() + "@example.org>",
		}, more...), "\r\n") + "\r\n\r\n"
	}
	var eightBit strings.Builder
	for b := 0x80; b < 0x100; b++ {
		eightBit.WriteByte(byte(b))
	}
	noise := make([]byte, 12000)
	rand.Read(noise)
	text := base64.StdEncoding.EncodeToString(noise)
	var lines strings.Builder
	for len(text) > 0 {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return []string{
		// Dot-stuffing (RFC 5321 section 4.5.2, RFC 1939 section 3), also at the end.
		head("dots") + ".\r\n..\r\n...\r\n.hidden\r\n \r\n. \r\n\r\n\r\nlast\r\n.\r\n",
		// A modem's words, for whatever scans the line for them.
		head("the modem's words") + "NO CARRIER\r\nRING\r\nCONNECT 33600\r\n+++\r\nATH0\r\nOK\r\n\r\nNO CARRIER\r\n",
		head("bytes", "MIME-Version: 1.0", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit") +
			eightBit.String() + "\r\nno NUL, but \x7e\x7d\x7e\x20 and\ttabs \t\r\nFrom the start of a line\r\n",
		head("size") + lines.String(),
		head("long lines") + strings.Repeat("x", 998) + "\r\n" + strings.Repeat(".y", 2500) + "\r\n" + "end\r\n",
	}
}

// letterMarks are parts of the letters, and of what else the tests send as mail.
var letterMarks = []string{
	"Mon, 1 Mar 1999", "Subject: ", ".hidden", "CONNECT 33600", "From the start of a line",
	strings.Repeat("x", 32), strings.Repeat(".y", 16), "half a message",
}
