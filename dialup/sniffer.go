package dialup

import "bytes"

// speaker is who speaks behind CONNECT.
type speaker int

const (
	unknown     speaker = iota
	peer                // a computer that speaks PPP
	directCable         // Windows' direct cable connection, before its PPP
	person              // somebody who types
)

// Bytes by which PPP's first frame is known (RFC 1662 sections 3.1 and 4.2).
const (
	hdlcEscape     = 0x7d
	hdlcAddress    = 0xff
	hdlcControl    = 0x03
	escapedControl = hdlcControl ^ 0x20
	lcpHigh        = 0xc0 // of LCP's protocol number, without address and control
)

// cableClient is what the calling end of a direct cable connection says, and
// cableServer what it waits for (Microsoft KB Q122318).
const (
	cableClient = "CLIENT"
	cableServer = "CLIENTSERVER"
)

// sniffer finds out who speaks from the bytes alone. PPP decides with the
// second byte of its first frame, and silence decides nothing. A person is
// known by the Return key: LCP escapes all control characters, so a bare CR in
// a line of text cannot be PPP's. The zero value is ready to use.
type sniffer struct {
	// typing is whether a person has been heard: then only what no keyboard has
	// is PPP, as passwords may hold ~} and CLIENT.
	typing bool

	before byte   // the one before last
	last   byte   // of all that was fed
	text   []byte // of the present line, as much as could be CLIENT
	noise  bool   // the present line has what no keyboard sends
}

// feed looks at bytes until they say who speaks, and returns how many it has
// looked at.
func (s *sniffer) feed(p []byte) (who speaker, n int) {
	for i, b := range p {
		if who := s.next(b); who != unknown {
			return who, i + 1
		}
	}
	return unknown, len(p)
}

func (s *sniffer) next(b byte) speaker {
	last := s.last
	s.before, s.last = last, b
	switch {
	case last == hdlcFlag && b == hdlcAddress,
		last == hdlcAddress && (b == hdlcControl || b == hdlcEscape),
		!s.typing && last == hdlcFlag && (b == hdlcEscape || b == lcpHigh),
		!s.typing && last == hdlcEscape && b == escapedControl:
		return peer
	case b == '\r':
		noise := s.noise
		s.text, s.noise = s.text[:0], false
		if !noise {
			return person
		}
	case s.typing:
	case ' ' <= b && b < 0x7f:
		if len(s.text) == len(cableClient) {
			s.text = append(s.text[:0], s.text[1:]...)
		}
		s.text = append(s.text, b)
		if bytes.Equal(s.text, []byte(cableClient)) {
			s.text = s.text[:0]
			return directCable
		}
	case b == '\n' || b == '\b' || b == 0x7f || b == '\t' || b == 0x1b || b == 0:
		// Keys, what is left of the CONNECT line, padding.
	default:
		s.noise = true
	}
	return unknown
}
