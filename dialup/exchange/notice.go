package exchange

// CallEvent is a thing that happens to a call.
type CallEvent int

const (
	Rings        CallEvent = iota + 1
	Connects               // both modems have carrier
	Ends                   // somebody went on hook, or the carrier was lost
	Busy                   // nobody at the number is free
	NoSuchNumber           // nobody has it
)

func (e CallEvent) String() string {
	return [...]string{"", "rings", "connects", "ends", "is busy", "is nobody's number"}[e]
}

// Notice is what an Exchange tells of a call.
type Notice struct {
	Event  CallEvent
	Caller string // number
	Called string // the number that rings; with Busy and NoSuchNumber the one that was dialled
	Rate   int    // bit/s, with Connects
}

func (c *call) notice(e CallEvent, called string) {
	if c.x.cfg.Notice == nil {
		return
	}
	n := Notice{Event: e, Caller: c.caller.number, Called: called}
	if e == Connects {
		n.Rate = min(c.caller.rate, c.callee.rate)
	}
	c.x.cfg.Notice(n)
}

// noticeStage tells that the call enters s. One that never rang has been told
// of where that was found out.
func (c *call) noticeStage(s stage) {
	switch {
	case c.callee == nil || s == c.stage:
	case s == ringing:
		c.notice(Rings, c.callee.number)
	case s == talking:
		c.notice(Connects, c.callee.number)
	case s == over:
		c.notice(Ends, c.callee.number)
	}
}
