package vj

import "encoding/binary"

// Kind is the form in which a packet travels. Each has its PPP protocol number
// (RFC 1332 §4).
type Kind uint16

const (
	IP              Kind = 0x0021 // as it is
	CompressedTCP   Kind = 0x002d
	UncompressedTCP Kind = 0x002f // whole, but with the slot in the place of the IP protocol
)

// DefaultSlots is how many slots RFC 1144 §A has unless IPCP says otherwise, and
// MaxSlots how many IPCP's one octet can name (RFC 1332 §4).
const (
	DefaultSlots = 16
	MaxSlots     = 256
)

// The change mask that a compressed packet begins with, RFC 1144 §3.2.2.
const (
	newC = 0x40 // the slot follows
	newI = 0x20 // IP identification
	push = 0x10 // TCP's PSH flag itself
	newS = 0x08 // sequence number
	newA = 0x04 // acknowledgement number
	newW = 0x02 // window
	newU = 0x01 // urgent pointer, and the URG flag itself

	specials = newS | newA | newW | newU
	// Two combinations that cannot occur otherwise stand for the two common
	// cases, RFC 1144 §3.2.2.
	specialI = newS | newW | newU        // echoed terminal traffic
	specialD = newS | newA | newW | newU // one-way data
)

// Offsets into an IP header, and from the end of it into a TCP header.
const (
	ipLen, ipID, ipFrag, ipTTL, ipProto, ipSum, ipAddrs      = 2, 4, 6, 8, 9, 10, 12
	tcpSeq, tcpAck, tcpOff, tcpFlags, tcpWin, tcpSum, tcpUrg = 4, 8, 12, 13, 14, 16, 18

	flagFIN, flagSYN, flagRST, flagPSH, flagACK, flagURG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

	protoTCP  = 6
	maxHeader = 60 + 60 // IP and TCP, both with all the options there can be
)

var be = binary.BigEndian

// A header is the IP and TCP header last seen in a slot.
type header struct {
	b   [maxHeader]byte
	n   int // octets of both; 0 in a slot never used
	tcp int // where TCP's begins
}

func (h *header) set(pkt []byte, tcp, n int) {
	copy(h.b[:], pkt[:n])
	h.tcp, h.n = tcp, n
}

// dataLen is how much data the packet of this header had.
func (h *header) dataLen() int { return int(be.Uint16(h.b[ipLen:])) - h.n }

// measure finds where the TCP header begins and where it ends in a whole, unfragmented
// IPv4 packet. ok is false if the headers are not all there. It does not look at the protocol field,
// in which the slot may stand.
func measure(pkt []byte) (tcp, end int, ok bool) {
	if len(pkt) < 40 || pkt[0]>>4 != 4 {
		return 0, 0, false
	}
	tcp = int(pkt[0]&0x0f) * 4
	if tcp < 20 || len(pkt) < tcp+20 || int(be.Uint16(pkt[ipLen:])) != len(pkt) {
		return 0, 0, false
	}
	if be.Uint16(pkt[ipFrag:])&0x3fff != 0 { // more fragments, or not the first
		return 0, 0, false
	}
	end = tcp + int(pkt[tcp+tcpOff]>>4)*4
	return tcp, end, end >= tcp+20 && end <= len(pkt)
}

// ipChecksum is the checksum of an IP header (RFC 791 §3.1) whose own is taken as zero.
func ipChecksum(h []byte) uint16 {
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		if i != ipSum {
			sum += uint32(be.Uint16(h[i:]))
		}
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}
