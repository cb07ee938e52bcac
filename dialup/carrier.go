package dialup

import (
	"bytes"
	"time"
)

// How long the line must be silent behind NO CARRIER before it is believed.
// Text that cuts a frame off waits longer, because it may be a frame's own
// content with the rest of the frame held up for a moment.
const (
	silenceBetweenFrames = 1000 * time.Millisecond
	silenceWithinFrame   = 1500 * time.Millisecond
)

// hdlcFlag delimits PPP's frames (RFC 1662 section 3.1).
const hdlcFlag = 0x7e

// watchedTail bounds what is kept behind the last flag: NO CARRIER, and the
// RING and caller ID of somebody who calls in at once.
const watchedTail = 512

// carrierWatch finds the modem's NO CARRIER in the bytes of a call whose port
// has no DCD. Mail may hold the same words, so three things must agree: they
// are a line of their own, nothing but other results of the modem follows, and
// then the line is silent. Content of a frame always has the frame's check
// sequence and its closing flag behind it.
type carrierWatch struct {
	tail []byte // since the last flag
	long bool   // the tail had to be cut: it is a frame
	// believeAt is when the silence is long enough; zero without suspicion.
	believeAt time.Time
	// results is what the modem said after NO CARRIER.
	results []byte
}

var noCarrierText = []byte("NO CARRIER")

// feed looks at bytes from the line.
func (w *carrierWatch) feed(now time.Time, p []byte) {
	if i := bytes.LastIndexByte(p, hdlcFlag); i >= 0 {
		w.tail, w.long = w.tail[:0], false
		p = p[i+1:]
	}
	w.tail = append(w.tail, p...)
	if over := len(w.tail) - watchedTail; over > 0 {
		w.tail, w.long = append(w.tail[:0], w.tail[over:]...), true
	}
	w.believeAt = time.Time{}
	if within, found := w.find(); found {
		w.believeAt = now.Add(silenceBetweenFrames)
		if within {
			w.believeAt = now.Add(silenceWithinFrame)
		}
	}
}

// find reports whether the tail ends in NO CARRIER and other results, and
// whether a frame had begun before it.
func (w *carrierWatch) find() (within, found bool) {
	i := bytes.Index(w.tail, noCarrierText)
	if i < 0 {
		return false, false
	}
	before, after := w.tail[:i], w.tail[i+len(noCarrierText):]
	within = w.long || len(bytes.Trim(before, "\r\n\x00")) > 0
	if i > 0 && !isLineEnd(before[i-1]) && within || len(after) == 0 || !isLineEnd(after[0]) || !isLineEnd(after[len(after)-1]) {
		return false, false
	}
	var scan lineScanner
	scan.feed(after)
	for {
		r, more := scan.next()
		if !more {
			break
		}
		// A text that repeats the words could end anywhere at the right place.
		if r.code == info || within && r.code == noCarrier {
			return false, false
		}
	}
	w.results = after
	return within, true
}

func isLineEnd(b byte) bool { return b == '\r' || b == '\n' }
