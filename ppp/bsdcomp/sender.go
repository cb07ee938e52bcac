package bsdcomp

import "encoding/binary"

// InRange reports whether packets of a PPP protocol are learnt, be they compressed or in
// their native form. RFC 1977 §2 tells of a wider range, but its code, which is everybody's, has this.
func InRange(protocol uint16) bool { return protocol >= 0x21 && protocol <= 0xf9 }

const seqLen = 2

// A Sender compresses the packets of one direction.
type Sender struct {
	dict *dictionary
	seq  uint16
}

// NewSender returns a Sender of codes up to that many bits, MinBits to MaxBits, with
// an empty dictionary.
func NewSender(bits int) (*Sender, error) {
	d, err := newDictionary(bits)
	if err != nil {
		return nil, err
	}
	return &Sender{dict: d}, nil
}

// Append compresses the packet of that protocol and information field, and appends the
// information field of the 0x00fd packet that carries it to dst. If that is not shorter than
// the packet, or the protocol not InRange, dst comes back as it was and ok is
// false: the packet is then to be sent as it is, and now, as both ends learn in the
// order of sending. dst must not overlap data.
func (s *Sender) Append(dst []byte, protocol uint16, data []byte) (out []byte, ok bool) {
	if !InRange(protocol) {
		return dst, false
	}
	n := len(dst)
	w := bitWriter{dst: binary.BigEndian.AppendUint16(dst, s.seq), limit: n + len(data) + 1}
	s.seq++
	s.dict.encode(&w, byte(protocol), data)
	if seqLen+w.octets() > len(data) {
		return dst, false
	}
	return w.dst, true
}

// Reset clears the dictionary, as a Reset-Request asks. It must be answered by a Reset-Ack, which
// goes out before the next packet (RFC 1977 §2).
func (s *Sender) Reset() {
	s.dict.clear()
	s.seq = 0
}
