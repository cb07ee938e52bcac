package capture

import (
	"encoding/binary"
	"time"

	"postern/ppp/hdlc"
)

// An Observer is told of a call's bytes as they pass, from one goroutine.
type Observer interface {
	Received(now time.Time, wire []byte) // bytes that came from the line, however cut
	Sent(now time.Time, wire []byte)     // bytes that were given to the line
	Close(verdict string)                // the call has ended; verdict says how, in words
}

// Tee returns an Observer that hands on to all of them, in order. Nil ones are left
// out.
func Tee(observers ...Observer) Observer {
	var t tee
	for _, o := range observers {
		if o != nil {
			t = append(t, o)
		}
	}
	return t
}

type tee []Observer

func (t tee) Received(now time.Time, wire []byte) {
	for _, o := range t {
		o.Received(now, wire)
	}
}

func (t tee) Sent(now time.Time, wire []byte) {
	for _, o := range t {
		o.Sent(now, wire)
	}
}

func (t tee) Close(verdict string) {
	for _, o := range t {
		o.Close(verdict)
	}
}

// A direction is which way a frame went; its number is the first octet of
// LINKTYPE_PPP_WITH_DIR.
type direction byte

const (
	received direction = 0
	sent     direction = 1
)

// wire finds the frames of both directions.
type wire struct {
	deframer [2]hdlc.Deframer
	bad      [2]uint64 // spoiled frames already reported
}

func newWire() wire {
	var w wire
	// Until LCP has agreed on less, a bare control character was put there by the
	// line (RFC 1662 section 7.1).
	w.deframer[received].ACCM = 0xffffffff
	return w
}

// each calls found with each good frame in p, which may be changed until found returns,
// and then spoiled with how many bad ones there were.
func (w *wire) each(dir direction, p []byte, found func(frame []byte), spoiled func(n uint64)) {
	d := &w.deframer[dir]
	for {
		frame, rest := d.Next(p)
		if frame == nil {
			break
		}
		if dir == received {
			w.follow(frame)
		}
		found(frame)
		p = rest
	}
	c := d.Counts()
	if bad := c.BadFCS + c.Aborted + c.Runt + c.TooLong; bad > w.bad[dir] {
		spoiled(bad - w.bad[dir])
		w.bad[dir] = bad
	}
}

// follow keeps to the map of control characters that the peer has agreed to escape.
func (w *wire) follow(frame []byte) {
	proto, n := protocol(frame)
	p, ok := parsePacket(frame[n:])
	if proto != protoLCP || !ok || p.code != configureAck {
		return
	}
	for kind, value := range options(p.data) {
		if kind == lcpACCM && len(value) == 4 {
			w.deframer[received].ACCM = binary.BigEndian.Uint32(value)
		}
	}
}
