package deflate

import (
	"compress/flate"
	"encoding/binary"
	"fmt"
)

// Window is the only size of window, as a base-2 logarithm, that a Sender compresses with, and the one
// that a Receiver has. RFC 1979 §3 has a sender reject the option of a peer that
// asks for less.
const Window = 15

// InRange reports whether packets of a PPP protocol belong to the stream, be it compressed
// or in their native form (RFC 1979 §2).
func InRange(protocol uint16) bool {
	return protocol <= 0x3fff && protocol != 0x00fd && protocol != 0x00fb
}

// A Sender compresses the packets of one direction. Its tables take some 0.8 MB: those of
// compress/flate.
type Sender struct {
	w   *flate.Writer
	out appender
	seq uint16

	field [2]byte // the protocol of the packet in hand; a local would be garbage, as flate keeps hold of it
}

// appender is the io.Writer under the flate.Writer.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// NewSender returns a Sender with an empty history.
func NewSender() (*Sender, error) {
	s := new(Sender)
	w, err := flate.NewWriter(&s.out, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	s.w = w
	return s, nil
}

const (
	seqLen = 2
	// syncLen is the length of the empty block's 00 00 ff ff, which is not sent (RFC 1979 §2.1).
	syncLen = 4
)

// Append compresses the packet of that protocol and information field, and appends the
// information field of the 0x00fd packet that carries it to dst. If that is not shorter than
// the packet, or the protocol not InRange, dst comes back as it was and ok is
// false: the packet is then to be sent as it is, and now, as its place in the stream is taken.
func (s *Sender) Append(dst []byte, protocol uint16, data []byte) (out []byte, ok bool) {
	if !InRange(protocol) {
		return dst, false
	}
	n := len(dst)
	s.out.b = binary.BigEndian.AppendUint16(dst, s.seq)
	s.seq++
	binary.BigEndian.PutUint16(s.field[:], protocol)
	header := s.field[:]
	if protocol < 0x100 {
		header = header[1:] // must be, whatever LCP agreed on (RFC 1979 §2.1)
	}
	// An appender cannot fail, nor can a Writer that was not closed.
	s.w.Write(header)
	s.w.Write(data)
	s.w.Flush()
	out = s.out.b
	s.out.b = nil
	out = out[:len(out)-syncLen]
	if len(out)-n >= len(header)+len(data) {
		return dst, false
	}
	return out, true
}

// Reset begins the stream anew, as a Reset-Request asks. It must be answered by a Reset-Ack, which goes
// out before the next packet (RFC 1979 §2).
func (s *Sender) Reset() {
	s.w.Reset(&s.out)
	s.seq = 0
}
