package dialup

import (
	"time"

	"postern/internal/status"
)

// Observer sees the bytes of one call as they pass on the line: a flight
// recorder, a live trace. It must not block, and what it is shown is only
// valid while it looks.
type Observer interface {
	Received(now time.Time, wire []byte)
	Sent(now time.Time, wire []byte)
	Close(verdict string) // once, after the last byte
}

// Observe returns the Observer of a call whose modems have trained.
type Observe func(id status.CallID, line string, connected time.Time) Observer

// nobody looks.
type nobody struct{}

func (nobody) Received(time.Time, []byte) {}
func (nobody) Sent(time.Time, []byte)     {}
func (nobody) Close(string)               {}

func (o Observe) start(id status.CallID, line string, connected time.Time) Observer {
	if o == nil {
		return nobody{}
	}
	return o(id, line, connected)
}
