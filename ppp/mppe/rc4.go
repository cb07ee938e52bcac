package mppe

// rc4 is the RC4 stream cipher. crypto/rc4 would do, but for one thing: its
// Cipher can only be made, never keyed anew, and MPPE in stateless mode keys
// twice a packet, which would be two kilobytes of garbage for each. The tests hold this
// one against crypto/rc4.
type rc4 struct {
	s    [256]uint8
	i, j uint8
}

// unkeyed is the table that a key is mixed into: copied, which is quicker than counting.
var unkeyed = func() (s [256]uint8) {
	for i := range s {
		s[i] = uint8(i)
	}
	return s
}()

// setKey starts the cipher afresh under key, of 8 or 16 octets.
func (c *rc4) setKey(key []byte) {
	s := &c.s
	*s = unkeyed
	// Powers of two, so the key's octet is had by a mask, not a division.
	var j uint8
	mask := len(key) - 1
	if len(key)&mask != 0 {
		panic("mppe: RC4 key length is not a power of two")
	}
	for i := range s {
		j += s[i] + key[i&mask]
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
		j += x
		y := s[j]
		s[i], s[j] = y, x
		dst[k] = v ^ s[x+y]
	}
	c.i, c.j = i, j
}
