package mppe

import (
	"encoding/binary"

	"postern/ppp/mppc"
)

// Result says what became of a received packet.
type Result int

const (
	// Opened: the packet is decrypted and decompressed.
	Opened Result = iota
	// Dropped: the packet is lost, silently. It was late, or malformed, or comes
	// between a Reset-Request and the flushed packet that answers it.
	Dropped
	// NeedReset: the packet is lost and a CCP Reset-Request, without data, must be
	// sent now (RFC 3078 §8.2).
	NeedReset
	// Broken: the peer has sent so much that no MPPE end sends that it and we cannot
	// mean the same thing. The link is of no more use.
	Broken
)

func (r Result) String() string {
	switch r {
	case Opened:
		return "opened"
	case Dropped:
		return "dropped"
	case NeedReset:
		return "needs a Reset-Request"
	case Broken:
		return "broken"
	}
	return "unknown result"
}

const (
	// maxAhead is how many packets may have been lost before one that
	// still counts as ahead of the last. What is further is behind it: a
	// late packet or a forged one. It also bounds the key changes that one packet costs.
	maxAhead = (countMask + 1) / 2

	// The weights are those of Linux's ppp_mppe, which takes the link down
	// at 1600 too: a packet that no MPPE end sends weighs 100, a late one 1,
	// and each good one halves what has come together.
	nonsenseWeight = 100
	lateWeight     = 1
	maxNonsense    = 1600

	// resetEvery is after how many dropped packets the Reset-Request is asked
	// for again. The RFC has it sent once; on a noisy line it, or its answer, is
	// lost one day, and both ends would be deaf for ever. A request too many costs the
	// sender one key set-up.
	resetEvery = 8
)

// A Receiver decrypts and decompresses the packets of one direction.
type Receiver struct {
	cfg          Config
	session      session
	decompressor *mppc.Decompressor // nil without compression
	plain        []byte             // decrypted, not yet decompressed

	count    uint16 // of the last packet that the session key has been brought up to
	deaf     bool   // stateful: out of step until a flushed packet comes
	dropped  int    // packets dropped since the last NeedReset
	nonsense int
}

// NewReceiver returns a Receiver that starts from startKey; see NewSender.
func NewReceiver(cfg Config, startKey []byte) (*Receiver, error) {
	if err := cfg.check(startKey); err != nil {
		return nil, err
	}
	// The RFC names no first count. All ends seen start at 0, so the one before it is the last.
	r := &Receiver{cfg: cfg, count: countMask}
	if cfg.MaxPacket <= 0 {
		r.cfg.MaxPacket = mppc.HistorySize
	}
	if cfg.Compress {
		r.decompressor = mppc.NewDecompressor()
	}
	if cfg.encrypts() {
		r.session.init(cfg.Strength, startKey)
	}
	return r, nil
}

// Open decrypts packet, the information field of a 0x00fd packet, and
// appends the PPP packet in it, from its protocol field on, to dst. dst comes
// back as it was unless the result is Opened. packet must not overlap dst's
// free room.
func (r *Receiver) Open(dst, packet []byte) ([]byte, Result) {
	if len(packet) <= headerLen {
		return dst, r.odd(nonsenseWeight)
	}
	header := binary.BigEndian.Uint16(packet)
	isFlushed := header&flushed != 0
	if (header&encrypted != 0) != r.cfg.encrypts() {
		// What comes in clear must not pass as if it had been encrypted,
		// whatever RFC 3078 §3.1 says of bit D.
		return dst, r.odd(nonsenseWeight)
	}
	if r.cfg.Stateless && !isFlushed {
		return dst, r.odd(nonsenseWeight)
	}
	count := header & countMask
	ahead := int((count - r.count) & countMask)
	if ahead == 0 || ahead > maxAhead {
		return dst, r.odd(lateWeight)
	}
	if r.cfg.Stateless {
		r.changeKey(ahead)
		r.count = count
	} else if result := r.followStateful(count, ahead, isFlushed); result != Opened {
		return dst, result
	}
	return r.restore(dst, packet[headerLen:], mppc.Bits(header))
}

// followStateful brings the key and the tables up to a packet. The result is Opened if they are those that
// the packet was encrypted with.
func (r *Receiver) followStateful(count uint16, ahead int, isFlushed bool) Result {
	// The key is brought up to this packet even if it cannot be read, so that losses
	// of any length are followed as they happen (§8.2: "perform the number of
	// key changes necessary").
	flags := (int(r.count)+ahead+1)>>8 - (int(r.count)+1)>>8
	lost := ahead > 1
	r.changeKey(flags)
	r.count = count
	switch {
	case isFlushed && isFlag(count):
		// changeKey has set the tables already.
	case isFlushed && r.cfg.RekeyOnFlush:
		r.changeKey(1)
	case isFlushed:
		if r.cfg.encrypts() {
			r.session.flush()
		}
	case lost && !r.deaf:
		return r.lose()
	case r.deaf:
		if r.dropped++; r.dropped%resetEvery == 0 {
			return NeedReset
		}
		return Dropped
	}
	r.deaf = false
	return Opened
}

// lose begins the wait for a flushed packet.
func (r *Receiver) lose() Result {
	r.deaf, r.dropped = true, 0
	return NeedReset
}

func (r *Receiver) changeKey(times int) {
	if !r.cfg.encrypts() {
		return
	}
	for range times {
		r.session.change()
	}
}

// restore decrypts and decompresses data, for which keys and tables are ready.
func (r *Receiver) restore(dst, data []byte, b mppc.Bits) ([]byte, Result) {
	if r.decompressor == nil {
		n := len(dst)
		dst = append(dst, data...)
		r.session.tables.xor(dst[n:], dst[n:])
		r.nonsense /= 2
		return dst, Opened
	}
	if r.cfg.encrypts() {
		r.plain = append(r.plain[:0], data...)
		r.session.tables.xor(r.plain, r.plain)
		data = r.plain
	}
	dst, err := r.decompressor.Append(dst, data, b, r.cfg.MaxPacket)
	if err != nil {
		// The FCS was good, so the histories differ or the peer does not
		// mean MPPC. A flush heals the one; the other must end one day.
		if result := r.odd(nonsenseWeight); result == Broken || r.cfg.Stateless {
			return dst, result
		}
		return dst, r.lose()
	}
	r.nonsense /= 2
	return dst, Opened
}

// odd counts a packet that should not be. It is dropped, until there are too many.
func (r *Receiver) odd(weight int) Result {
	if r.nonsense += weight; r.nonsense >= maxNonsense {
		return Broken
	}
	return Dropped
}
