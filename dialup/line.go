package dialup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"postern/internal/status"
	"postern/ppp"
)

const (
	absentRetry = 10 * time.Second // the longest wait for an unplugged modem to come back
	faultRetry  = time.Minute      // the longest wait before a modem with a fault is tried again
	// checkEvery is how often an idle modem is asked whether it is still there:
	// a serial port does not tell that the box at its end has lost its power.
	checkEvery = 10 * time.Minute
	// clearLimit bounds a hang-up, which goes on when ctx has ended.
	clearLimit = 30 * time.Second
)

// CallIDs numbers the calls of all lines. The zero value is ready to use.
type CallIDs struct{ last atomic.Uint64 }

// Next returns the next number, from 1.
func (c *CallIDs) Next() status.CallID { return status.CallID(c.last.Add(1)) }

// Authenticator judges a caller's credentials. It may take its time (a RADIUS
// server, a database); ctx ends with the call.
type Authenticator interface {
	// Authenticate returns its answer and who req.Name stands for: callers type
	// their names in any case and with a domain before them, and status and
	// services are told one name for one user. An empty user is req.Name's.
	Authenticate(ctx context.Context, from Origin, req ppp.AuthRequest) (user string, answer ppp.Answer)
}

// LineConfig is one telephone line of an appliance.
type LineConfig struct {
	Name string
	// Open opens the port of the modem; it is called again whenever the port
	// has failed.
	Open func(context.Context) (Port, error)
	Init []string // AT commands, sent before every call
	// Rings is how many RINGs to wait for before answering; 0 is 1, or 2 with
	// CallerID, which is sent between the first and the second.
	Rings    int
	CallerID bool

	// PPP is the template for every call's session; Role, PeerIP and, when
	// Names are served, an unset DNS are filled in.
	PPP      ppp.Config
	Pool     *Pool
	Auth     Authenticator
	NewStack func(Link) (Stack, error)
	// Names is what callers may call the box; DNS on the call answers for them.
	Names    []string
	Services Services

	// Methods is shared by the lines, as a caller does not know which one answers;
	// nil: callers are always asked for PPP.Auth in its order.
	Methods *Methods

	IdleLimit    time.Duration // without an IP packet from the caller to the box; 0: none
	SessionLimit time.Duration // from CONNECT; 0: none

	Observe Observe // nil: nobody looks

	Terminal *Terminal // for callers who type; nil: they are not understood

	CallIDs *CallIDs
	Post    func(status.Event) // must not block
	Log     *slog.Logger
}

// Line answers one modem.
type Line struct {
	cfg LineConfig
	log *slog.Logger
	now status.LineChanged // as posted last
}

// NewLine returns a line that Run will keep.
func NewLine(cfg LineConfig) *Line {
	if cfg.Rings < 1 {
		cfg.Rings = 1
		if cfg.CallerID {
			cfg.Rings = 2
		}
	}
	cfg.PPP.Role = ppp.Answerer
	if len(cfg.Names) > 0 && !cfg.PPP.DNS[0].IsValid() {
		cfg.PPP.DNS[0] = cfg.PPP.LocalIP
	}
	return &Line{cfg: cfg, log: cfg.Log.With("line", cfg.Name)}
}

// Run keeps the line until ctx ends, and then ends its call in order. It
// returns nil; faults of the modem are shown, waited out and tried again.
func (l *Line) Run(ctx context.Context) error {
	retry := backoff{first: time.Second, most: absentRetry}
	for ctx.Err() == nil {
		port, err := l.cfg.Open(ctx)
		if err == nil {
			var wasReady bool
			wasReady, err = l.keep(ctx, port)
			if wasReady {
				retry.reset()
			}
		}
		if ctx.Err() != nil {
			break
		}
		l.trouble(status.LineAbsent, err.Error())
		sleep(ctx, retry.next())
	}
	return nil
}

// keep makes the modem on port ready and answers calls until the port fails or
// ctx ends.
func (l *Line) keep(ctx context.Context, port Port) (wasReady bool, err error) {
	w := newWire(port)
	defer w.close()
	m := newModem(w, l.log)
	retry := backoff{first: 2 * time.Second, most: faultRetry}
	for {
		if l.now.State != status.LineFault { // a fault is shown until it is mended
			l.state(status.LineStarting, "")
		}
		err := m.begin(ctx, l.cfg.Init)
		if err == nil && l.cfg.CallerID {
			err = m.showCallerID(ctx)
		}
		switch {
		case err == nil:
			wasReady = true
			retry.reset()
			err = l.attend(ctx, m)
		case isCommandError(err):
			l.trouble(status.LineFault, fmt.Sprintf("%s: %v", l.cfg.Name, err))
			err = m.pause(ctx, retry.next())
		}
		if err != nil {
			return wasReady, err
		}
	}
}

// attend waits for one call and carries it. It returns nil when the modem
// should be made ready anew.
func (l *Line) attend(ctx context.Context, m *modem) error {
	l.state(status.LineReady, "")
	rang := false
	for {
		if m.ring.rings > 0 && time.Since(m.ring.last) > ringCadence {
			m.ring, rang = ringing{}, false
			l.log.Info("caller gave up ringing")
			l.state(status.LineReady, "")
		}
		deadline := time.Now().Add(checkEvery)
		if m.ring.rings > 0 {
			if !rang {
				rang = true
				l.state(status.LineRinging, "")
			}
			if m.ring.rings >= l.cfg.Rings {
				return l.answer(ctx, m)
			}
			deadline = m.ring.last.Add(ringCadence + time.Millisecond)
		}
		r, err := m.next(ctx, deadline)
		switch {
		case errors.Is(err, errSilence) && m.ring.rings == 0:
			if _, err := m.insist(ctx, "AT"); isCommandError(err) {
				return nil // making it ready will say what is wrong
			} else if err != nil {
				return err
			}
		case err != nil && !errors.Is(err, errSilence):
			return err
		case r.code == connect:
			l.log.Warn("modem connected without being told to", "result", r.text)
			return l.clear(ctx, m)
		}
	}
}

// answer takes the call that rings.
func (l *Line) answer(ctx context.Context, m *modem) error {
	id, number := l.cfg.CallIDs.Next(), m.ring.number
	log := l.log.With("call", id)
	started := time.Now()
	l.cfg.Post(status.CallStarted{At: started, Call: id, Line: l.cfg.Name, Number: number})
	l.state(status.LineTraining, "")

	conn, err := m.connect(ctx, "ATA")
	var end outcome
	var observer Observer = nobody{}
	if err != nil {
		end = notConnected(ctx, err)
	} else {
		now := time.Now()
		l.cfg.Post(status.CallConnected{At: now, Call: id, Rate: conn.rate, Result: conn.result})
		l.state(status.LineNegotiating, "")
		observer = l.cfg.Observe.start(id, l.cfg.Name, now)
		end, err = l.carry(ctx, m, conn, id, newOrigin(l.cfg.Name, number), observer)
	}
	v := end.verdict()
	observer.Close(v.Text)
	l.cfg.Post(status.CallEnded{At: time.Now(), Call: id, Verdict: v})
	log.Info("call ended", "verdict", v.Text, "side", v.Side.String(), "code", v.Code,
		"number", number, "user", end.user, "rate", conn.rate, "seconds", int(time.Since(started).Seconds()),
		"up", end.up, "down", end.down)
	if errors.Is(err, errGone) {
		return err
	}
	return l.clear(ctx, m)
}

// carry leases the caller's address and runs PPP on the carrier.
func (l *Line) carry(ctx context.Context, m *modem, conn connection, id status.CallID, from Origin, observer Observer) (outcome, error) {
	address, err := l.cfg.Pool.Lease()
	if err != nil {
		return outcome{reason: ppp.Reason{Side: ppp.Us, Code: codeServices, Text: err.Error()}}, nil
	}
	defer l.cfg.Pool.Release(address)
	cfg := callConfig{
		id: id, from: from, ppp: l.cfg.PPP, auth: l.cfg.Auth, newStack: l.cfg.NewStack,
		idleLimit: l.cfg.IdleLimit, sessionLimit: l.cfg.SessionLimit,
		goodbye: shuttingDown, post: l.cfg.Post, observer: observer, terminal: l.cfg.Terminal,
	}
	cfg.ppp.PeerIP = address
	cfg.ppp.Auth = l.cfg.Methods.order(time.Now(), from, l.cfg.PPP)
	cfg.online = func(user string, up ppp.Event, s Stack) (func(context.Context) error, error) {
		resolve, err := newNames(up.Local, l.cfg.Names).open(s)
		if err != nil {
			return nil, err
		}
		serve, err := l.cfg.Services.Open(user, s)
		if err != nil {
			return nil, err
		}
		l.state(status.LineOnline, "")
		return both(resolve, serve), nil
	}
	end, err := carry(ctx, m, conn, cfg)
	l.learn(from, cfg.ppp.Auth, end.login)
	return end, err
}

// learn remembers what the call has told about how to ask its caller.
func (l *Line) learn(from Origin, asked []ppp.AuthMethod, told login) {
	if len(asked) == 0 {
		return
	}
	told.asked = asked[0]
	if first, changed := l.cfg.Methods.learn(time.Now(), from, l.cfg.PPP, told); changed {
		l.log.Info("the next call from there is asked for another log-in first", "number", from.Number, "method", first.String())
	}
}

// clear hangs up, also when ctx has ended: a caller must not be left on a
// line that nobody attends.
func (l *Line) clear(ctx context.Context, m *modem) error {
	l.state(status.LineHangingUp, "")
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearLimit)
	defer cancel()
	if err := m.hangup(late); err != nil {
		return err
	}
	return ctx.Err()
}

func (l *Line) state(s status.LineState, detail string) {
	l.now = status.LineChanged{At: time.Now(), Line: l.cfg.Name, State: s, Detail: detail}
	l.cfg.Post(l.now)
}

// trouble is state for what is tried again and again: it is posted and logged
// when it is news, so that the page shows since when it lasts.
func (l *Line) trouble(s status.LineState, detail string) {
	if l.now.State == s && l.now.Detail == detail {
		return
	}
	l.state(s, detail)
	l.log.Warn("no calls can be answered", "state", s.String(), "reason", detail)
}

var shuttingDown = ppp.Reason{Side: ppp.Us, Code: ppp.CodeShutdown, Text: "it is shutting down"}

// notConnected is the outcome of a call that never had a carrier.
func notConnected(ctx context.Context, err error) outcome {
	why := ppp.Reason{Side: ppp.Line, Code: codeNoConnect, Text: err.Error()}
	switch {
	case ctx.Err() != nil:
		why = shuttingDown
	case errors.Is(err, errGone):
		why.Code = codePort
	}
	return outcome{reason: why, phase: training}
}

// both runs two services until both have returned; when the first ends early,
// the other is ended too.
func both(a, b func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			err := a(ctx)
			cancel()
			first <- err
		}()
		err := b(ctx)
		cancel()
		if aerr := <-first; err == nil || errors.Is(err, context.Canceled) {
			err = aerr
		}
		return err
	}
}

// backoff doubles a wait up to most.
type backoff struct{ first, most, now time.Duration }

func (b *backoff) next() time.Duration {
	b.now = min(max(2*b.now, b.first), b.most)
	return b.now
}

func (b *backoff) reset() { b.now = 0 }

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
