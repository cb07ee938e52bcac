package vj

import "bytes"

// A Compressor compresses the packets of one direction.
type Compressor struct {
	slots        []header
	order        []uint8 // slots, the one used last in front
	last         int     // the slot named last on the line; -1 before that
	compressSlot bool
}

// NewCompressor returns a Compressor of that many slots, 1 to MaxSlots (others are brought
// into that range). compressSlotID says that the slot may be left out when it is the
// last packet's (IPCP's Comp-Slot-Id, RFC 1332 §4); the peer must have allowed it.
func NewCompressor(slots int, compressSlotID bool) *Compressor {
	slots = min(max(slots, 1), MaxSlots)
	c := &Compressor{
		slots:        make([]header, slots),
		order:        make([]uint8, slots),
		last:         -1,
		compressSlot: compressSlotID,
	}
	for i := range c.order {
		c.order[i] = uint8(slots - 1 - i) // so that slot 0 is the first to be used
	}
	return c
}

// Append appends the IP packet pkt to dst in the shortest form and returns that
// form. What is not compressible, IPv6 and broken packets too, goes as it
// is.
func (c *Compressor) Append(dst, pkt []byte) ([]byte, Kind) {
	tcp, end, ok := measure(pkt)
	if !ok || pkt[ipProto] != protoTCP {
		return append(dst, pkt...), IP
	}
	// Only the steady state of a connection is compressed (RFC 1144 §3.2.3): no
	// compressed packet can set or clear these flags.
	if pkt[tcp+tcpFlags]&(flagSYN|flagFIN|flagRST|flagACK) != flagACK {
		return append(dst, pkt...), IP
	}
	slot, known := c.find(pkt, tcp)
	h := &c.slots[slot]
	if known {
		if out, ok := c.delta(dst, h, slot, pkt, tcp, end); ok {
			h.set(pkt, tcp, end)
			return out, CompressedTCP
		}
	}
	h.set(pkt, tcp, end)
	c.last = int(slot)
	n := len(dst)
	dst = append(dst, pkt...)
	dst[n+ipProto] = slot
	return dst, UncompressedTCP
}

// find returns the slot of pkt's connection, or the one unused for longest, and
// puts it in front of the order.
func (c *Compressor) find(pkt []byte, tcp int) (slot uint8, known bool) {
	at := len(c.order) - 1
	for i, s := range c.order {
		h := &c.slots[s]
		if h.n != 0 && bytes.Equal(h.b[ipAddrs:ipAddrs+8], pkt[ipAddrs:ipAddrs+8]) &&
			bytes.Equal(h.b[h.tcp:h.tcp+4], pkt[tcp:tcp+4]) {
			at, known = i, true
			break
		}
	}
	slot = c.order[at]
	copy(c.order[1:at+1], c.order[:at])
	c.order[0] = slot
	return slot, known
}

// delta appends pkt as its changes against h, if these can be said (RFC 1144 §3.2.2).
func (c *Compressor) delta(dst []byte, h *header, slot uint8, pkt []byte, tcp, end int) ([]byte, bool) {
	if !sameButForCounters(h, pkt, tcp, end) {
		return dst, false
	}
	old, now := h.b[h.tcp:h.n], pkt[tcp:end]
	// Values go in the order U W A S I, at most three octets each.
	var values [5 * 3]byte
	v := values[:0]
	var mask byte

	if now[tcpFlags]&flagURG != 0 {
		v, mask = appendValue(v, be.Uint16(now[tcpUrg:])), mask|newU
	} else if be.Uint16(now[tcpUrg:]) != be.Uint16(old[tcpUrg:]) {
		return dst, false // never said without the flag, so the peer would keep the old one
	}
	if d := be.Uint16(now[tcpWin:]) - be.Uint16(old[tcpWin:]); d != 0 {
		v, mask = appendValue(v, d), mask|newW
	}
	ack := be.Uint32(now[tcpAck:]) - be.Uint32(old[tcpAck:])
	seq := be.Uint32(now[tcpSeq:]) - be.Uint32(old[tcpSeq:])
	if ack > 0xffff || seq > 0xffff { // backwards too: a retransmission
		return dst, false
	}
	if ack != 0 {
		v, mask = appendValue(v, uint16(ack)), mask|newA
	}
	if seq != 0 {
		v, mask = appendValue(v, uint16(seq)), mask|newS
	}
	switch mask {
	case specialI, specialD:
		return dst, false // they would be taken for the special cases
	case 0:
		// Nothing changed: data after a bare acknowledgement. All else
		// that looks so is a retransmission, or a window probe, and the
		// peer may have missed what went before (§3.2.3).
		if h.dataLen() != 0 || len(pkt) == end {
			return dst, false
		}
	case newS | newA:
		if seq == ack && int(seq) == h.dataLen() {
			mask, v = specialI, v[:0]
		}
	case newS:
		if int(seq) == h.dataLen() {
			mask, v = specialD, v[:0]
		}
	}
	if d := be.Uint16(pkt[ipID:]) - be.Uint16(h.b[ipID:]); d != 1 {
		v, mask = appendValue(v, d), mask|newI
	}
	if now[tcpFlags]&flagPSH != 0 {
		mask |= push
	}
	if !c.compressSlot || c.last != int(slot) {
		dst = append(dst, mask|newC, slot)
		c.last = int(slot)
	} else {
		dst = append(dst, mask)
	}
	dst = append(dst, now[tcpSum], now[tcpSum+1])
	dst = append(dst, v...)
	return append(dst, pkt[end:]...), true
}

// sameButForCounters reports whether pkt's headers are h but for what a compressed packet
// can say: lengths, the IP identification, checksums, the numbers and window, PSH and URG.
func sameButForCounters(h *header, pkt []byte, tcp, end int) bool {
	if h.tcp != tcp || h.n != end {
		return false
	}
	const said = flagPSH | flagURG
	return pkt[0] == h.b[0] && pkt[1] == h.b[1] && // version, length, type of service
		bytes.Equal(pkt[ipFrag:ipTTL+1], h.b[ipFrag:ipTTL+1]) &&
		bytes.Equal(pkt[ipAddrs:tcp], h.b[ipAddrs:tcp]) && // with IP options
		pkt[tcp+tcpOff] == h.b[tcp+tcpOff] &&
		pkt[tcp+tcpFlags]&^said == h.b[tcp+tcpFlags]&^said && // ECN's flags too (RFC 3168 came later)
		bytes.Equal(pkt[tcp+20:end], h.b[tcp+20:end]) // TCP options
}

// appendValue appends a value in RFC 1144 §3.2.2's code: one octet, or a zero and two.
func appendValue(v []byte, x uint16) []byte {
	if x == 0 || x > 0xff {
		return append(v, 0, byte(x>>8), byte(x))
	}
	return append(v, byte(x))
}
