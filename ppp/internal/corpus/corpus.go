// Package corpus is the mail that the compressors of package ppp are tested and
// measured on, cut into the packets in which a caller's POP3 session brings it.
// Only tests import it.
package corpus

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

//go:embed text.eml
var text string

//go:embed html.eml
var html string

// Text returns a plain text message of some 4 KB, with CRLF line ends.
func Text() []byte { return crlf(text) }

// HTML returns an HTML message of some 4 KB as Outlook Express writes them.
func HTML() []byte { return crlf(html) }

// Attachment returns the base64 lines of a 9 KB file that is compressed already, as
// a photograph is: nothing but the base64 itself can be got out of it.
func Attachment() []byte {
	rnd := rand.New(rand.NewPCG(1144, 1977))
	raw := make([]byte, 9<<10)
	for i := range raw {
		raw[i] = byte(rnd.Uint32())
	}
	var b []byte
	encoded := base64.StdEncoding.EncodeToString(raw)
	for len(encoded) > 0 {
		n := min(76, len(encoded))
		b = append(append(b, encoded[:n]...), "\r\n"...)
		encoded = encoded[n:]
	}
	return b
}

// A Mail is one message of the corpus.
type Mail struct {
	Name string
	Body []byte
}

// Mails returns all messages.
func Mails() []Mail {
	return []Mail{{"text", Text()}, {"html", HTML()}, {"base64", Attachment()}}
}

// All returns the bytes of all messages, one after the other.
func All() (all []byte) {
	for _, m := range Mails() {
		all = append(all, m.Body...)
	}
	return all
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// A Packet is one IP packet of a session and its direction.
type Packet struct {
	FromCaller bool
	Data       []byte
}

// Session returns the packets of a POP3 session that fetches each body in segments of mss
// octets: connection, commands, data and an acknowledgement for each two segments, farewell.
// Checksums are right.
func Session(mss int, bodies ...[]byte) []Packet {
	caller := &end{addr: [4]byte{10, 64, 64, 2}, port: 1025, seq: 0x00a5f000, id: 0x0100, win: 8760}
	server := &end{addr: [4]byte{10, 64, 64, 1}, port: 110, seq: 0x7fffff00, id: 0x9c40, win: 32120}
	var out []Packet
	send := func(fromCaller bool, flags byte, data string) {
		from, to := server, caller
		if fromCaller {
			from, to = caller, server
		}
		out = append(out, Packet{fromCaller, from.packet(to, flags, []byte(data))})
	}
	const fin, syn, psh, ack = 0x01, 0x02, 0x08, 0x10
	command := func(line, reply string) {
		send(true, ack|psh, line+"\r\n")
		send(false, ack|psh, reply+"\r\n")
	}
	send(true, syn, "")
	send(false, syn|ack, "")
	send(true, ack, "")
	send(false, ack|psh, "+OK mail.postern.lan ready\r\n")
	command("USER alice", "+OK")
	command("PASS correct-horse", "+OK")
	command("STAT", fmt.Sprintf("+OK %d %d", len(bodies), len(bodies)*4000))
	for i, body := range bodies {
		command(fmt.Sprintf("RETR %d", i+1), fmt.Sprintf("+OK %d octets", len(body)))
		for n := 0; len(body) > 0; n++ {
			part := body[:min(mss, len(body))]
			body = body[len(part):]
			flags := byte(ack)
			if len(body) == 0 {
				flags |= psh
			}
			send(false, flags, string(part))
			if n%2 == 1 || len(body) == 0 {
				send(true, ack, "")
			}
		}
	}
	command("QUIT", "+OK")
	send(true, fin|ack, "")
	send(false, fin|ack, "")
	send(true, ack, "")
	return out
}

// An end is one end of a TCP connection.
type end struct {
	addr    [4]byte
	port    uint16
	seq     uint32
	id, win uint16
}

func (e *end) packet(to *end, flags byte, data []byte) []byte {
	const headers = 40
	p := make([]byte, headers, headers+len(data))
	p = append(p, data...)
	be := binary.BigEndian
	p[0] = 0x45
	be.PutUint16(p[2:], uint16(len(p)))
	be.PutUint16(p[4:], e.id)
	p[6] = 0x40 // don't fragment
	p[8], p[9] = 64, 6
	copy(p[12:], e.addr[:])
	copy(p[16:], to.addr[:])
	be.PutUint16(p[10:], checksum(0, p[:20]))
	t := p[20:]
	be.PutUint16(t, e.port)
	be.PutUint16(t[2:], to.port)
	be.PutUint32(t[4:], e.seq)
	if flags&0x10 != 0 {
		be.PutUint32(t[8:], to.seq)
	}
	t[12], t[13] = 5<<4, flags
	be.PutUint16(t[14:], e.win)
	pseudo := uint32(6) + uint32(len(t))
	for i := 12; i < 20; i += 2 {
		pseudo += uint32(be.Uint16(p[i:]))
	}
	be.PutUint16(t[16:], checksum(pseudo, t))
	e.id++
	e.seq += uint32(len(data))
	if flags&0x03 != 0 {
		e.seq++
	}
	return p
}

// checksum is RFC 1071's, begun with sum.
func checksum(sum uint32, p []byte) uint16 {
	for i := 0; i+1 < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	if len(p)%2 == 1 {
		sum += uint32(p[len(p)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
