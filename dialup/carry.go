package dialup

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"time"

	"postern/internal/status"
	"postern/ppp"
)

const (
	trafficEvery = time.Second            // status.CallTraffic at most so often
	dcdEvery     = 200 * time.Millisecond // polled: not every driver can wait for DCD
	queueEvery   = 20 * time.Millisecond
	// queueRoom is how much the port may hold unsent when the next IP packet
	// is pulled: 20 ms at 115,200 bit/s and some more.
	queueRoom = 512
	// burst is how much is written at once when small packets wait.
	burst = 512
	// endWait bounds the good-byes of PPP: two Terminate-Requests.
	endWait = 7 * time.Second
	// drainWait bounds the last bytes after the end, our Terminate-Ack.
	drainWait = 2 * time.Second
)

// callConfig is what carry needs besides the modem.
type callConfig struct {
	id       status.CallID
	from     Origin // in the answering role
	ppp      ppp.Config
	auth     Authenticator // nil in the calling role
	newStack func(Link) (Stack, error)
	// online opens what runs on the stack, before the first packet is
	// delivered; serve may be nil.
	online       func(user string, up ppp.Event, s Stack) (serve func(context.Context) error, err error)
	goodbye      ppp.Reason    // when ctx ends
	idleLimit    time.Duration // 0: none
	sessionLimit time.Duration
	post         func(status.Event)
	observer     Observer
	terminal     *Terminal // nil: callers who type are not understood
}

// call is one carrier from CONNECT to the end of PPP. All its fields belong to
// the goroutine of run.
type call struct {
	cfg   callConfig
	modem *modem
	conn  connection
	sess  *ppp.Session
	stack Stack

	start  time.Time
	phase  phase
	judged string     // whom the last judgement was about
	user   string     // who has logged in
	login  login      // and how
	local  netip.Addr // ours, once IP is up
	lastIP time.Time  // from the caller to us

	// cause is why the call ends, the first one; zero while it does not.
	cause ppp.Reason
	// endBy is when waiting for PPP's end stops; zero while the call goes on.
	endBy time.Time
	over  bool // PPP has ended; its last bytes may still be on their way out
	dead  bool // there is nobody left to talk to
	err   error

	watch     carrierWatch
	watchDCD  bool // DCD is known to follow the carrier
	dcdAt     time.Time
	queueAt   time.Time
	up, down  int64
	posted    int64
	trafficAt time.Time

	sniffer  sniffer
	sniffing bool       // who speaks is not known yet, or is a person
	terminal *terminal  // a person's session, in the place of PPP; nil: PPP
	text     []byte     // to be sent before what PPP or the terminal has
	greetBy  time.Time  // when a prompt that nobody answers gives way to PPP; zero: not
	policy   ppp.Policy // of who has logged in at the terminal

	out, packet []byte
	writing     int // octets of the write under way
	answers     chan judgement
	logins      chan typedLogin
	told        chan string
	served      chan error
	jobs        sync.WaitGroup
}

// carry runs the call on a trained carrier until it has ended, and says why.
// Everything that it started is joined when it returns; the carrier may still
// stand. err is set when the port has failed.
func carry(ctx context.Context, m *modem, conn connection, cfg callConfig) (outcome, error) {
	now := time.Now()
	jobs, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &call{
		cfg: cfg, modem: m, conn: conn,
		start: now, lastIP: now, phase: negotiating,
		answers: make(chan judgement, 1),
		logins:  make(chan typedLogin, 1),
		told:    make(chan string, 1),
		served:  make(chan error, 1),
	}
	if on, known := m.carrier(); known && on && m.dcdMoves {
		c.watchDCD, c.dcdAt = true, now.Add(dcdEvery)
	}
	c.cfg.ppp.LineRate = conn.rate
	c.sess = ppp.New(c.cfg.ppp, now)
	c.sniffing = cfg.ppp.Role == ppp.Answerer
	if cfg.terminal != nil && cfg.terminal.Greet {
		c.openTerminal(now)
		c.greetBy = now.Add(greetWait)
	}
	// What is left of the CONNECT line is no Return key.
	c.input(now, bytes.TrimLeft(conn.first, "\r\n"))
	c.run(ctx, jobs)
	lasted := time.Since(c.start)
	if !c.watch.believeAt.IsZero() {
		// NO CARRIER came, and PPP had ended before it could be believed.
		c.hungUp()
	}
	stop()
	if c.stack != nil {
		c.stack.Close()
	}
	c.jobs.Wait()
	c.traffic()
	c.login.finish(c.cause, lasted, c.sess.Counts())
	return outcome{
		login: c.login,
		role:  cfg.ppp.Role, reason: c.cause, phase: c.phase, user: c.user, lasted: lasted, up: c.up, down: c.down,
	}, c.err
}

// run is the select loop. Writing never blocks it: one chunk at a time is with
// the writer, and timers and input go on meanwhile.
func (c *call) run(ctx, jobs context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for !c.dead {
		now := time.Now()
		c.events(jobs, now)
		c.fill(now)
		if c.finished(now) {
			if !c.over {
				c.cut(now, ppp.Reason{Side: ppp.Line, Code: ppp.CodeCarrierLost, Text: "PPP did not end in time"})
			}
			return
		}
		timer.Reset(c.deadline().Sub(now))
		select {
		case <-done:
			done = nil
			c.end(time.Now(), c.cfg.goodbye)
		case chunk, open := <-c.modem.wire.in:
			if !open {
				c.gone(c.modem.wire.err)
				return
			}
			c.input(time.Now(), chunk)
		case err := <-c.modem.wire.wrote:
			c.modem.wire.busy = false
			if err != nil {
				c.gone(err)
				return
			}
			c.down += int64(c.writing)
			c.writing = 0
		case <-c.wake():
		case j := <-c.answers:
			c.judged = j.user
			c.login.judged(j.answer)
			c.sess.Authenticate(time.Now(), j.answer)
		case l := <-c.logins:
			c.loggedIn(time.Now(), l)
		case text := <-c.told:
			if c.terminal != nil {
				c.terminal.told(time.Now(), text)
			}
		case err := <-c.served:
			c.servicesEnded(err)
		case <-timer.C:
			c.tick(time.Now())
		}
	}
}

// deadline is the earliest time at which something has to be done.
func (c *call) deadline() time.Time {
	first := c.sess.Deadline()
	if c.terminal != nil {
		first = c.terminal.due()
	}
	earlier := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	earlier(c.watch.believeAt)
	earlier(c.dcdAt)
	earlier(c.queueAt)
	earlier(c.trafficAt)
	earlier(c.endBy)
	earlier(c.greetBy)
	if c.endBy.IsZero() {
		earlier(c.idleAt())
		earlier(c.sessionAt())
	}
	if first.IsZero() {
		return time.Now().Add(time.Hour)
	}
	return first
}

func (c *call) idleAt() time.Time {
	if c.cfg.idleLimit <= 0 || c.phase < online {
		return time.Time{}
	}
	return c.lastIP.Add(c.cfg.idleLimit)
}

func (c *call) sessionAt() time.Time {
	if c.cfg.sessionLimit <= 0 {
		return time.Time{}
	}
	return c.start.Add(c.cfg.sessionLimit)
}

// tick does everything that is due.
func (c *call) tick(now time.Time) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if due(c.watch.believeAt) {
		c.carrierLost(now)
		return
	}
	if due(c.dcdAt) {
		c.dcdAt = now.Add(dcdEvery)
		if on, known := c.modem.carrier(); known && !on {
			c.carrierLost(now)
			return
		}
	}
	if due(c.queueAt) {
		c.queueAt = time.Time{}
	}
	if due(c.trafficAt) {
		c.trafficAt = time.Time{}
		c.traffic()
	}
	if c.endBy.IsZero() && due(c.idleAt()) {
		c.end(now, ppp.Reason{Side: ppp.Us, Code: ppp.CodeIdleLimit, Text: "no packet came for it in " + spoken(c.cfg.idleLimit)})
	}
	if c.endBy.IsZero() && due(c.sessionAt()) {
		c.end(now, ppp.Reason{Side: ppp.Us, Code: ppp.CodeSessionLimit, Text: "the limit of " + spoken(c.cfg.sessionLimit) + " for a call was reached"})
	}
	if due(c.greetBy) {
		c.startPPP(now)
	}
	switch {
	case c.terminal != nil:
		c.terminal.advance(now)
	case due(c.sess.Deadline()):
		c.sess.Advance(now)
	}
}

// input takes bytes from the line.
func (c *call) input(now time.Time, p []byte) {
	if len(p) == 0 {
		return
	}
	c.up += int64(len(p))
	if !c.watchDCD {
		c.watch.feed(now, p)
	}
	if c.terminal == nil { // a typed password is nothing to look at
		c.cfg.observer.Received(now, p)
	}
	if c.sniffing {
		c.sniff(now, p)
	} else {
		c.sess.Input(now, p)
	}
	c.count(now)
}

// events acts on what the session has to say.
func (c *call) events(jobs context.Context, now time.Time) {
	if c.terminal != nil {
		if c.wishes(jobs, now); c.terminal != nil {
			return
		}
	}
	for {
		ev := c.sess.NextEvent()
		switch ev.Kind {
		case ppp.NoEvent:
			return
		case ppp.EventAuth:
			c.judge(jobs, ev.Auth)
		case ppp.EventAuthenticated:
			c.phase = max(c.phase, addressing)
			c.login.by = ev.Auth.Method
			if c.user == "" {
				if c.user = c.judged; c.user == "" {
					c.user = userOf(ev.Auth.Name)
				}
				c.cfg.post(status.CallAuthenticated{At: now, Call: c.cfg.id, User: c.user, Method: ev.Auth.Method.String()})
			}
		case ppp.EventEncrypted:
			c.cfg.post(status.CallEncrypted{At: now, Call: c.cfg.id, Cipher: ev.Encryption})
		case ppp.EventCompressed:
			c.cfg.post(status.CallCompressed{At: now, Call: c.cfg.id, Compression: ev.Compression})
		case ppp.EventIPUp:
			c.cfg.post(status.CallRecognised{At: now, Call: c.cfg.id, Client: c.sess.Peer()})
			c.ipUp(jobs, now, ev)
			if c.cfg.sessionLimit > 0 {
				c.sess.TimeRemaining(now, c.sessionAt().Sub(now), "")
			}
		case ppp.EventPacket:
			if isFor(ev.Packet, c.local) {
				c.lastIP = now
			}
			if c.stack != nil {
				c.stack.Deliver(ev.Packet)
			}
		case ppp.EventEnded:
			c.because(ev.Reason)
			c.over = true
			c.endBy = now.Add(drainWait)
		}
	}
}

// isFor reports whether an IPv4 packet is addressed to one host. What a caller
// sends to others is no use of the call: Windows' NetBIOS broadcasts, and
// programs that look for the internet, would keep a forgotten one up for ever.
func isFor(packet []byte, host netip.Addr) bool {
	const destination = 16 // RFC 791 section 3.1
	return len(packet) >= destination+4 && netip.AddrFrom4([4]byte(packet[destination:])) == host
}

// ipUp makes the call's stack and opens the services on it, before the next
// event can be the caller's first packet.
func (c *call) ipUp(jobs context.Context, now time.Time, up ppp.Event) {
	if c.stack != nil {
		return // IPCP came up again; the addresses are the same
	}
	stack, err := c.cfg.newStack(Link{Local: up.Local, Peer: up.Peer, MTU: up.MTU, Rate: c.conn.rate})
	if err != nil {
		c.fail(now, "there is no TCP/IP for the call: "+err.Error())
		return
	}
	c.stack, c.local = stack, up.Local
	serve, err := c.cfg.online(c.user, up, stack)
	if err != nil {
		c.fail(now, "the services could not be opened: "+err.Error())
		return
	}
	c.phase, c.lastIP = online, now
	c.cfg.post(status.CallIPUp{At: now, Call: c.cfg.id, Peer: up.Peer})
	if serve != nil {
		c.jobs.Go(func() { c.served <- serve(jobs) })
	}
}

// fill gives the idle writer its next chunk: control frames first, then as
// many IP packets as make a burst. What is not pulled stays in the stack,
// where TCP's congestion control sees it.
func (c *call) fill(now time.Time) {
	w := c.modem.wire
	// Behind a NO CARRIER the modem would take our frames for commands, and
	// their echo for life on the line.
	if w.busy || !c.watch.believeAt.IsZero() {
		return
	}
	c.out = append(c.out[:0], c.text...)
	c.text = c.text[:0]
	if c.terminal != nil {
		c.out = c.terminal.output(c.out)
	} else {
		c.out = c.sess.Output(c.out)
	}
	for c.pulls(now) && len(c.out) < burst {
		packet, found := c.stack.Next(c.packet[:0])
		if !found {
			break
		}
		c.packet = packet
		if c.sess.SendIP(now, packet) {
			c.out = c.sess.Output(c.out)
		}
	}
	if len(c.out) > 0 {
		c.writing = len(c.out)
		c.cfg.observer.Sent(now, c.out)
		w.start(c.out)
		c.count(now)
	}
}

// pulls reports whether IP packets may go to the line now.
func (c *call) pulls(now time.Time) bool {
	if c.stack == nil || !c.endBy.IsZero() || !c.queueAt.IsZero() {
		return false
	}
	if port, found := c.modem.wire.port.(outputQueue); found {
		if waiting, known := port.OutputWaiting(); known && waiting > queueRoom {
			c.queueAt = now.Add(queueEvery)
			return false
		}
	}
	return true
}

// wake is the stack's, when a packet could be taken from it.
func (c *call) wake() <-chan struct{} {
	if c.stack == nil || c.modem.wire.busy || !c.endBy.IsZero() || !c.queueAt.IsZero() || !c.watch.believeAt.IsZero() {
		return nil
	}
	return c.stack.Wake()
}

// count starts the clock for the next report of traffic.
func (c *call) count(now time.Time) {
	if c.trafficAt.IsZero() {
		c.trafficAt = now.Add(trafficEvery)
	}
}

// traffic reports the bytes on the line, when there are new ones.
func (c *call) traffic() {
	if sum := c.up + c.down; sum != c.posted {
		c.posted = sum
		c.cfg.post(status.CallTraffic{Call: c.cfg.id, Up: c.up, Down: c.down})
	}
}
