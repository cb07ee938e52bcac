package hdlc

// DefaultMax is the longest frame a Deframer takes when its Max is zero, in
// octets without flags and FCS. RFC 1661 §6.1 has every receiver take 1500 octets
// of information; the rest is room for headers and for peers that count generously.
const DefaultMax = 2048

// Counts is what a Deframer has seen since it was made. They only grow.
type Counts struct {
	Good    uint64 // frames given out
	BadFCS  uint64 // frames whose FCS was wrong: line noise, or lost octets
	Aborted uint64 // frames ended by 7d 7e (RFC 1662 §4.3)
	Runt    uint64 // fewer than four octets with the FCS (RFC 1662 §4.3)
	TooLong uint64 // longer than Max; dropped whole
}

// A Deframer finds frames in the bytes of a line, however these are cut.
// The zero value is ready to use.
type Deframer struct {
	// Max is the longest frame taken, in octets without FCS; zero means
	// DefaultMax. It is also the bound on the Deframer's memory.
	Max int

	// ACCM is the receive map (RFC 1662 §7.1): a control character named in
	// it that arrives unescaped was put there by the line and is removed.
	// It may be changed between frames.
	ACCM uint32

	counts  Counts
	buf     []byte // the frame so far, unstuffed, FCS included
	synced  bool   // a flag has been seen; what came before it was no frame
	escaped bool   // the last octet was a Control Escape
	tooLong bool   // the frame is past Max; its octets are no longer kept
	given   bool   // buf was given out by the last Next
}

// Next takes bytes from the line up to the end of the first good frame. It
// returns that frame without flags and FCS, and the bytes behind it. The frame
// is valid, and may be changed, until the next call. A nil frame says that wire is
// used up; bad frames on the way are counted and skipped.
func (d *Deframer) Next(wire []byte) (frame, rest []byte) {
	if d.given {
		d.begin()
		d.given = false
	}
	for len(wire) > 0 {
		if !d.escaped {
			n := ordinary(wire, d.ACCM)
			d.keep(wire[:n])
			wire = wire[n:]
			if len(wire) == 0 {
				break
			}
		}
		b := wire[0]
		wire = wire[1:]
		switch {
		case b == flag:
			if frame := d.end(); frame != nil {
				return frame, wire
			}
		case b < 0x20 && d.ACCM>>b&1 != 0:
			// Removed wherever it stands, even behind an escape: the
			// sender would have escaped it, so the line inserted it.
		case d.escaped:
			d.escaped = false
			d.keepOne(b ^ toggle) // 7d 7d is an escaped 5d, not a second escape
		default:
			d.escaped = true // ordinary stopped at b, so b is an escape
		}
	}
	return nil, nil
}

// InFrame reports whether the bytes so far end inside a frame: some of its octets
// have come and its closing flag has not. A modem's words are looked for only
// when it is false.
func (d *Deframer) InFrame() bool {
	return d.synced && !d.given && (len(d.buf) > 0 || d.escaped || d.tooLong)
}

// Counts returns the counts so far.
func (d *Deframer) Counts() Counts { return d.counts }

// Reset forgets a frame begun and hunts for a flag again. Counts, Max and
// ACCM stay.
func (d *Deframer) Reset() {
	d.begin()
	d.synced, d.given = false, false
}

func (d *Deframer) max() int {
	if d.Max > 0 {
		return d.Max
	}
	return DefaultMax
}

func (d *Deframer) begin() {
	d.buf, d.escaped, d.tooLong = d.buf[:0], false, false
}

func (d *Deframer) keep(p []byte) {
	if !d.synced || d.tooLong || len(p) == 0 {
		return
	}
	if len(d.buf)+len(p) > d.max()+fcsLen {
		d.tooLong = true
		return
	}
	d.buf = append(d.buf, p...)
}

func (d *Deframer) keepOne(b byte) {
	one := [1]byte{b}
	d.keep(one[:])
}

// end closes the frame at a flag and returns it if it is good. The flag also opens the
// next one (RFC 1662 §4.1).
func (d *Deframer) end() []byte {
	if !d.synced {
		d.begin()
		d.synced = true
		return nil
	}
	n := len(d.buf)
	switch {
	case d.escaped:
		d.counts.Aborted++
	case d.tooLong:
		d.counts.TooLong++
	case n == 0:
		// Two flags in a row: an empty frame, or idle fill.
	case n < 4:
		// Two breaks arrive as 00 00, which is the right FCS of nothing;
		// length must be judged before the FCS.
		d.counts.Runt++
	case updateFCS(fcsInit, d.buf) != fcsGood:
		d.counts.BadFCS++
	default:
		d.counts.Good++
		d.given = true
		return d.buf[:n-fcsLen]
	}
	d.begin()
	return nil
}
