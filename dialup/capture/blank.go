package capture

import (
	"bytes"
	"encoding/binary"
)

// blank takes the secrets out of a frame, in place, and returns the part of it that may be
// kept. What it does not understand it takes for secret.
//
// It judges by what stands in the clear. A frame whose protocol field lies is beyond it, but
// such a frame says nothing to the peer either.
func blank(frame []byte) []byte {
	proto, n := protocol(frame)
	return frame[:n+keep(proto, frame[n:])]
}

// keep returns how many octets of the information field may be kept, after it has filled
// what is secret among them.
func keep(proto uint16, info []byte) int {
	switch {
	case proto == protoIP:
		return keepIPv4(info, false)
	case proto == protoVJWhole:
		return keepIPv4(info, true)
	case proto == protoVJ:
		return keepVJ(info)
	case proto == protoIPv6:
		return keepIPv6(info)
	case proto == protoBundle, proto == protoLink:
		// MPPE's and MPPC's flags and coherency count, Deflate's and BSD's sequence
		// number: two octets in all of them.
		return min(2, len(info))
	case proto == protoLQR:
		return min(48, len(info)) // RFC 1989 section 2.4: counters
	case proto < 0x8000:
		return 0
	}
	p, ok := parsePacket(info)
	if !ok || p.length > len(info) {
		return min(packetHeader, len(info)) // a length that lies: who knows what follows
	}
	return packetHeader + keepControl(proto, p)
}

// keepControl does the same for the data of a control packet.
func keepControl(proto uint16, p packet) int {
	n := len(p.data)
	switch {
	case proto == protoPAP:
		return keepPAP(p)
	case proto == protoCHAP:
		return keepCHAP(p)
	case proto == protoEAP:
		// Any other type's data can be the answer to a challenge.
		if p.code >= eapSuccess || n > 0 && p.data[0] <= eapTypeNak {
			return n
		}
		return min(1, n)
	case proto == protoCBCP:
		return n
	case proto >= 0xc000 && proto != protoLCP:
		return 0 // SPAP and other ways to say a password
	}
	switch p.code {
	case configureRequest, configureAck, configureNak, configureReject, terminateRequest, terminateAck:
		return n
	case codeReject:
		return min(packetHeader, n) // the rejected packet's
	}
	if proto != protoLCP {
		return 0
	}
	switch p.code {
	case protocolReject:
		return min(2, n) // the protocol; the packet behind it may be the mail
	case echoRequest, echoReply, discardRequest:
		return min(4, n) // the magic number
	case identification, timeRemaining:
		return n
	}
	return 0
}

func keepPAP(p packet) int {
	d := p.data
	switch p.code {
	case papAck, papNak:
		return len(d)
	case papRequest:
		// RFC 1334 section 2.2.1: length, name, length, password.
		if len(d) == 0 || 1+int(d[0]) >= len(d) {
			return 0
		}
		password := d[1+int(d[0]):]
		if 1+int(password[0]) > len(password) {
			return 0
		}
		clear(password[1:])
		return len(d)
	}
	return 0
}

func keepCHAP(p packet) int {
	d := p.data
	switch p.code {
	case chapChallenge, chapFailure:
		return len(d)
	case chapResponse:
		// A dictionary finds the password from the response and the challenge.
		if len(d) == 0 || 1+int(d[0]) > len(d) {
			return 0
		}
		clear(d[1 : 1+int(d[0])])
		return len(d)
	case chapSuccess:
		// RFC 2759 section 5: S= and 40 hexadecimal digits, made from the password.
		if proof, found := bytes.CutPrefix(d, []byte("S=")); found {
			proof = proof[:min(40, len(proof))]
			copy(proof, bytes.Repeat([]byte("0"), len(proof)))
		}
		return len(d)
	}
	return 0 // among others: Change-Password, RFC 2433 section 9 and RFC 2759 section 7
}

const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58

	portDNS = 53
)

// keepIPv4 keeps the headers, and DNS. In VJ's form the slot stands in the place of the
// protocol, which is always TCP.
func keepIPv4(pkt []byte, vj bool) int {
	if len(pkt) < 20 || pkt[0]>>4 != 4 {
		return 0
	}
	header := int(pkt[0]&0x0f) * 4
	total := min(int(binary.BigEndian.Uint16(pkt[2:])), len(pkt))
	if header < 20 || header > total {
		return 0
	}
	if binary.BigEndian.Uint16(pkt[6:])&0x1fff != 0 {
		return header // not the first fragment: all data
	}
	next := pkt[9]
	if vj {
		next = protocolTCP
	}
	return header + keepTransport(next, pkt[header:total])
}

func keepIPv6(pkt []byte) int {
	const header = 40
	if len(pkt) < header || pkt[0]>>4 != 6 {
		return 0
	}
	total := min(header+int(binary.BigEndian.Uint16(pkt[4:])), len(pkt))
	return header + keepTransport(pkt[6], pkt[header:total])
}

func keepTransport(next byte, b []byte) int {
	switch next {
	case protocolTCP:
		if len(b) < 20 {
			return 0
		}
		if header := int(b[12]>>4) * 4; header >= 20 && header <= len(b) {
			return header
		}
	case protocolUDP:
		if len(b) < 8 {
			return 0
		}
		if binary.BigEndian.Uint16(b) == portDNS || binary.BigEndian.Uint16(b[2:]) == portDNS {
			return max(8, min(int(binary.BigEndian.Uint16(b[4:])), len(b)))
		}
		return 8
	case protocolICMP:
		return keepICMP(b)
	case protocolICMPv6:
		return min(8, len(b))
	}
	return 0
}

// keepICMP keeps what RFC 792 has an error message quote: the IP header and 8 octets.
// Later stacks quote more, which is data.
func keepICMP(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	switch b[0] {
	case 3, 4, 5, 11, 12:
		quoted := b[8:]
		if len(quoted) < 20 || quoted[0]>>4 != 4 {
			return 8
		}
		header := max(20, int(quoted[0]&0x0f)*4)
		if header > len(quoted) {
			return 8
		}
		if binary.BigEndian.Uint16(quoted[6:])&0x1fff != 0 {
			return 8 + header
		}
		return 8 + min(header+8, len(quoted))
	}
	return 8
}

// keepVJ keeps the header of a compressed packet, RFC 1144 section 3.2.2.
func keepVJ(b []byte) int {
	if len(b) < 1 {
		return 0
	}
	mask, n := b[0], 1
	if mask&vjSlot != 0 {
		n++
	}
	n += 2 // TCP's checksum
	for range vjValues(mask) {
		if n >= len(b) {
			break
		}
		if b[n] == 0 {
			n += 3
		} else {
			n++
		}
	}
	if n > len(b) {
		return 1
	}
	return n
}

const vjSlot = 0x40

// vjValues is how many values the mask says follow.
func vjValues(mask byte) (n int) {
	const i, s, a, w, u = 0x20, 0x08, 0x04, 0x02, 0x01
	switch mask & (s | a | w | u) {
	case s | w | u, s | a | w | u: // the two special cases, with no values of their own
	default:
		for _, bit := range []byte{s, a, w, u} {
			if mask&bit != 0 {
				n++
			}
		}
	}
	if mask&i != 0 {
		n++
	}
	return n
}
