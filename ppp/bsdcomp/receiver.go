package bsdcomp

import (
	"encoding/binary"
	"errors"
)

// Errors of a Receiver. The packet is lost in each case.
var (
	// ErrNeedReset asks for a CCP Reset-Request: the line has lost a packet, or what
	// came cannot be read.
	ErrNeedReset = errors.New("bsdcomp: out of step with the peer; a Reset-Request is due")
	// ErrDropped says that the Reset-Ack is still awaited.
	ErrDropped = errors.New("bsdcomp: packet dropped while the peer's Reset-Ack is awaited")
)

// resetEvery is after how many dropped packets the Reset-Request is asked for again, as it
// or its answer may be lost too.
const resetEvery = 8

// A Receiver decompresses the packets of one direction.
type Receiver struct {
	dict    *dictionary
	max     int
	seq     uint16
	deaf    bool
	dropped int
}

// NewReceiver returns a Receiver of codes up to that many bits that gives packets of
// at most max octets, protocol field included.
func NewReceiver(bits, max int) (*Receiver, error) {
	d, err := newDictionary(bits)
	if err != nil {
		return nil, err
	}
	return &Receiver{dict: d, max: max}, nil
}

// Open decompresses packet, the information field of a 0x00fd packet, and appends the
// packet in it, from its protocol field of one octet on, to dst. On an error dst
// comes back as it was. packet must not overlap dst's free room.
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
	out, ok := r.dict.decode(dst, packet[seqLen:], r.max)
	if !ok {
		return dst, r.lose()
	}
	return out, nil
}

func (r *Receiver) lose() error {
	r.deaf, r.dropped = true, 0
	return ErrNeedReset
}

// Native learns a packet that came in its native form. It must be told of every one after CCP
// opened; those not InRange it ignores.
func (r *Receiver) Native(protocol uint16, data []byte) {
	if !InRange(protocol) || r.deaf {
		return
	}
	r.seq++
	var nowhere bitWriter
	r.dict.encode(&nowhere, byte(protocol), data) // clears when the sender did, which had no way to say so
}

// Reset follows a Reset-Ack of the peer.
func (r *Receiver) Reset() {
	r.dict.clear()
	r.seq, r.deaf = 0, false
}

// decode learns a packet from its codes and appends it to dst. It is false for what is no BSD
// Compress packet, or gives more than limit octets.
func (d *dictionary) decode(dst, codes []byte, limit int) ([]byte, bool) {
	n := len(dst)
	d.out += uint32(len(codes))
	previous := codeClear // there is none yet
	var acc uint32
	var have uint
	for i, b := range codes {
		acc, have = acc<<8|uint32(b), have+8
		if have < d.bits {
			continue
		}
		have -= d.bits
		code := int(acc >> have & (1<<d.bits - 1))
		if code == codeClear {
			// It can only be the last code of a packet, behind another.
			if i != len(codes)-1 || previous == codeClear {
				return dst, false
			}
			d.clear()
			return dst, true
		}
		var ok bool
		if dst, ok = d.expand(dst, code, previous, n+limit); !ok {
			return dst, false
		}
		previous = code
	}
	if previous == codeClear {
		return dst, false
	}
	d.in += uint32(len(dst) - n)
	// If the peer had reckoned as we do it would have sent a CLEAR.
	return dst, !d.check()
}

// expand appends the octets of code to dst, up to limit octets in all, and learns what the sender
// learnt when it sent the code before.
func (d *dictionary) expand(dst []byte, code, previous, limit int) ([]byte, bool) {
	known := code
	if code > d.last {
		// The sender used the code as soon as it had learnt it: previous and
		// its own first octet.
		if code != d.last+1 || previous == codeClear || d.last >= d.maxCode {
			return dst, false
		}
		known = previous
	}
	at, length := len(dst), int(d.length[known])
	if at+length > limit {
		return dst, false
	}
	for range length {
		dst = append(dst, 0)
	}
	c := known
	for i := at + length - 1; i > at; i-- {
		dst[i] = d.suffix[c]
		c = int(d.prefix[c])
	}
	first := byte(c)
	dst[at] = first
	if known != code {
		if at+length+1 > limit {
			return dst, false
		}
		dst = append(dst, first)
	}
	if previous != codeClear && d.last < d.maxCode {
		have, slot := d.find(previous, first)
		if have != 0 {
			// A sender that misses what it has is wasteful, not wrong.
			slot = -1
		}
		d.add(slot, previous, first)
		d.widen()
	}
	return dst, true
}
