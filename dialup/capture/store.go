package capture

import (
	"encoding/binary"
	"iter"
	"slices"
	"time"
)

const (
	// A call's memory is this many blocks. The first ones keep its beginning, in which
	// everything is negotiated; the others are a ring of the newest.
	blocks      = 16
	firstBlocks = 4

	frameHeader = 8 + 1 + 2 + 2 // time, direction, octets on the wire, octets kept
)

// store keeps a call's frames in bounded memory, taken as it is needed.
type store struct {
	limit int // octets
	first [][]byte
	ring  []block
}

// block is a part of the ring.
type block struct {
	data   []byte
	frames uint64
}

// add keeps a frame and returns how many older ones had to go for it.
func (s *store) add(now time.Time, dir direction, size int, kept []byte) (dropped uint64) {
	room := s.limit / blocks
	n := len(s.first)
	fits := n > 0 && len(s.first[n-1])+frameHeader+len(kept) <= room
	if len(s.ring) > 0 || !fits && n == firstBlocks {
		return s.addNewest(now, dir, size, kept, room)
	}
	if !fits {
		s.first = append(s.first, make([]byte, 0, room))
		n++
	}
	b := &s.first[n-1]
	*b = appendFrame(*b, now, dir, size, kept)
	return 0
}

func (s *store) addNewest(now time.Time, dir direction, size int, kept []byte, room int) (dropped uint64) {
	n := len(s.ring)
	switch {
	case n > 0 && len(s.ring[n-1].data)+frameHeader+len(kept) <= room:
	case n < blocks-firstBlocks:
		s.ring = append(s.ring, block{data: make([]byte, 0, room)})
	default:
		oldest := s.ring[0]
		copy(s.ring, s.ring[1:])
		dropped = oldest.frames
		s.ring[n-1] = block{data: oldest.data[:0]}
	}
	b := &s.ring[len(s.ring)-1]
	b.data = appendFrame(b.data, now, dir, size, kept)
	b.frames++
	return dropped
}

func appendFrame(b []byte, now time.Time, dir direction, size int, kept []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = append(b, byte(dir))
	b = binary.LittleEndian.AppendUint16(b, uint16(size))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(kept)))
	return append(b, kept...)
}

// copy returns the blocks as they are now.
func (s *store) copy() [][]byte {
	all := make([][]byte, 0, len(s.first)+len(s.ring))
	for _, b := range s.first {
		all = append(all, slices.Clone(b))
	}
	for _, b := range s.ring {
		all = append(all, slices.Clone(b.data))
	}
	return all
}

// frame is one frame of a record.
type frame struct {
	at   time.Time
	dir  direction
	size int    // octets on the wire, without flags and FCS
	kept []byte // what is left of it
}

// frames gives the frames in the blocks of a store's copy.
func frames(all [][]byte) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		for _, b := range all {
			for len(b) > 0 {
				kept := frameHeader + int(binary.LittleEndian.Uint16(b[11:]))
				f := frame{
					at:   time.Unix(0, int64(binary.LittleEndian.Uint64(b))),
					dir:  direction(b[8]),
					size: int(binary.LittleEndian.Uint16(b[9:])),
					kept: b[frameHeader:kept],
				}
				if !yield(f) {
					return
				}
				b = b[kept:]
			}
		}
	}
}
