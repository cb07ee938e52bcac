package capture

import (
	"encoding/binary"
	"iter"
)

// Protocol numbers (IANA "PPP DLL Protocol Numbers").
const (
	protoIP      uint16 = 0x0021
	protoVJ      uint16 = 0x002d // RFC 1144, compressed TCP
	protoVJWhole uint16 = 0x002f // RFC 1144, uncompressed TCP
	protoIPv6    uint16 = 0x0057
	protoLink    uint16 = 0x00fb // RFC 1962, compressed on one link of a bundle
	protoBundle  uint16 = 0x00fd // RFC 1962, compressed: MPPE, MPPC, Deflate, BSD
	protoIPCP    uint16 = 0x8021
	protoIPV6CP  uint16 = 0x8057
	protoCCP     uint16 = 0x80fd
	protoLCP     uint16 = 0xc021
	protoPAP     uint16 = 0xc023
	protoLQR     uint16 = 0xc025 // RFC 1989
	protoCBCP    uint16 = 0xc029
	protoCHAP    uint16 = 0xc223
	protoEAP     uint16 = 0xc227
)

// Codes of the control protocols: RFC 1661 section 5, RFC 1570 section 1, RFC 1962
// section 3. Authentication has its own: RFC 1334, RFC 1994, RFC 3748.
const (
	configureRequest = 1
	configureAck     = 2
	configureNak     = 3
	configureReject  = 4
	terminateRequest = 5
	terminateAck     = 6
	codeReject       = 7
	protocolReject   = 8
	echoRequest      = 9
	echoReply        = 10
	discardRequest   = 11
	identification   = 12
	timeRemaining    = 13
	resetRequest     = 14
	resetAck         = 15

	papRequest                                               = 1
	papAck                                                   = 2
	papNak                                                   = 3
	chapChallenge, chapResponse, chapSuccess, chapFailure    = 1, 2, 3, 4
	eapRequest, eapResponse, eapSuccess, eapFailure          = 1, 2, 3, 4
	eapIdentity, eapNotification, eapTypeNak                 = 1, 2, 3
	lcpMRU, lcpACCM, lcpAuth, lcpQuality, lcpMagic           = 1, 2, 3, 4, 5
	lcpPFC, lcpACFC, lcpCallback, lcpMRRU, lcpSSN, lcpEndpnt = 7, 8, 13, 17, 18, 19
)

const packetHeader = 4 // code, identifier, length

// protocol gives a frame's protocol and where its information field begins. 0 is a
// frame that has none. Address, control and the protocol's first octet may have
// been compressed away (RFC 1661 sections 6.5 and 6.6).
func protocol(frame []byte) (proto uint16, info int) {
	if len(frame) >= 2 && frame[0] == 0xff && frame[1] == 0x03 {
		info = 2
	}
	f := frame[info:]
	switch {
	case len(f) >= 1 && f[0]&1 == 1:
		return uint16(f[0]), info + 1
	case len(f) >= 2 && f[1]&1 == 1:
		return binary.BigEndian.Uint16(f), info + 2
	}
	return 0, info
}

// packet is a control packet. Its data may be shorter than its length says, when the
// rest was blanked.
type packet struct {
	code, id byte
	length   int // with the header
	data     []byte
}

func parsePacket(b []byte) (packet, bool) {
	if len(b) < packetHeader {
		return packet{}, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < packetHeader {
		return packet{}, false
	}
	return packet{b[0], b[1], n, b[packetHeader:min(n, len(b))]}, true
}

// options gives type and value of each Configuration Option, up to the first that does
// not fit.
func options(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for len(b) >= 2 {
			n := int(b[1])
			if n < 2 || n > len(b) || !yield(b[0], b[2:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// name is the one under which the sender of an authentication packet goes; empty for
// other packets.
func name(proto uint16, p packet) []byte {
	d := p.data
	switch {
	case proto == protoPAP && p.code == papRequest, proto == protoCHAP && (p.code == chapResponse || p.code == chapChallenge):
		if len(d) == 0 || int(d[0]) >= len(d) {
			return nil
		}
		if proto == protoPAP {
			return d[1 : 1+int(d[0])]
		}
		return d[1+int(d[0]):]
	case proto == protoEAP && p.code == eapResponse:
		if len(d) > 1 && d[0] == eapIdentity {
			return d[1:]
		}
	}
	return nil
}
