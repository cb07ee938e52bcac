package mppc

import (
	"errors"
	"math/bits"
)

// Errors of a Decompressor. After either the history is not what the sender's is,
// and the sender must be asked to flush.
var (
	ErrMalformed = errors.New("mppc: the peer sent compressed data that is no RFC 2118 code")
	ErrTooLong   = errors.New("mppc: the peer sent a packet that decompresses to more than was agreed")
)

// A Decompressor restores the packets of one direction.
type Decompressor struct {
	history [HistorySize]byte
	pos     int
}

// NewDecompressor returns a Decompressor with an empty history.
func NewDecompressor() *Decompressor { return new(Decompressor) }

// Append restores the packet that came as data with the given bits, and appends
// it to dst. It gives an error rather than a packet of more than limit octets. On an
// error dst comes back as it was. dst must not overlap data.
func (d *Decompressor) Append(dst, data []byte, b Bits, limit int) ([]byte, error) {
	if b&Flushed != 0 {
		// Cleared, not only forgotten: all of it may be referred to at
		// once, as zeros ([MS-RDPBCGR] 3.1.8.3).
		d.history = [HistorySize]byte{}
		d.pos = 0
	}
	if b&Compressed == 0 {
		if len(data) > limit {
			return dst, ErrTooLong
		}
		return append(dst, data...), nil
	}
	if b&AtFront != 0 {
		d.pos = 0
	}
	start := d.pos
	end, err := d.decode(data, start+min(limit, HistorySize-start))
	if err != nil {
		return dst, err
	}
	d.pos = end
	return append(dst, d.history[start:end]...), nil
}

// decode decodes data into the history, from pos up to limit, and returns where it ended.
func (d *Decompressor) decode(data []byte, limit int) (int, error) {
	at := d.pos
	r := bitReader{src: data, left: 8 * len(data)}
	for r.left >= 8 { // a token has 8 bits or more; fewer are padding
		r.fill()
		top := uint32(r.acc >> 32)
		if top>>30 != 0b11 {
			if at == limit {
				return 0, ErrTooLong
			}
			if top>>31 == 0 {
				d.history[at] = byte(r.take(8))
			} else {
				d.history[at] = byte(r.take(9)) | 0x80
			}
			at++
			continue
		}
		var offset int
		switch {
		case top>>28 == 0b1111:
			offset = int(r.take(10) & 0x3f)
		case top>>28 == 0b1110:
			offset = int(r.take(12)&0xff) + offset8
		default:
			offset = int(r.take(16)&0x1fff) + offset13
		}
		length, ok := takeLength(&r)
		if !ok || offset == 0 || offset >= HistorySize || r.left < 0 {
			return 0, ErrMalformed
		}
		if length > limit-at {
			return 0, ErrTooLong
		}
		// Octet by octet, as a match may run into itself; and around the
		// end, as what was there before the last packet AtFront is still history.
		for range length {
			d.history[at] = d.history[(at-offset)&(HistorySize-1)]
			at++
		}
	}
	if r.left < 0 {
		return 0, ErrMalformed
	}
	return at, nil
}

// takeLength reads a length of match, RFC 2118 §4.2.2.
func takeLength(r *bitReader) (int, bool) {
	r.fill()
	ones := uint(bits.LeadingZeros32(^uint32(r.acc >> 32)))
	if ones == 0 {
		r.skip(1)
		return minMatch, true
	}
	if ones > 11 {
		return 0, false
	}
	r.skip(ones + 1)
	return 1<<(ones+1) | int(r.take(ones+1)), true
}
