package capture

import (
	"fmt"
	"io"
	"time"

	"postern/ppp/vj"
)

const (
	maxText    = 64  // octets shown of a text that a peer chose
	maxVerdict = 300 // octets kept of a verdict
	maxLine    = 400 // octets of a line
)

// A Trace is an Observer that writes one line a packet: the seconds since the first, the
// direction seen from the box, and the packet in words. No line holds a secret,
// mail content, or a character that could move a terminal's cursor.
//
//	line1     0.000 -> LCP ConfReq id=1 asyncmap 0 auth MS-CHAPv2 magic 1a2b3c4d pcomp accomp
//	line1     0.131 <- LCP ConfAck id=1 asyncmap 0 auth MS-CHAPv2 magic 1a2b3c4d pcomp accomp
type Trace struct {
	w      io.Writer
	prefix string
	err    error // of w; nothing is written after it
	start  time.Time
	last   time.Time
	wire   wire
	link   [2]linkState
	ip     ipDecoder
}

// linkState is what has been agreed on for one direction.
type linkState struct {
	compressed string // what the packets of 0x00fd are
	vj         *vj.Decompressor
	packet     []byte // the last one that vj restored
}

// NewTrace returns a Trace to w. The name stands in front of each line, unless it is
// empty. Each line is one Write, which must not block, for the call waits for it; a
// Write that fails ends the trace, not the call.
func NewTrace(w io.Writer, name string) *Trace {
	if name != "" {
		name = text([]byte(name)) + " "
	}
	return &Trace{w: w, prefix: name, wire: newWire(), ip: newIPDecoder()}
}

// Received decodes bytes that came from the line.
func (t *Trace) Received(now time.Time, wire []byte) { t.take(now, received, wire) }

// Sent decodes bytes that were given to the line.
func (t *Trace) Sent(now time.Time, wire []byte) { t.take(now, sent, wire) }

// Close writes how the call ended.
func (t *Trace) Close(verdict string) { t.line(t.last, "ended: "+plain(clip(verdict, maxVerdict))) }

func (t *Trace) take(now time.Time, dir direction, b []byte) {
	if t.err != nil {
		return
	}
	t.wire.each(dir, b, func(frame []byte) {
		size := len(frame)
		t.frame(now, dir, blank(frame), size)
	}, func(n uint64) {
		t.link[dir].lost()
		t.line(now, fmt.Sprintf("%v %d spoiled: the frame check was wrong, or it was cut short", dir, n))
	})
}

// frame writes the line of a frame of which all but the secrets is kept. size is what it
// measured on the wire, in octets.
func (t *Trace) frame(now time.Time, dir direction, kept []byte, size int) {
	proto, n := protocol(kept)
	t.line(now, dir.String()+" "+t.describe(dir, proto, kept[n:], size-n))
}

func (t *Trace) line(now time.Time, words string) {
	if t.err != nil {
		return
	}
	if t.start.IsZero() {
		t.start = now
	}
	t.last = now
	if len(words) > maxLine {
		words = clip(words, maxLine) + " ..."
	}
	_, t.err = fmt.Fprintf(t.w, "%s%9.3f %s\n", t.prefix, now.Sub(t.start).Seconds(), words)
}

func (d direction) String() string {
	if d == sent {
		return "->"
	}
	return "<-"
}

// describe says in words what a frame is.
func (t *Trace) describe(dir direction, proto uint16, info []byte, size int) string {
	switch proto {
	case 0:
		return fmt.Sprintf("a frame without protocol, %d octets", size)
	case protoIP:
		return t.ip.describe(info, size)
	case protoVJ, protoVJWhole:
		return t.restored(dir, proto, info, size)
	case protoBundle, protoLink:
		return t.compressed(dir, info, size)
	}
	what := protocolName(proto)
	if proto < 0x8000 || proto == protoLQR {
		return fmt.Sprintf("%s %d octets", what, size)
	}
	p, ok := parsePacket(info)
	if !ok {
		return fmt.Sprintf("%s malformed, %d octets", what, size)
	}
	if proto == protoCCP && p.code == configureAck {
		t.agreed(dir, p)
	}
	return fmt.Sprintf("%s %s id=%d%s", what, codeName(proto, p.code), p.id, detail(proto, p))
}

// agreed notes the compression of one direction. Who asks for it is who receives it, so
// the Ack goes the way that the packets will go (RFC 1962 section 4).
func (t *Trace) agreed(dir direction, p packet) {
	words := ""
	for kind, value := range options(p.data) {
		switch kind {
		case ccpMPPE:
			words = "MPPC"
			if len(value) == 4 && value[3]&mppeStrengths != 0 {
				words = "MPPE"
			}
		case ccpDeflate, ccpOldDeflate:
			words = "Deflate"
		case ccpBSD:
			words = "BSD"
		}
	}
	t.link[dir].compressed = words
}

// compressed describes a packet of 0x00fd, of which only the header can be read.
func (t *Trace) compressed(dir direction, info []byte, size int) string {
	what := t.link[dir].compressed
	switch {
	case what == "":
		return fmt.Sprintf("compressed %d octets", size) // how was not seen, or is not agreed
	case len(info) < 2:
		return fmt.Sprintf("%s %d octets", what, size)
	}
	if what != "MPPE" && what != "MPPC" {
		return fmt.Sprintf("%s %d octets, number %d", what, size, uint16(info[0])<<8|uint16(info[1]))
	}
	// RFC 3078 section 3.1: A, B, C and D, and a coherency count of 12 bits.
	flags := ""
	if info[0]&0x80 != 0 {
		flags += " flushed"
	}
	if info[0]&0x20 != 0 {
		flags += " compressed"
	}
	if info[0]&0x10 == 0 && what == "MPPE" {
		flags += " not encrypted"
	}
	return fmt.Sprintf("%s %d octets, count %d%s", what, size, uint16(info[0]&0x0f)<<8|uint16(info[1]), flags)
}

// restored describes a packet of RFC 1144. Only its header is needed, and only its header is
// there: the data are put back as zeros, because their number counts.
func (t *Trace) restored(dir direction, proto uint16, info []byte, size int) string {
	l := &t.link[dir]
	if l.vj == nil {
		l.vj = vj.NewDecompressor(vj.MaxSlots)
	}
	whole := append(info[:len(info):len(info)], make([]byte, max(size-len(info), 0))...)
	packet, err := l.vj.Append(l.packet[:0], vj.Kind(proto), whole)
	if err != nil {
		return fmt.Sprintf("VJ %d octets of an unknown connection: its first packet was compressed, or lost", size)
	}
	l.packet = packet
	form := "VJ "
	if proto == protoVJWhole {
		form = "VJ whole "
	}
	return form + t.ip.describe(packet, len(packet))
}

// lost says that a frame of this direction was spoiled.
func (l *linkState) lost() {
	if l.vj != nil {
		l.vj.Lost()
	}
}
