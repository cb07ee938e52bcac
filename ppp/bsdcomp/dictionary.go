package bsdcomp

import "fmt"

const (
	// MinBits and MaxBits are the least and the greatest code length that may be agreed on
	// (RFC 1977 §3; longer ones are allowed there and made by nobody).
	MinBits = 9
	MaxBits = 15

	codeClear = 256 // the dictionary was cleared, RFC 1977 §A
	codeFirst = 257

	// The check of the compression ratio, RFC 1977 §A: both ends must reckon alike.
	checkGap   = 10000
	ratioShift = 8
	ratioMax   = 0x7fffffff >> ratioShift
)

// A dictionary is the LZW dictionary of one direction. Codes below 256 are octets; each other
// code is a code and an octet behind it.
type dictionary struct {
	maxCode int  // the largest that may be
	last    int  // the largest in use
	bits    uint // length of a code now

	prefix []uint16
	suffix []byte
	length []uint16 // octets that a code stands for

	// table finds a code by prefix and suffix: linear probing, 0 is free.
	table []uint16
	shift uint

	// Octets in and out since the dictionary was cleared, aged; the ratio of them at the last
	// check; and at how many octets in the next is due.
	in, out, ratio, checkpoint uint32
}

func newDictionary(bits int) (*dictionary, error) {
	if bits < MinBits || bits > MaxBits {
		return nil, fmt.Errorf("bsdcomp: codes of %d bits cannot be agreed on; from %d to %d can", bits, MinBits, MaxBits)
	}
	n := 1 << bits
	d := &dictionary{
		maxCode: n - 1,
		prefix:  make([]uint16, n),
		suffix:  make([]byte, n),
		length:  make([]uint16, n),
		table:   make([]uint16, 2*n),
		shift:   uint(32 - bits - 1),
	}
	for i := range 256 {
		d.length[i] = 1
	}
	d.clear()
	return d, nil
}

func (d *dictionary) clear() {
	clear(d.table)
	d.last, d.bits = codeFirst-1, MinBits
	d.in, d.out, d.ratio, d.checkpoint = 0, 0, 0, checkGap
}

// find returns the code of prefix and c, or 0 and the place in the table where it belongs.
func (d *dictionary) find(prefix int, c byte) (code, slot int) {
	mask := uint32(len(d.table) - 1)
	h := (uint32(prefix)<<8 | uint32(c)) * 0x9e3779b1 >> d.shift
	for {
		code := int(d.table[h])
		if code == 0 {
			return 0, int(h)
		}
		if int(d.prefix[code]) == prefix && d.suffix[code] == c {
			return code, 0
		}
		h = (h + 1) & mask
	}
}

// add gives prefix and c the next code, to be found at slot, or not at all if that is negative.
func (d *dictionary) add(slot, prefix int, c byte) {
	d.last++
	d.prefix[d.last], d.suffix[d.last] = uint16(prefix), c
	d.length[d.last] = d.length[prefix] + 1
	if slot >= 0 {
		d.table[slot] = uint16(d.last)
	}
}

// widen makes codes longer if the largest needs it and a larger one may come.
func (d *dictionary) widen() {
	if d.last >= 1<<d.bits-1 && d.last < d.maxCode {
		d.bits++
	}
}

// check is done at the end of each packet. It clears the dictionary, and says so, if that is full and
// has become worse than it was or makes things longer (RFC 1977 §A).
func (d *dictionary) check() (cleared bool) {
	if d.in < d.checkpoint {
		return false
	}
	if d.in >= ratioMax || d.out >= ratioMax {
		d.in -= d.in / 4
		d.out -= d.out / 4
	}
	d.checkpoint = d.in + checkGap
	if d.last < d.maxCode {
		return false
	}
	ratio := d.in << ratioShift
	if d.out != 0 {
		ratio /= d.out
	}
	if ratio < d.ratio || ratio < 1<<ratioShift {
		d.clear()
		return true
	}
	d.ratio = ratio
	return false
}

// encode learns a packet and puts its codes into w.
func (d *dictionary) encode(w *bitWriter, protocol byte, data []byte) {
	ent := int(protocol)
	for _, c := range data {
		code, slot := d.find(ent, c)
		if code != 0 {
			ent = code
			continue
		}
		w.put(ent, d.bits)
		if d.last < d.maxCode {
			d.widen()
			d.add(slot, ent, c)
		}
		ent = int(c)
	}
	// The packet's end forces the last code out. It teaches nothing, as nobody knows yet
	// what follows.
	w.put(ent, d.bits)
	d.out += uint32(w.octets())
	d.in += uint32(len(data)) + 1
	bits := d.bits
	if d.check() {
		w.put(codeClear, bits)
	} else {
		d.widen() // the receiver, which is a code behind, has now learnt as much
	}
	w.pad()
}

// A bitWriter puts codes, most significant bit first, into dst, of which it writes no
// more than limit octets; it counts the rest.
type bitWriter struct {
	dst   []byte
	limit int // what dst may grow to
	total int // bits
	acc   uint32
	n     uint // bits in acc
}

func (w *bitWriter) put(code int, bits uint) {
	w.total += int(bits)
	w.acc = w.acc<<bits | uint32(code)
	w.n += bits
	for w.n >= 8 {
		w.n -= 8
		if len(w.dst) < w.limit {
			w.dst = append(w.dst, byte(w.acc>>w.n))
		}
	}
}

func (w *bitWriter) octets() int { return (w.total + 7) / 8 }

// pad fills the last octet with ones.
func (w *bitWriter) pad() {
	if w.n > 0 {
		w.put(0xff>>w.n, 8-w.n)
	}
}
