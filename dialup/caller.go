package dialup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"postern/internal/status"
	"postern/ppp"
)

// CallerConfig is a modem to call out with, and who calls.
type CallerConfig struct {
	Open     func(context.Context) (Port, error)
	Init     []string
	PPP      ppp.Config // Name, Password, Auth, Encryption; Role is filled in
	NewStack func(Link) (Stack, error)

	Observe Observe // nil: nobody looks

	ID   status.CallID      // names the call in the events
	Post func(status.Event) // the call's events; must not block; nil: nobody listens
	Log  *slog.Logger       // nil: nobody reads
}

// Caller is a call that this end has made: the client's half of a self-test
// or of the demo.
type Caller struct {
	cfg   CallerConfig
	conn  connection
	up    ppp.Event
	stack Stack

	online  chan struct{} // closed when stack and up are set
	hangup  context.CancelFunc
	done    chan struct{} // closed when everything is joined
	verdict status.Verdict
}

// dialable is what may stand in a dial string (V.250 section 6.3.1) and cannot
// end the command.
const dialable = "0123456789*#+ABCDabcdTtPpWw,!@-() "

// EndedError is a call that ended before it was of use.
type EndedError struct{ Verdict status.Verdict }

func (e *EndedError) Error() string { return e.Verdict.Text }

// Dial calls number and returns when the other end's services can be reached.
// ctx bounds the dialling only. The error is an *EndedError when a call was
// made and ended, and says what the modem did otherwise.
func Dial(ctx context.Context, cfg CallerConfig, number string) (*Caller, error) {
	if cfg.Post == nil {
		cfg.Post = func(status.Event) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.PPP.Role = ppp.Caller
	if strings.Trim(number, dialable) != "" || number == "" {
		return nil, fmt.Errorf("%q is not a number that a modem can dial", number)
	}
	port, err := cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	w := newWire(port)
	m := newModem(w, cfg.Log)
	if err := m.begin(ctx, cfg.Init); err != nil {
		return nil, errors.Join(err, w.close())
	}
	c := &Caller{cfg: cfg, online: make(chan struct{}), done: make(chan struct{})}
	life, hangup := context.WithCancel(context.WithoutCancel(ctx))
	c.hangup = hangup
	if c.conn, err = m.connect(ctx, "ATDT"+number); err != nil {
		m.hangup(life) // whatever it was doing
		hangup()
		return nil, errors.Join(fmt.Errorf("dialling %s: %w", number, err), w.close())
	}
	cfg.Post(status.CallConnected{At: time.Now(), Call: cfg.ID, Rate: c.conn.rate, Result: c.conn.result})
	go c.run(life, m)

	select {
	case <-c.online:
		return c, nil
	case <-c.done:
	case <-ctx.Done():
		hangup()
		<-c.done
	}
	return nil, &EndedError{c.verdict}
}

// run carries the call and leaves nothing behind.
func (c *Caller) run(ctx context.Context, m *modem) {
	defer close(c.done)
	defer c.hangup()
	observer := c.cfg.Observe.start(c.cfg.ID, "caller", time.Now())
	end, err := carry(ctx, m, c.conn, callConfig{
		observer: observer,
		id:       c.cfg.ID, ppp: c.cfg.PPP, newStack: c.cfg.NewStack,
		// Without words: the answering side would show them as what we had to say.
		goodbye: ppp.Reason{Side: ppp.Us, Code: codeHangup},
		post:    c.cfg.Post,
		online: func(_ string, up ppp.Event, s Stack) (func(context.Context) error, error) {
			c.up, c.stack = up, s
			close(c.online)
			return nil, nil
		},
	})
	c.verdict = end.verdict()
	observer.Close(c.verdict.Text)
	c.cfg.Post(status.CallEnded{At: time.Now(), Call: c.cfg.ID, Verdict: c.verdict})
	c.cfg.Log.Info("call ended", "verdict", c.verdict.Text, "code", c.verdict.Code, "up", end.up, "down", end.down)
	if err == nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearLimit)
		defer cancel()
		if err := m.hangup(late); err != nil {
			c.cfg.Log.Warn("hanging up", "error", err)
		}
	}
	if err := m.wire.close(); err != nil {
		c.cfg.Log.Debug("closing the modem's port", "error", err)
	}
}

// Dial opens a TCP connection over the call.
func (c *Caller) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return c.stack.Dial(ctx, to)
}

// ListenPacket opens a UDP port of this end, 0 for any.
func (c *Caller) ListenPacket(port uint16) (net.PacketConn, error) {
	return c.stack.ListenPacket(port)
}

// Local is the address that the answering side has given us.
func (c *Caller) Local() netip.Addr { return c.up.Local }

// Peer is the answering side's address, where its services are.
func (c *Caller) Peer() netip.Addr { return c.up.Peer }

// DNS is the name servers that the answering side told; invalid without.
func (c *Caller) DNS() [2]netip.Addr { return c.up.DNS }

// Rate is the line's bit/s as the modem reported it, 0 if it did not.
func (c *Caller) Rate() int { return c.conn.rate }

// Done is closed when the call has ended, whoever ended it.
func (c *Caller) Done() <-chan struct{} { return c.done }

// Close hangs up in order, PPP first and then the modem, and says how the call
// ended. It may be called again.
func (c *Caller) Close() status.Verdict {
	c.hangup()
	<-c.done
	return c.verdict
}
