package ntlm

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// ErrMessage says that a message is none of NTLM's, or not the one that is due.
var ErrMessage = errors.New("ntlm: malformed message")

const signature = "NTLMSSP\x00"

// The types of messages ([MS-NLMP] section 2.2.1).
const (
	typeNegotiate    = 1
	typeChallenge    = 2
	typeAuthenticate = 3
)

// Flags of [MS-NLMP] section 2.2.2.5 that matter here.
const (
	flagUnicode          = 1 << 0  // strings are UTF-16, little-endian
	flagOEM              = 1 << 1  // strings are in the client's code page
	flagRequestTarget    = 1 << 2  // the client asks for the target's name
	flagNTLM             = 1 << 9  // NTLM, not LM only
	flagAlwaysSign       = 1 << 15 // echoed; nothing is signed
	flagTargetServer     = 1 << 17 // the target's name is a server's
	flagExtendedSecurity = 1 << 19 // both sides' challenges are hashed together
	flagTargetInfo       = 1 << 23
	flag128              = 1 << 29
	flag56               = 1 << 31
)

// AV pairs of the target information ([MS-NLMP] section 2.2.2.1).
const (
	avEnd          = 0
	avComputerName = 1
	avDomainName   = 2
)

// messageType checks the signature and returns the type.
func messageType(m []byte) (uint32, bool) {
	if len(m) < 12 || string(m[:8]) != signature {
		return 0, false
	}
	return binary.LittleEndian.Uint32(m[8:]), true
}

// field returns the octets that the length and offset at position at of the
// header point to. A length of nought may point anywhere.
func field(m []byte, at int) ([]byte, bool) {
	if len(m) < at+8 {
		return nil, false
	}
	length := int64(binary.LittleEndian.Uint16(m[at:]))
	offset := int64(binary.LittleEndian.Uint32(m[at+4:]))
	if length == 0 {
		return nil, true
	}
	if offset+length > int64(len(m)) {
		return nil, false
	}
	return m[offset : offset+length], true
}

// appendField appends a length, the same again as its maximum, and an offset.
func appendField(m []byte, length, offset int) []byte {
	m = binary.LittleEndian.AppendUint16(m, uint16(length))
	m = binary.LittleEndian.AppendUint16(m, uint16(length))
	return binary.LittleEndian.AppendUint32(m, uint32(offset))
}

func appendAV(m []byte, id uint16, value []byte) []byte {
	m = binary.LittleEndian.AppendUint16(m, id)
	m = binary.LittleEndian.AppendUint16(m, uint16(len(value)))
	return append(m, value...)
}

func toUTF16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// fromUTF16 leaves out an odd octet at the end.
func fromUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
