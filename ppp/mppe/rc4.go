package mppe

// rc4 is the RC4 stream cipher. crypto/rc4 would do, but for one thing: its
// Cipher can only be made, never keyed anew, and MPPE in stateless mode keys
// twice a packet, which would be two kilobytes of garbage for each. The tests hold this
// one against crypto/rc4.
type rc4 struct {
	s    [256]uint32 // a word an entry: partial-register stalls cost more than the cache
	i, j uint8
}

// setKey starts the cipher afresh under key, of 1 to 256 octets.
func (c *rc4) setKey(key []byte) {
	s := &c.s
	for i := range s {
		s[i] = uint32(i)
	}
	// MPPE's keys are 8 or 16 octets, so the key's octet is had by a mask, not a division.
	var j uint8
	mask := len(key) - 1
	if len(key)&mask != 0 {
		panic("mppe: RC4 key length is not a power of two")
	}
	for i := range s {
		j += uint8(s[i]) + key[i&mask]
		s[i], s[j] = s[j], s[i]
	}
	c.i, c.j = 0, 0
}

// xor sets dst to src under the next len(src) octets of key stream. dst may be src.
func (c *rc4) xor(dst, src []byte) {
	if len(src) == 0 {
		return
	}
	dst = dst[:len(src)]
	s := &c.s
	i, j := c.i, c.j
	for k, v := range src {
		i++
		x := s[i]
		j += uint8(x)
		y := s[j]
		s[i], s[j] = y, x
		dst[k] = v ^ uint8(s[uint8(x+y)])
	}
	c.i, c.j = i, j
}
