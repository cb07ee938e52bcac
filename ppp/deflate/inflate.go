package deflate

import "encoding/binary"

const (
	windowSize = 1 << Window
	maxBits    = 15 // the longest code, RFC 1951 §3.2.7
	fastBits   = 9  // codes up to this long are found by one look
)

// An inflater decodes RFC 1951's blocks into a window that lasts from packet to packet.
type inflater struct {
	window [windowSize]byte
	at     int // where the next octet goes, modulo the window
	have   int // octets of history, at most the window

	in  []byte
	acc uint64 // bits read, the next lowest
	n   uint

	limit   int // octets that the packet may still give
	lengths [320]byte
	lit     huffman
	dist    huffman
}

func (f *inflater) put(b byte) {
	f.window[f.at&(windowSize-1)] = b
	f.at++
	f.have = min(f.have+1, windowSize)
}

// appendLast appends the last n octets put.
func (f *inflater) appendLast(dst []byte, n int) []byte {
	from := (f.at - n) & (windowSize - 1)
	to := from + n
	if to <= windowSize {
		return append(dst, f.window[from:to]...)
	}
	return append(append(dst, f.window[from:]...), f.window[:to-windowSize]...)
}

// packet decodes a packet's blocks, of which the last is an empty stored one that lacks its
// lengths, and returns how many octets they gave. It is false for what is no
// deflate, or gives more than limit.
func (f *inflater) packet(in []byte, limit int) (n int, ok bool) {
	f.in, f.acc, f.n, f.limit = in, 0, 0, limit
	start := f.at
	for {
		header, ok := f.bits(3) // the final bit says nothing here
		if !ok {
			return 0, false
		}
		switch header >> 1 {
		case 0:
			f.align()
			if len(f.in) == 0 && f.n == 0 {
				n = f.at - start
				f.at &= windowSize - 1
				return n, true
			}
			ok = f.stored()
		case 1:
			f.fixed()
			ok = f.codes()
		case 2:
			ok = f.dynamic() && f.codes()
		default:
			ok = false
		}
		if !ok {
			return 0, false
		}
		if len(f.in) == 0 && f.n == 0 {
			// The peer has sent the empty block whole.
			n = f.at - start
			f.at &= windowSize - 1
			return n, true
		}
	}
}

// fill reads bits until there are at least 57, if there are.
func (f *inflater) fill() {
	if len(f.in) >= 8 {
		// The bits over the last whole octet are read again next time,
		// and are then the same.
		f.acc |= binary.LittleEndian.Uint64(f.in) << f.n
		octets := (63 - f.n) / 8
		f.in = f.in[octets:]
		f.n += 8 * octets
		return
	}
	for f.n <= 56 && len(f.in) > 0 {
		f.acc |= uint64(f.in[0]) << f.n
		f.in = f.in[1:]
		f.n += 8
	}
}

func (f *inflater) bits(n uint) (int, bool) {
	f.fill()
	if f.n < n {
		return 0, false
	}
	v := int(f.acc & (1<<n - 1))
	f.acc >>= n
	f.n -= n
	return v, true
}

// align drops the bits up to the next octet.
func (f *inflater) align() {
	f.acc >>= f.n % 8
	f.n -= f.n % 8
}

// stored is RFC 1951 §3.2.4.
func (f *inflater) stored() bool {
	length, ok := f.bits(16)
	check, ok2 := f.bits(16)
	if !ok || !ok2 || length != ^check&0xffff || length > f.limit {
		return false
	}
	f.limit -= length
	for range length {
		b, ok := f.bits(8)
		if !ok {
			return false
		}
		f.put(byte(b))
	}
	return true
}

// codes decodes a block's data under f.lit and f.dist (RFC 1951 §3.2.3).
func (f *inflater) codes() bool {
	for {
		f.fill()
		symbol, ok := f.lit.decode(f)
		switch {
		case !ok:
			return false
		case symbol < 256:
			if f.limit == 0 {
				return false
			}
			f.limit--
			f.put(byte(symbol))
			continue
		case symbol == 256:
			return true
		case symbol > 285:
			return false
		}
		extra, ok := f.bits(uint(lengthExtra[symbol-257]))
		if !ok {
			return false
		}
		length := int(lengthBase[symbol-257]) + extra
		symbol, ok = f.dist.decode(f)
		if !ok || symbol > 29 {
			return false
		}
		if extra, ok = f.bits(uint(distExtra[symbol])); !ok {
			return false
		}
		distance := int(distBase[symbol]) + extra
		if distance > f.have || length > f.limit {
			return false
		}
		f.limit -= length
		at := f.at
		for range length {
			f.window[at&(windowSize-1)] = f.window[(at-distance)&(windowSize-1)]
			at++
		}
		f.at = at
		f.have = min(f.have+length, windowSize)
	}
}

// fixed is RFC 1951 §3.2.6.
func (f *inflater) fixed() {
	l := f.lengths[:288]
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	f.lit.init(l)
	l = f.lengths[:30]
	for i := range l {
		l[i] = 5
	}
	f.dist.init(l)
}

// dynamic reads the codes of a block, RFC 1951 §3.2.7.
func (f *inflater) dynamic() bool {
	counts, ok := f.bits(14)
	if !ok {
		return false
	}
	nlit, ndist, nlen := counts&0x1f+257, counts>>5&0x1f+1, counts>>10+4
	if nlit > 286 || ndist > 30 {
		return false
	}
	l := f.lengths[:]
	clear(l)
	for _, i := range lengthOrder[:nlen] {
		v, ok := f.bits(3)
		if !ok {
			return false
		}
		l[i] = byte(v)
	}
	if !f.lit.init(l[:19]) {
		return false
	}
	for i := 0; i < nlit+ndist; {
		f.fill()
		symbol, ok := f.lit.decode(f)
		if !ok {
			return false
		}
		if symbol < 16 {
			l[i] = byte(symbol)
			i++
			continue
		}
		var value byte
		var extra uint
		repeat := 3
		switch symbol {
		case 16:
			if i == 0 {
				return false
			}
			value, extra = l[i-1], 2
		case 17:
			extra = 3
		default:
			repeat, extra = 11, 7
		}
		more, ok := f.bits(extra)
		repeat += more
		if !ok || i+repeat > nlit+ndist {
			return false
		}
		for range repeat {
			l[i] = value
			i++
		}
	}
	return l[256] != 0 && f.lit.init(l[:nlit]) && f.dist.init(l[nlit:nlit+ndist])
}

// A huffman is a canonical Huffman code, RFC 1951 §3.2.2.
type huffman struct {
	fast   [1 << fastBits]uint16 // by the next bits: symbol<<4 | length; 0 where the code is longer
	count  [maxBits + 1]uint16   // codes of each length
	symbol [288]uint16           // in the order of their codes
}

// init makes the code of these lengths. It is false if more codes are asked for than there
// are. Incomplete codes are taken, as a block with one distance has one; what is in no code is
// found when it comes.
func (h *huffman) init(lengths []byte) bool {
	clear(h.fast[:])
	clear(h.count[:])
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	left := 1
	var index, code [maxBits + 2]uint16
	for n := 1; n <= maxBits; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return false
		}
		index[n+1] = index[n] + h.count[n]
		code[n+1] = (code[n] + h.count[n]) << 1
	}
	for s, n := range lengths {
		if n == 0 {
			continue
		}
		h.symbol[index[n]] = uint16(s)
		index[n]++
		if n <= fastBits {
			// Codes come first bit first, so they are looked up reversed.
			reversed := 0
			for i := range int(n) {
				reversed |= int(code[n]>>i&1) << (int(n) - 1 - i)
			}
			for i := reversed; i < len(h.fast); i += 1 << n {
				h.fast[i] = uint16(s)<<4 | uint16(n)
			}
		}
		code[n]++
	}
	return true
}

// decode takes the next symbol from the bits of f, which must be filled.
func (h *huffman) decode(f *inflater) (symbol int, ok bool) {
	if e := h.fast[f.acc&(1<<fastBits-1)]; e != 0 {
		n := uint(e & 0xf)
		if n > f.n {
			return 0, false
		}
		f.acc >>= n
		f.n -= n
		return int(e >> 4), true
	}
	code, first, index := 0, 0, 0
	acc := f.acc
	for n := uint(1); n <= maxBits; n++ {
		code |= int(acc & 1)
		acc >>= 1
		count := int(h.count[n])
		if code-first < count {
			if n > f.n {
				return 0, false
			}
			f.acc >>= n
			f.n -= n
			return int(h.symbol[index+code-first]), true
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, false
}

// The tables of RFC 1951 §3.2.5 and §3.2.7.
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]byte{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	lengthOrder = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)
