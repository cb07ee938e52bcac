package ppp

import (
	"encoding/binary"
	"errors"
)

// The protocol numbers that the engine knows (IANA "PPP DLL Protocol Numbers").
const (
	protoIP         uint16 = 0x0021
	protoVJ         uint16 = 0x002d // RFC 1144, compressed TCP
	protoVJWhole    uint16 = 0x002f // RFC 1144, uncompressed TCP
	protoIPv6       uint16 = 0x0057
	protoCompressed uint16 = 0x00fd // CCP's, RFC 1962 section 2: MPPE and MPPC packets
	protoIPCP       uint16 = 0x8021
	protoIPv6CP     uint16 = 0x8057
	protoCCP        uint16 = 0x80fd
	protoLCP        uint16 = 0xc021
	protoPAP        uint16 = 0xc023
	protoLQR        uint16 = 0xc025 // RFC 1989
	protoCBCP       uint16 = 0xc029 // [MS-CBCP]
	protoCHAP       uint16 = 0xc223
)

// The codes of RFC 1661 section 5 and of RFC 1570 section 1.
const (
	codeConfigureRequest byte = 1
	codeConfigureAck     byte = 2
	codeConfigureNak     byte = 3
	codeConfigureReject  byte = 4
	codeTerminateRequest byte = 5
	codeTerminateAck     byte = 6
	codeCodeReject       byte = 7
	codeProtocolReject   byte = 8  // LCP only
	codeEchoRequest      byte = 9  // LCP only
	codeEchoReply        byte = 10 // LCP only
	codeDiscardRequest   byte = 11 // LCP only
	codeIdentification   byte = 12 // LCP only, RFC 1570
	codeTimeRemaining    byte = 13 // LCP only, RFC 1570
	codeResetRequest     byte = 14 // CCP only, RFC 1962
	codeResetAck         byte = 15 // CCP only, RFC 1962
)

// packet is the form that all control protocols share: code, identifier, length, data.
type packet struct {
	code, id byte
	data     []byte
}

const packetHeader = 4

var errPacket = errors.New("a control packet's length does not fit its frame")

// parsePacket takes a control packet apart. Octets behind its length are padding
// (RFC 1661 section 5). The data are a part of b.
func parsePacket(b []byte) (packet, error) {
	if len(b) < packetHeader {
		return packet{}, errPacket
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < packetHeader || n > len(b) {
		return packet{}, errPacket
	}
	return packet{b[0], b[1], b[packetHeader:n:n]}, nil
}

// append is the reverse of parsePacket.
func (p packet) append(dst []byte) []byte {
	n := packetHeader + len(p.data)
	dst = append(dst, p.code, p.id, byte(n>>8), byte(n))
	return append(dst, p.data...)
}
