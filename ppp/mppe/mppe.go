package mppe

import (
	"encoding/binary"
	"fmt"
)

// The header before the encrypted data, RFC 3078 §3.1. B and C belong to MPPC
// (RFC 2118 §3.1), whose header this is too.
const (
	flushed   = 0x8000 // A: the tables were set anew before this packet
	encrypted = 0x1000 // D
	countMask = 0x0fff

	headerLen = 2
)

// Config is what both ends agreed on in CCP for one direction.
type Config struct {
	Strength  Strength
	Stateless bool

	// RekeyOnFlush has the key changed at each flushed packet, not only the tables set
	// anew. That is how Linux's ppp_mppe reads RFC 3078 §8.2; in stateful mode it
	// and an end that does as the RFC says lose each other at the first
	// Reset-Request. It changes nothing in stateless mode.
	RekeyOnFlush bool
}

func (c Config) check(startKey []byte) error {
	switch c.Strength {
	case Bits40, Bits56, Bits128:
	default:
		return fmt.Errorf("mppe: no such key strength as %d bits; there are 40, 56 and 128", int(c.Strength))
	}
	if len(startKey) < c.Strength.KeyLen() {
		return fmt.Errorf("mppe: %v encryption needs a start key of %d octets, the authentication gave %d",
			c.Strength, c.Strength.KeyLen(), len(startKey))
	}
	return nil
}

// A Sender encrypts the packets of one direction.
type Sender struct {
	cfg     Config
	session session
	count   uint16 // of the next packet
	reset   bool   // the peer asked for a flushed packet
}

// NewSender returns a Sender that starts from startKey, of which it takes the
// first Strength.KeyLen octets. It fails if the strength is unknown or the key
// too short.
func NewSender(cfg Config, startKey []byte) (*Sender, error) {
	if err := cfg.check(startKey); err != nil {
		return nil, err
	}
	s := &Sender{cfg: cfg}
	s.session.init(cfg.Strength, startKey)
	return s, nil
}

// Overhead is by how many octets Append makes a packet longer.
const Overhead = headerLen

// Append encrypts packet, a PPP packet from its protocol field on, and appends the
// information field of the 0x00fd packet that carries it to dst. Only
// protocols 0x0021 to 0x00fa may be encrypted (RFC 3078 §3); the caller knows which it has.
// packet must not overlap dst's free room.
func (s *Sender) Append(dst, packet []byte) []byte {
	header := encrypted | s.count
	switch {
	case s.cfg.Stateless, isFlag(s.count):
		// A flag packet's tables are new, and so it says (§3.1): Linux
		// drops one that comes without the bit.
		s.session.change()
		header |= flushed
	case s.reset && s.cfg.RekeyOnFlush:
		s.session.change()
		header |= flushed
	case s.reset:
		s.session.flush()
		header |= flushed
	}
	s.reset = false
	s.count = (s.count + 1) & countMask
	dst = binary.BigEndian.AppendUint16(dst, header)
	n := len(dst)
	dst = append(dst, packet...)
	s.session.tables.xor(dst[n:], dst[n:])
	return dst
}

// Reset answers a CCP Reset-Request: the next packet is flushed, and that is the
// whole answer (RFC 3078 §8.2). Requests repeated before that packet cost nothing, as the
// peer could not know how often we changed.
func (s *Sender) Reset() { s.reset = true }

// isFlag reports whether a count is that of a "flag" packet (RFC 3078 §7.2).
func isFlag(count uint16) bool { return count&0xff == 0xff }
