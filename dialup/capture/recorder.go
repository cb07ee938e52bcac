package capture

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Config bounds a Recorder.
type Config struct {
	Calls  int // kept in memory, the newest; zero is 16
	Octets int // of memory for each; zero is 256 KiB, less than 64 KiB is 64 KiB

	// Clear keeps passwords and mail content in the record. It is for a laboratory,
	// never for people's calls.
	Clear bool
}

// ErrNoCall says that the record of a call is no longer kept, or never was.
var ErrNoCall = errors.New("no such call is in the record: it is too old, or the box has been restarted since")

// A Recorder keeps the frames of the last calls. It may be used from several
// goroutines.
type Recorder struct {
	cfg Config

	mu    sync.Mutex
	calls []*recording // the oldest first
	saver sync.Mutex   // one Save at a time
}

// NewRecorder returns an empty Recorder. It uses up to cfg.Calls * cfg.Octets of memory, as
// calls need it.
func NewRecorder(cfg Config) *Recorder {
	if cfg.Calls <= 0 {
		cfg.Calls = 16
	}
	if cfg.Octets == 0 {
		cfg.Octets = 256 << 10
	}
	cfg.Octets = max(cfg.Octets, 64<<10)
	return &Recorder{cfg: cfg}
}

// Call is what is known of a recorded call.
type Call struct {
	ID      uint64
	Line    string
	User    string // the name that the caller gave last; empty if none
	Verdict string // how it ended; empty while it goes on
	Started time.Time
	Last    time.Time // the last bytes either way
	Ended   bool
	Frames  uint64 // good ones, kept or not
	Dropped uint64 // good ones that fell out of the middle of the record
	Spoiled uint64 // runs of bytes that were no good frame: line noise
}

// String is one line for a person and for the capture's comment.
func (c Call) String() string {
	who := "nobody named"
	if c.User != "" {
		who = "user " + c.User
	}
	verdict := "still going on"
	if c.Ended {
		verdict = c.Verdict
	}
	return fmt.Sprintf("call %d on %s, %s: %s (%d frames, %d not kept, %d spoiled)",
		c.ID, c.Line, who, verdict, c.Frames, c.Dropped, c.Spoiled)
}

// recording is one call's record, guarded by its Recorder's mutex.
type recording struct {
	Call
	store store
	saved bool
}

// Start begins the record of a call that was connected at the given time. It makes
// room by forgetting the oldest call that has ended; while as many calls go on as may be
// kept, the Tap records nothing.
func (r *Recorder) Start(id uint64, line string, when time.Time) *Tap {
	rec := &recording{
		Call:  Call{ID: id, Line: text([]byte(line)), Started: when, Last: when},
		store: store{limit: r.cfg.Octets},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) >= r.cfg.Calls {
		oldest := slices.IndexFunc(r.calls, func(c *recording) bool { return c.Ended })
		if oldest < 0 {
			return &Tap{wire: newWire()}
		}
		r.calls = slices.Delete(r.calls, oldest, oldest+1)
	}
	r.calls = append(r.calls, rec)
	return &Tap{recorder: r, record: rec, wire: newWire()}
}

// Calls returns the calls in the record, the newest first.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := make([]Call, 0, len(r.calls))
	for _, c := range slices.Backward(r.calls) {
		calls = append(calls, c.Call)
	}
	return calls
}

// Write writes the call, also one that goes on, to w as pcapng of link type 204
// (LINKTYPE_PPP_WITH_DIR). The call is not held up however slow w is. The error is
// ErrNoCall or w's.
func (r *Recorder) Write(w io.Writer, id uint64) error {
	r.mu.Lock()
	at := slices.IndexFunc(r.calls, func(c *recording) bool { return c.ID == id })
	if at < 0 {
		r.mu.Unlock()
		return fmt.Errorf("call %d: %w", id, ErrNoCall)
	}
	call, frames := r.calls[at].Call, r.calls[at].store.copy()
	r.mu.Unlock()
	return writeCall(w, call, frames)
}

// A Tap takes one call's bytes into its Recorder. It is an Observer.
type Tap struct {
	recorder *Recorder
	record   *recording // nil: nothing is recorded
	wire     wire
}

// Received takes bytes that came from the line at the given time. They are neither
// changed nor kept.
func (t *Tap) Received(now time.Time, wire []byte) { t.take(now, received, wire) }

// Sent takes bytes that were given to the line.
func (t *Tap) Sent(now time.Time, wire []byte) { t.take(now, sent, wire) }

func (t *Tap) take(now time.Time, dir direction, b []byte) {
	if t.record == nil {
		return
	}
	t.recorder.mu.Lock()
	defer t.recorder.mu.Unlock()
	rec := t.record
	rec.Last = now
	t.wire.each(dir, b, func(frame []byte) {
		rec.learn(frame)
		size := len(frame)
		if !t.recorder.cfg.Clear {
			frame = blank(frame)
		}
		rec.Frames++
		rec.Dropped += rec.store.add(now, dir, size, frame)
	}, func(n uint64) { rec.Spoiled += n })
}

// learn takes the caller's name from the packet that says it.
func (rec *recording) learn(frame []byte) {
	proto, n := protocol(frame)
	if proto != protoPAP && proto != protoCHAP && proto != protoEAP {
		return
	}
	p, ok := parsePacket(frame[n:])
	if !ok || proto == protoCHAP && p.code != chapResponse {
		return
	}
	if who := name(proto, p); len(who) > 0 {
		rec.User = text(who)
	}
}

// Close ends the call's record; verdict says how the call ended.
func (t *Tap) Close(verdict string) {
	if t.record == nil {
		return
	}
	t.recorder.mu.Lock()
	defer t.recorder.mu.Unlock()
	t.record.Verdict, t.record.Ended = plain(clip(verdict, maxVerdict)), true
	t.record = nil
}
