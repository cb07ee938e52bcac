package mppc

// Bits are the bits of the packet header that say what was done to the history,
// RFC 2118 §3.1. They stand where they stand there.
type Bits uint16

const (
	Flushed    Bits = 0x8000 // A: the history was cleared before this packet
	AtFront    Bits = 0x4000 // B: this packet is at the front of the history
	Compressed Bits = 0x2000 // C: this packet is compressed, and in the history
)

// HistorySize is the size of the history in octets (RFC 2118 §4).
const HistorySize = 8192

const (
	minMatch = 3
	// Where the three codes of an offset begin, RFC 2118 §4.2.1.
	offset8  = 64
	offset13 = 320
)

// A bitWriter appends bits, most significant first, up to a limit of octets.
type bitWriter struct {
	dst   []byte
	limit int // what dst may grow to
	acc   uint64
	n     uint // bits in acc
}

func (w *bitWriter) put(code uint32, n uint) {
	w.acc = w.acc<<n | uint64(code)
	w.n += n
	for w.n >= 8 {
		w.n -= 8
		w.dst = append(w.dst, byte(w.acc>>w.n))
	}
}

func (w *bitWriter) full() bool { return len(w.dst) >= w.limit }

// pad fills the last octet with zeros (RFC 2118 §4).
func (w *bitWriter) pad() {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
}

// A bitReader reads bits, most significant first. Past the end it reads zeros, and left is
// negative.
type bitReader struct {
	src  []byte
	acc  uint64 // the next bits, at the top
	n    uint   // bits in acc
	left int    // bits not yet skipped
}

// fill brings at least 32 bits into acc, while there are any.
func (r *bitReader) fill() {
	for r.n <= 56 && len(r.src) > 0 {
		r.acc |= uint64(r.src[0]) << (56 - r.n)
		r.src = r.src[1:]
		r.n += 8
	}
}

// take returns the next n bits, at most 31.
func (r *bitReader) take(n uint) uint32 {
	v := uint32(r.acc >> 32 >> (32 - n))
	r.skip(n)
	return v
}

func (r *bitReader) skip(n uint) {
	r.acc <<= n
	r.n -= min(n, r.n)
	r.left -= int(n)
}
