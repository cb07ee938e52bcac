package ppp

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// option is one Configuration Option of RFC 1661 section 6: its type and the
// octets behind the length. Options keep the order in which they came, and those
// that nobody knows stay as they are, since a Reject must return them unchanged.
type option struct {
	kind byte
	data []byte
}

var errOptions = errors.New("an option's length does not fit its packet")

// parseOptions takes a list of options apart. The data of the options are
// parts of b.
func parseOptions(b []byte) ([]option, error) {
	var opts []option
	for len(b) > 0 {
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return nil, errOptions
		}
		n := int(b[1])
		opts = append(opts, option{b[0], b[2:n:n]})
		b = b[n:]
	}
	return opts, nil
}

// appendOptions is the reverse of parseOptions. The data of an option is at most
// 253 octets; all of ours are far shorter.
func appendOptions(dst []byte, opts []option) []byte {
	for _, o := range opts {
		dst = append(dst, o.kind, byte(2+len(o.data)))
		dst = append(dst, o.data...)
	}
	return dst
}

func (o option) equal(p option) bool { return o.kind == p.kind && bytes.Equal(o.data, p.data) }

// find returns the first option of that kind.
func find(opts []option, kind byte) (option, bool) {
	for _, o := range opts {
		if o.kind == kind {
			return o, true
		}
	}
	return option{}, false
}

// kinds returns the types of options, in order.
func kinds(opts []option) []byte {
	k := make([]byte, 0, len(opts))
	for _, o := range opts {
		k = append(k, o.kind)
	}
	return k
}

func option16(kind byte, v uint16) option {
	return option{kind, binary.BigEndian.AppendUint16(nil, v)}
}

func option32(kind byte, v uint32) option {
	return option{kind, binary.BigEndian.AppendUint32(nil, v)}
}

// uint32 returns the value of an option that holds four octets.
func (o option) uint32() (uint32, bool) {
	if len(o.data) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(o.data), true
}

// uint16 returns the value of an option that holds two octets.
func (o option) uint16() (uint16, bool) {
	if len(o.data) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(o.data), true
}
