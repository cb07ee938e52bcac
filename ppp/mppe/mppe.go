package mppe

import (
	"encoding/binary"
	"fmt"

	"postern/ppp/mppc"
)

// The header before the data, RFC 3078 §3.1 and RFC 2118 §3.1. B and C are MPPC's alone.
const (
	flushed   = uint16(mppc.Flushed) // A: tables and history were set anew before this packet
	encrypted = 0x1000               // D
	countMask = 0x0fff

	headerLen = 2
)

// Config is what both ends agreed on in CCP for one direction.
type Config struct {
	Strength  Strength
	Stateless bool

	// Compress has packets compressed by MPPC before they are encrypted. With
	// Strength None there is compression only.
	Compress bool

	// RekeyOnFlush has the key changed at each flushed packet, not only the tables set
	// anew. That is how Linux's ppp_mppe reads RFC 3078 §8.2; in stateful mode it
	// and an end that does as the RFC says lose each other at the first
	// Reset-Request. Even two ends that agree on it lose each other for good with
	// the first flushed packet that the line eats, as the receiver misses a key: stateless mode is the
	// better answer to a Linux peer. There it changes nothing.
	RekeyOnFlush bool

	// MaxPacket bounds what a Receiver decompresses a packet to, in octets with the
	// protocol field. Zero means as much as MPPC's history holds, 8,192.
	MaxPacket int
}

func (c Config) encrypts() bool { return c.Strength != None }

func (c Config) check(startKey []byte) error {
	switch c.Strength {
	case None:
		if !c.Compress {
			return fmt.Errorf("mppe: neither encryption nor compression was agreed on")
		}
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

// A Sender compresses and encrypts the packets of one direction.
type Sender struct {
	cfg        Config
	session    session
	compressor *mppc.Compressor // nil without compression
	count      uint16           // of the next packet
	reset      bool             // the peer asked for a flushed packet
}

// NewSender returns a Sender that starts from startKey, of which it takes the
// first Strength.KeyLen octets. It fails if the strength is unknown or the key
// too short.
func NewSender(cfg Config, startKey []byte) (*Sender, error) {
	if err := cfg.check(startKey); err != nil {
		return nil, err
	}
	s := &Sender{cfg: cfg}
	if cfg.Compress {
		s.compressor = mppc.NewCompressor()
	}
	if cfg.encrypts() {
		s.session.init(cfg.Strength, startKey)
	}
	return s, nil
}

// Overhead is by how many octets at most Append makes a packet longer.
const Overhead = headerLen

// Append encrypts packet, a PPP packet from its protocol field on, and appends the
// information field of the 0x00fd packet that carries it to dst. Only
// protocols 0x0021 to 0x00fa may be encrypted (RFC 3078 §3); the caller knows which it has.
// packet must not overlap dst's free room.
func (s *Sender) Append(dst, packet []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0) // the header, which is known in the end
	var header uint16
	fresh := s.cfg.Stateless || s.reset
	s.reset = false
	if s.compressor != nil {
		if fresh {
			s.compressor.Reset()
		}
		var b mppc.Bits
		dst, b = s.compressor.Append(dst, packet)
		header = uint16(b)
	} else {
		dst = append(dst, packet...)
		if fresh || isFlag(s.count) {
			// A flag packet's tables are new, and so it says (§3.1): Linux
			// drops one that comes without the bit. With MPPC it
			// would clear the peer's history too.
			header = flushed
		}
	}
	if s.cfg.encrypts() {
		switch {
		case s.cfg.Stateless, isFlag(s.count), header&flushed != 0 && s.cfg.RekeyOnFlush:
			s.session.change()
		case header&flushed != 0:
			s.session.flush()
		}
		data := dst[at+headerLen:]
		s.session.tables.xor(data, data)
		header |= encrypted
	}
	binary.BigEndian.PutUint16(dst[at:], header|s.count)
	s.count = (s.count + 1) & countMask
	return dst
}

// Reset answers a CCP Reset-Request: the next packet is flushed, and that is the
// whole answer (RFC 3078 §8.2). Requests repeated before that packet cost nothing, as the
// peer could not know how often we changed.
func (s *Sender) Reset() { s.reset = true }

// isFlag reports whether a count is that of a "flag" packet (RFC 3078 §7.2).
func isFlag(count uint16) bool { return count&0xff == 0xff }
