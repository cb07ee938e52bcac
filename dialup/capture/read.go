package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// A reader reads what writeCall writes. It is our own because pcapgo's reader believes
// the lengths in the file, and a file from a worn memory card then ends in a panic or in
// gigabytes.
type reader struct {
	r       *bufio.Reader
	comment string        // the section's
	unit    time.Duration // of the timestamps
	block   []byte
}

// Block types and options of pcapng (draft-ietf-opsawg-pcapng sections 3.5 and 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6 // "enhanced"

	byteOrder     = 0x1a2b3c4d
	maxBlock      = 64 << 10
	optionEnd     = 0
	optionComment = 1
	optionUnit    = 9 // if_tsresol
)

var errDamaged = errors.New("the file is damaged, or of another program")

// newReader opens a capture and reads up to its interface.
func newReader(r io.Reader) (*reader, error) {
	c := &reader{r: bufio.NewReader(r), unit: time.Microsecond}
	kind, body, err := c.next()
	if err != nil || kind != blockSection || len(body) < 16 || binary.LittleEndian.Uint32(body) != byteOrder {
		return nil, fmt.Errorf("this is no pcapng file of a call: %w", errDamaged)
	}
	each(body[16:], func(option uint16, value []byte) {
		if option == optionComment {
			c.comment = plain(string(value))
		}
	})
	kind, body, err = c.next()
	if err != nil || kind != blockInterface || len(body) < 8 {
		return nil, fmt.Errorf("the capture has no interface: %w", errDamaged)
	}
	if link := binary.LittleEndian.Uint16(body); link != uint16(linkPPPWithDir) {
		return nil, fmt.Errorf("the capture is not of a call: its link type is %d, not %d", link, linkPPPWithDir)
	}
	each(body[8:], func(option uint16, value []byte) {
		if option == optionUnit && len(value) == 1 && value[0] <= 9 {
			c.unit = time.Second
			for range value[0] {
				c.unit /= 10
			}
		}
	})
	return c, nil
}

// frame returns the next frame, valid until the next call, or io.EOF.
func (c *reader) frame() (frame, error) {
	for {
		kind, body, err := c.next()
		if err != nil {
			return frame{}, err
		}
		if kind != blockPacket {
			continue
		}
		if len(body) < 20 {
			return frame{}, errDamaged
		}
		ticks := uint64(binary.LittleEndian.Uint32(body[4:]))<<32 | uint64(binary.LittleEndian.Uint32(body[8:]))
		kept, size := binary.LittleEndian.Uint32(body[12:]), binary.LittleEndian.Uint32(body[16:])
		if kept < 1 || kept > uint32(len(body)-20) || kept > size || size > maxBlock {
			return frame{}, errDamaged
		}
		return frame{
			at:   time.Unix(0, int64(ticks*uint64(c.unit))),
			dir:  direction(body[20] & 1),
			size: int(size) - 1,
			kept: body[21 : 20+kept],
		}, nil
	}
}

// next returns the next block's type and body. The error is io.EOF only between two blocks.
func (c *reader) next() (kind uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.r, head[:]); errors.Is(err, io.EOF) {
		return 0, nil, io.EOF
	} else if err != nil {
		return 0, nil, damaged(err)
	}
	kind = binary.LittleEndian.Uint32(head[:])
	n := binary.LittleEndian.Uint32(head[4:])
	if n < 12 || n > maxBlock || n%4 != 0 {
		return 0, nil, errDamaged
	}
	if cap(c.block) < int(n) {
		c.block = make([]byte, n)
	}
	rest := c.block[:n-8]
	if _, err := io.ReadFull(c.r, rest); err != nil {
		return 0, nil, damaged(err)
	}
	body = rest[:n-12]
	if binary.LittleEndian.Uint32(rest[n-12:]) != n {
		return 0, nil, errDamaged
	}
	return kind, body, nil
}

// damaged tells a file that stops in the middle from one that the disk cannot read.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}

// each calls option with the options in b, up to the first that does not fit.
func each(b []byte, option func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		padded := (n + 3) &^ 3
		if code == optionEnd || padded > len(b)-4 {
			return
		}
		option(code, b[4:4+n])
		b = b[4+padded:]
	}
}

// Print writes the capture of a call, as Write and Save make it, as a Trace's lines. The
// name is the Trace's. What can be read of a damaged file is printed before the error
// comes.
func Print(w io.Writer, name string, pcapng io.Reader) error {
	c, err := newReader(pcapng)
	if err != nil {
		return err
	}
	t := NewTrace(w, name)
	for t.err == nil {
		f, err := c.frame()
		if errors.Is(err, io.EOF) {
			t.Close(c.comment)
			break
		}
		if err != nil {
			return fmt.Errorf("the capture ends in the middle: %w", err)
		}
		if len(f.kept) == f.size {
			f.kept = blank(f.kept) // whole, so the capture may be a clear one
		}
		t.frame(f.at, f.dir, f.kept, f.size)
	}
	return t.err
}
