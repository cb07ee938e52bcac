package deflate

import (
	"encoding/binary"
	"errors"
)

// Errors of a Receiver. The packet is lost in each case.
var (
	// ErrNeedReset asks for a CCP Reset-Request: the line has lost a packet, or what
	// came cannot be read.
	ErrNeedReset = errors.New("deflate: out of step with the peer; a Reset-Request is due")
	// ErrDropped says that the Reset-Ack is still awaited.
	ErrDropped = errors.New("deflate: packet dropped while the peer's Reset-Ack is awaited")
)

// resetEvery is after how many dropped packets the Reset-Request is asked for again, as it
// or its answer may be lost too (RFC 1979 §2: "the receiver MUST transmit
// enough").
const resetEvery = 8

// A Receiver decompresses the packets of one direction.
type Receiver struct {
	max     int
	seq     uint16
	deaf    bool
	dropped int
	inflate inflater
}

// NewReceiver returns a Receiver that gives packets of at most max octets, protocol field
// included.
func NewReceiver(max int) *Receiver { return &Receiver{max: min(max, windowSize)} }

// Open decompresses packet, the information field of a 0x00fd packet, and appends the
// packet in it, from its protocol field on, to dst. The protocol field is of one
// octet where it can be. On an error dst comes back as it was. packet must not overlap
// dst's free room.
func (r *Receiver) Open(dst, packet []byte) ([]byte, error) {
	if r.deaf {
		r.dropped++
		if r.dropped%resetEvery == 0 {
			return dst, ErrNeedReset
		}
		return dst, ErrDropped
	}
	if len(packet) < seqLen || binary.BigEndian.Uint16(packet) != r.seq {
		return dst, r.lose()
	}
	r.seq++
	n, ok := r.inflate.packet(packet[seqLen:], r.max)
	if !ok || n == 0 {
		return dst, r.lose()
	}
	return r.inflate.appendLast(dst, n), nil
}

func (r *Receiver) lose() error {
	r.deaf, r.dropped = true, 0
	return ErrNeedReset
}

// Native takes note of a packet that came in its native form. It must be told of every one after CCP opened;
// those not InRange it ignores.
func (r *Receiver) Native(protocol uint16, data []byte) {
	if !InRange(protocol) || r.deaf {
		return
	}
	r.seq++
	if protocol >= 0x100 {
		r.inflate.put(byte(protocol >> 8))
	}
	r.inflate.put(byte(protocol))
	for _, b := range data {
		r.inflate.put(b)
	}
}

// Reset follows a Reset-Ack of the peer.
func (r *Receiver) Reset() {
	// The history may stay (RFC 1979 §2): the peer will not refer to it.
	r.seq, r.deaf = 0, false
}
