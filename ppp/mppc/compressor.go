package mppc

import "math/bits"

const (
	hashBits = 12
	// How many earlier places are tried for a match. More finds little more in 8 KB.
	maxChain = 32
	// A match this long is taken without a look at what the next octet would give.
	goodMatch = 32
)

// A Compressor compresses the packets of one direction.
type Compressor struct {
	history [HistorySize]byte
	pos     int // how far the history is filled
	flush   bool

	// head holds for each hash of three octets the place in the history where they stood last,
	// prev for each place the one before it; both one more, so that 0 is none.
	head [1 << hashBits]uint16
	prev [HistorySize]uint16
}

// NewCompressor returns a Compressor with an empty history.
func NewCompressor() *Compressor { return new(Compressor) }

// Reset clears the history; the next packet says so by Flushed. The caller does it when the
// peer asks (CCP Reset-Request), and before each packet in stateless mode.
func (c *Compressor) Reset() {
	c.front()
	c.flush = true
}

func (c *Compressor) front() {
	c.pos = 0
	c.head = [1 << hashBits]uint16{}
}

// Append appends packet to dst, compressed if that makes it shorter, and returns the
// bits that go with it. A packet that does not shrink is appended as it is; it
// clears the history at both ends. dst must not overlap packet.
func (c *Compressor) Append(dst, packet []byte) ([]byte, Bits) {
	var b Bits
	if c.flush {
		b = Flushed
		c.flush = false
	}
	n := len(dst)
	if len(packet) <= HistorySize {
		if c.pos+len(packet) > HistorySize {
			c.front()
		}
		if c.pos == 0 {
			b |= AtFront
		}
		// Less than the packet by an octet, or it is not worth it.
		w := bitWriter{dst: dst, limit: n + len(packet)}
		c.encode(&w, packet)
		if !w.full() {
			return w.dst, b | Compressed
		}
		dst = w.dst[:n]
	}
	// Readings differ on what a packet that would have grown says ([MS-RDPBCGR] 3.1.8.2.1: it is flushed
	// itself; FreeBSD's ng_mppc: the next one is). Both say so, which is right in each.
	c.Reset()
	return append(dst, packet...), Flushed
}

// encode puts packet into the history and its code into w. It stops early when w is full.
func (c *Compressor) encode(w *bitWriter, packet []byte) {
	start := c.pos
	end := start + copy(c.history[start:], packet)
	c.pos = end
	at := start
	length, offset := c.match(at, end)
	for at < end && !w.full() {
		if length < minMatch {
			putLiteral(w, c.history[at])
			c.insert(at, end)
			at++
			length, offset = c.match(at, end)
			continue
		}
		if length < goodMatch {
			// A longer match one octet on is worth a literal.
			c.insert(at, end)
			nextLength, nextOffset := c.match(at+1, end)
			if nextLength > length {
				putLiteral(w, c.history[at])
				at++
				length, offset = nextLength, nextOffset
				continue
			}
			putMatch(w, offset, length)
			for i := at + 1; i < at+length; i++ {
				c.insert(i, end)
			}
		} else {
			putMatch(w, offset, length)
			for i := at; i < at+length; i++ {
				c.insert(i, end)
			}
		}
		at += length
		length, offset = c.match(at, end)
	}
	w.pad()
}

func hash3(p []byte) uint32 {
	return (uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])) * 0x9e3779b1 >> (32 - hashBits)
}

// insert makes the three octets at a place findable.
func (c *Compressor) insert(at, end int) {
	if at+minMatch > end {
		return
	}
	h := hash3(c.history[at:])
	c.prev[at] = c.head[h]
	c.head[h] = uint16(at + 1)
}

// match finds the longest earlier occurrence of what stands at a place; the nearest
// of equal ones, which has the shortest code.
func (c *Compressor) match(at, end int) (length, offset int) {
	if at+minMatch > end {
		return 0, 0
	}
	here := c.history[at:end]
	length = minMatch - 1
	next := int(c.head[hash3(here)])
	for range maxChain {
		if next == 0 {
			break
		}
		place := next - 1
		next = int(c.prev[place])
		there := c.history[place:]
		if there[length] != here[length] {
			continue // cannot be longer
		}
		n := 0
		for n < len(here) && here[n] == there[n] {
			n++
		}
		if n > length {
			length, offset = n, at-place
			if n == len(here) {
				break
			}
		}
	}
	if offset == 0 {
		return 0, 0
	}
	return length, offset
}

// putLiteral is RFC 2118 §4.1.
func putLiteral(w *bitWriter, b byte) {
	if b < 0x80 {
		w.put(uint32(b), 8)
	} else {
		w.put(0b10<<7|uint32(b&0x7f), 9)
	}
}

// putMatch is RFC 2118 §4.2.
func putMatch(w *bitWriter, offset, length int) {
	switch o := uint32(offset); {
	case offset < offset8:
		w.put(0b1111<<6|o, 10)
	case offset < offset13:
		w.put(0b1110<<8|(o-offset8), 12)
	default:
		w.put(0b110<<13|(o-offset13), 16)
	}
	if length == minMatch {
		w.put(0, 1)
		return
	}
	// As many ones as the length has bits after its first, less one; a zero; those bits.
	low := uint(bits.Len(uint(length)) - 1)
	w.put(1<<low-2, low)
	w.put(uint32(length)&(1<<low-1), low)
}
