package hdlc

const (
	flag   = 0x7e // RFC 1662 §4.1, Flag Sequence
	escape = 0x7d // RFC 1662 §4.2, Control Escape
	toggle = 0x20 // RFC 1662 §4.2: an escaped octet is sent with bit 6 complemented

	fcsLen = 2
)

// AppendFrame appends to dst one frame that carries header followed by
// payload, between two flags, with its FCS-16 (RFC 1662 §3.1 and §4).
// Control characters whose bit is set in accm are escaped; flag and escape
// octets always are. The leading flag ends whatever noise the line held since the
// last frame (§4.4.1).
//
// The frame takes at most 2*(len(header)+len(payload)+2)+2 octets; AppendFrame
// allocates only when dst has not that much room as it needs.
func AppendFrame(dst []byte, accm uint32, header, payload []byte) []byte {
	fcs := updateFCS(updateFCS(fcsInit, header), payload) ^ 0xffff
	dst = append(dst, flag)
	dst = appendStuffed(dst, accm, header)
	dst = appendStuffed(dst, accm, payload)
	tail := [fcsLen]byte{byte(fcs), byte(fcs >> 8)}
	dst = appendStuffed(dst, accm, tail[:])
	return append(dst, flag)
}

func appendStuffed(dst []byte, accm uint32, p []byte) []byte {
	for {
		n := ordinary(p, accm)
		dst = append(dst, p[:n]...)
		if n == len(p) {
			return dst
		}
		dst = append(dst, escape, p[n]^toggle)
		p = p[n+1:]
	}
}
