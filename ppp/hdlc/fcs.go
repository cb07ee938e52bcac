package hdlc

import "math/bits"

const (
	fcsInit = 0xffff // RFC 1662 §C.1, PPPINITFCS16
	fcsGood = 0xf0b8 // RFC 1662 §C.1, PPPGOODFCS16: what a good frame with its FCS leaves
)

// fcsTables is RFC 1662 §C.2's table (the first) and seven more that move a
// value on by one octet each, so that eight octets are folded in with
// independent look-ups. Octet by octet the FCS would cost as much as RC4.
var fcsTables = makeFCSTables()

func makeFCSTables() (t [8][256]uint16) {
	const poly = 0x8408 // x**0 + x**5 + x**12 + x**16, least significant bit first
	for b := range 256 {
		v := uint16(b)
		for range 8 {
			v = v>>1 ^ poly&-(v&1)
		}
		t[0][b] = v
	}
	for k := 1; k < len(t); k++ {
		for b := range 256 {
			v := t[k-1][b]
			t[k][b] = v>>8 ^ t[0][byte(v)]
		}
	}
	return t
}

// updateFCS folds p into fcs.
func updateFCS(fcs uint16, p []byte) uint16 {
	t := &fcsTables
	for len(p) >= 8 {
		q := p[:8]
		fcs = t[7][q[0]^byte(fcs)] ^ t[6][q[1]^byte(fcs>>8)] ^
			t[5][q[2]] ^ t[4][q[3]] ^ t[3][q[4]] ^ t[2][q[5]] ^ t[1][q[6]] ^ t[0][q[7]]
		p = p[8:]
	}
	for _, b := range p {
		fcs = fcs>>8 ^ t[0][byte(fcs)^b]
	}
	return fcs
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ordinary returns how many octets at the front of p stand for themselves:
// neither flag nor escape, nor a control character named in accm.
func ordinary(p []byte, accm uint32) int {
	n := 0
	for n+8 <= len(p) {
		q := p[n : n+8]
		x := uint64(q[0]) | uint64(q[1])<<8 | uint64(q[2])<<16 | uint64(q[3])<<24 |
			uint64(q[4])<<32 | uint64(q[5])<<40 | uint64(q[6])<<48 | uint64(q[7])<<56
		f, e := x^(lows*flag), x^(lows*escape)
		// The usual test for a zero octet in a word. A borrow may mark octets
		// above a true hit too, so only the lowest mark is trusted.
		hit := (f-lows)&^f | (e-lows)&^e
		if accm != 0 {
			hit |= (x - lows*0x20) &^ x
		}
		if hit &= highs; hit == 0 {
			n += 8
			continue
		}
		n += bits.TrailingZeros64(hit) / 8
		if special(p[n], accm) {
			return n
		}
		n++ // a control character that the map does not name
	}
	for n < len(p) && !special(p[n], accm) {
		n++
	}
	return n
}

func special(b byte, accm uint32) bool {
	return b == flag || b == escape || b < 0x20 && accm>>b&1 != 0
}
