package vj

import "errors"

// Errors of a Decompressor. The packet is lost; TCP sends it again.
var (
	ErrMalformed = errors.New("vj: the peer sent a packet that is no RFC 1144 packet")
	ErrSlot      = errors.New("vj: the peer named a connection slot beyond those agreed, or one never set")
	ErrTossed    = errors.New("vj: packet tossed: it leans on one that the line lost")
)

// A Decompressor restores the packets of one direction.
type Decompressor struct {
	slots []header
	last  int // the slot meant when none is named; -1 when that cannot be known
}

// NewDecompressor returns a Decompressor of that many slots, 1 to MaxSlots (others are
// brought into that range). It takes packets with and without slot, whatever was agreed.
func NewDecompressor(slots int) *Decompressor {
	return &Decompressor{slots: make([]header, min(max(slots, 1), MaxSlots)), last: -1}
}

// Lost must be called whenever the line has lost or spoiled a frame. Packets that
// name no slot are then tossed until one does: the lost frame may have changed the
// slot that is meant (RFC 1144 §4.1).
func (d *Decompressor) Lost() { d.last = -1 }

// Append restores the IP packet in pkt, which came as kind, and appends it to dst. On
// an error dst comes back as it was. The result is at most len(pkt)+120 octets
// and never more than an IP packet can be.
func (d *Decompressor) Append(dst []byte, kind Kind, pkt []byte) ([]byte, error) {
	switch kind {
	case IP:
		return append(dst, pkt...), nil
	case UncompressedTCP:
		return d.whole(dst, pkt)
	case CompressedTCP:
		n := len(dst)
		dst, err := d.delta(dst, pkt)
		if err != nil {
			d.Lost() // what came wrong may have been meant for any slot
			return dst[:n], err
		}
		return dst, nil
	}
	return dst, ErrMalformed
}

func (d *Decompressor) whole(dst, pkt []byte) ([]byte, error) {
	tcp, end, ok := measure(pkt)
	if !ok {
		d.Lost()
		return dst, ErrMalformed
	}
	slot := int(pkt[ipProto])
	if slot >= len(d.slots) {
		d.Lost()
		return dst, ErrSlot
	}
	n := len(dst)
	dst = append(dst, pkt...)
	dst[n+ipProto] = protoTCP
	d.slots[slot].set(dst[n:], tcp, end)
	d.last = slot
	return dst, nil
}

func (d *Decompressor) delta(dst, pkt []byte) ([]byte, error) {
	if len(pkt) < 3 {
		return dst, ErrMalformed
	}
	mask := pkt[0]
	pkt = pkt[1:]
	if mask&newC != 0 {
		d.last = int(pkt[0])
		pkt = pkt[1:]
	} else if d.last < 0 {
		return dst, ErrTossed
	}
	if d.last >= len(d.slots) || d.slots[d.last].n == 0 {
		return dst, ErrSlot
	}
	h := d.slots[d.last] // a copy, so that a packet found malformed half-way changes nothing
	v := values{b: pkt}
	h.apply(mask, &v)
	if v.short {
		return dst, ErrMalformed
	}
	length := h.n + len(v.b)
	if length > 0xffff {
		return dst, ErrMalformed
	}
	be.PutUint16(h.b[ipLen:], uint16(length))
	be.PutUint16(h.b[ipSum:], ipChecksum(h.b[:h.tcp]))
	d.slots[d.last] = h
	dst = append(dst, h.b[:h.n]...)
	return append(dst, v.b...), nil
}

// apply makes h the next header as mask and the values in v say (RFC 1144 §3.2.4).
func (h *header) apply(mask byte, v *values) {
	tcp := h.b[h.tcp:h.n]
	be.PutUint16(tcp[tcpSum:], v.pair())
	tcp[tcpFlags] &^= flagPSH | flagURG
	if mask&push != 0 {
		tcp[tcpFlags] |= flagPSH
	}
	data := uint32(h.dataLen())
	switch mask & specials {
	case specialI:
		add32(tcp[tcpAck:], data)
		add32(tcp[tcpSeq:], data)
	case specialD:
		add32(tcp[tcpSeq:], data)
	default:
		if mask&newU != 0 {
			tcp[tcpFlags] |= flagURG
			be.PutUint16(tcp[tcpUrg:], v.next())
		}
		if mask&newW != 0 {
			add16(tcp[tcpWin:], v.next())
		}
		if mask&newA != 0 {
			add32(tcp[tcpAck:], uint32(v.next()))
		}
		if mask&newS != 0 {
			add32(tcp[tcpSeq:], uint32(v.next()))
		}
	}
	if mask&newI != 0 {
		add16(h.b[ipID:], v.next())
	} else {
		add16(h.b[ipID:], 1)
	}
}

func add16(p []byte, d uint16) { be.PutUint16(p, be.Uint16(p)+d) }
func add32(p []byte, d uint32) { be.PutUint32(p, be.Uint32(p)+d) }

// values reads the code of appendValue. When the octets run out it is short and
// gives zeros.
type values struct {
	b     []byte
	short bool
}

func (v *values) next() uint16 {
	if len(v.b) > 0 && v.b[0] != 0 {
		x := uint16(v.b[0])
		v.b = v.b[1:]
		return x
	}
	if len(v.b) < 3 {
		v.b, v.short = nil, true
		return 0
	}
	v.b = v.b[1:]
	return v.pair()
}

func (v *values) pair() uint16 {
	if len(v.b) < 2 {
		v.b, v.short = nil, true
		return 0
	}
	x := be.Uint16(v.b)
	v.b = v.b[2:]
	return x
}
