package dialup

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

// strictPort shouts when a second Write comes while one is under way, or when
// the octets change that a Write still reads.
type strictPort struct {
	*exchange.Port
	t       *testing.T
	writing atomic.Bool
}

func (p *strictPort) Write(b []byte) (int, error) {
	if p.writing.Swap(true) {
		p.t.Error("two writes at once")
	}
	defer p.writing.Store(false)
	before := bytes.Clone(b)
	n, err := p.Port.Write(b)
	if !bytes.Equal(before, b) {
		p.t.Error("what is being written was changed")
	}
	return n, err
}

func TestPacketsStayInTheStackWhileTheLineIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{Rate: 2400})
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Open = func(context.Context) (Port, error) {
				p, err := o.x.Modem(theBox).Open()
				return &strictPort{Port: p, t: t}, err
			}
		})
		time.Sleep(10 * time.Second)
		c := o.call()
		box := o.last(&o.stacks)
		for i := range 20 {
			box.send(ipPacket(i, 1000))
		}
		for i := range 5 {
			time.Sleep(10 * time.Second) // 2.3 packets at 240 octets a second
			if left := box.queued(); left < 20-3*(i+1) {
				t.Fatalf("after %d s only %d of 20 packets are still in the stack", 10*(i+1), left)
			}
		}
		time.Sleep(time.Minute)
		if got := len(o.last(&o.calls).received()); got != 20 {
			t.Errorf("%d of 20 packets came", got)
		}
		c.Close()
		o.close()
	})
}

func TestLongFramesBothWaysOnASlowLineDoNotLookLikeADeadOne(t *testing.T) {
	inBubble(t, map[string]int{"300 bit/s": 300, "600 bit/s": 600, "1200 bit/s": 1200, "2400 bit/s": 2400}, func(t *testing.T, rate int) {
		o := newOffice(t, exchange.Config{Rate: rate, Delay: time.Second})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		o.exchanges(15)
		if len(o.ended()) > 0 {
			t.Fatalf("%+v", o.ended())
		}
		c.Close()
		o.close()
	})
}

// deepPort is a driver that takes everything at once and tells how much it
// still has.
type deepPort struct {
	Port
	mu      sync.Mutex
	more    *sync.Cond
	waiting []byte
	closed  bool
	most    int
	done    chan struct{}
}

func newDeepPort(p Port) *deepPort {
	d := &deepPort{Port: p, done: make(chan struct{})}
	d.more = sync.NewCond(&d.mu)
	go d.drain()
	return d
}

func (d *deepPort) drain() {
	defer close(d.done)
	for {
		d.mu.Lock()
		for len(d.waiting) == 0 && !d.closed {
			d.more.Wait()
		}
		if d.closed {
			d.mu.Unlock()
			return
		}
		p := d.waiting[:min(16, len(d.waiting))]
		d.waiting = d.waiting[len(p):]
		d.mu.Unlock()
		if _, err := d.Port.Write(p); err != nil {
			return
		}
	}
}

func (d *deepPort) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, p...)
	d.most = max(d.most, len(d.waiting))
	d.more.Signal()
	return len(p), nil
}

func (d *deepPort) OutputWaiting() (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting), true
}

func (d *deepPort) Close() error {
	d.mu.Lock()
	d.closed = true
	d.more.Signal()
	d.mu.Unlock()
	err := d.Port.Close()
	<-d.done
	return err
}

func TestADeepDriverIsNotFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		var deep *deepPort
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Open = func(context.Context) (Port, error) {
				p, err := o.x.Modem(theBox).Open()
				deep = newDeepPort(p)
				return deep, err
			}
		})
		time.Sleep(10 * time.Second)
		c := o.call()
		start := time.Now()
		o.exchanges(100)
		// The line must be kept busy all the same: 100 packets of 720 octets on
		// average, and framing, at 3,360 a second.
		if took := time.Since(start); took > 33*time.Second {
			t.Errorf("100 packets took %v", took)
		}
		if deep.most > 4000 {
			t.Errorf("the driver had to hold %d octets", deep.most)
		}
		c.Close()
		o.close()
	})
}

func TestAPacketIsSentWhenTheStackHasItAndNotLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		for i := range 10 {
			time.Sleep(1300 * time.Millisecond)
			o.last(&o.stacks).send(ipPacket(i, 40))
			time.Sleep(100 * time.Millisecond)
			if got := len(o.last(&o.calls).received()); got != i+1 {
				t.Fatalf("packet %d has not come after 100 ms", i)
			}
		}
		c.Close()
		o.close()
	})
}

func TestNothingIsWrittenBehindNoCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		s := &script{}
		s.reply = func(c string) string {
			if c != "ATA" {
				return okay
			}
			go func() {
				// LCP asks again after 3 s, within the silence; its echo would
				// look like life.
				time.Sleep(2500 * time.Millisecond)
				s.say("\r\nNO CARRIER\r\n")
				s.echo.Store(true)
			}()
			return "\r\nCONNECT 33600\r\n"
		}
		o.line(theBox, s.plugIn)
		time.Sleep(time.Second)
		s.say("\r\nRING\r\n")
		start := time.Now()
		end := o.verdict(1)
		if took := end.At.Sub(start); took > 4*time.Second || end.Verdict.Code != ppp.CodeCarrierLost {
			t.Errorf("after %v: %+v", took, end.Verdict)
		}
		o.close()
	})
}

// stuckPort stops taking characters when told, as with CTS low, until Close.
type stuckPort struct {
	Port
	stuck  atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (p *stuckPort) Write(b []byte) (int, error) {
	if p.stuck.Load() {
		<-p.closed
		return 0, errors.New("closed")
	}
	return p.Port.Write(b)
}

func (p *stuckPort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Port.Close()
}

func TestAPortThatTakesNothingMoreEndsTheCallAndIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{NoLines: true})
		var mu sync.Mutex
		var ports []*stuckPort
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Open = func(context.Context) (Port, error) {
				p, err := o.x.Modem(theBox).Open()
				mu.Lock()
				defer mu.Unlock()
				ports = append(ports, &stuckPort{Port: p, closed: make(chan struct{})})
				return ports[len(ports)-1], err
			}
		})
		time.Sleep(10 * time.Second)
		c := o.call()
		mu.Lock()
		ports[0].stuck.Store(true)
		mu.Unlock()
		o.last(&o.stacks).send(ipPacket(1, 1000))
		start := time.Now()
		o.verdict(1)
		if took := time.Since(start); took > 25*time.Second {
			t.Errorf("the end took %v", took)
		}
		c.Close()
		time.Sleep(time.Minute)
		o.call().Close()
		mu.Lock()
		defer mu.Unlock()
		if len(ports) != 2 || !slices.Contains(o.states(), status.LineAbsent) {
			t.Errorf("the port was opened %d times", len(ports))
		}
		o.close()
	})
}

func TestAPortThatFailsAtOnceIsNotOpenedInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		var opened atomic.Int64
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Open = func(context.Context) (Port, error) {
				opened.Add(1)
				p, err := o.x.Modem(theBox).Open()
				if err == nil {
					p.Close()
				}
				return p, err
			}
		})
		time.Sleep(time.Hour)
		if n := opened.Load(); n < 100 || n > 400 {
			t.Errorf("the port was opened %d times in an hour", n)
		}
		o.close()
	})
}

func TestDialTakesOnlyWhatAModemCanDial(t *testing.T) {
	for _, number := range []string{"", "5550100\rATH", "5550100;", "localhost"} {
		if _, err := Dial(t.Context(), CallerConfig{}, number); err == nil {
			t.Errorf("%q was dialled", number)
		}
	}
}

func TestEveryEndIsASentence(t *testing.T) {
	for _, test := range []struct {
		end  outcome
		want string
	}{
		{outcome{reason: ppp.Reason{Side: ppp.Peer, Code: ppp.CodePeerHangup, Text: "the caller hung up"}, phase: online, user: "alice", lasted: 192 * time.Second},
			"alice hung up after 3 min 12 s"},
		{outcome{reason: ppp.Reason{Side: ppp.Peer, Code: ppp.CodePeerHangup, Text: `the caller hung up, saying "bye"`}, phase: negotiating},
			`The caller hung up during negotiation, saying "bye"`},
		{outcome{role: ppp.Caller, reason: ppp.Reason{Side: ppp.Peer, Code: ppp.CodePeerHangup, Text: "the answering side hung up"}, phase: online, user: "alice", lasted: time.Hour + 5*time.Minute},
			"The answering side hung up after 1 h 5 min"},
		{outcome{reason: ppp.Reason{Side: ppp.Line, Code: ppp.CodeCarrierLost, Text: "x"}, phase: authenticating},
			"The line lost its carrier during authentication"},
		{outcome{reason: shuttingDown, phase: online, user: "alice", lasted: 42 * time.Second},
			"This box ended the call with alice after 42 s: it is shutting down"},
		{outcome{reason: ppp.Reason{Side: ppp.Line, Code: codePort, Text: "the port of the modem is gone: EOF"}, phase: addressing},
			"The modem vanished during the set-up of IP: the port of the modem is gone: EOF"},
	} {
		v := test.end.verdict()
		if v.Text != test.want || v.Code != test.end.reason.Code {
			t.Errorf("%+v, want %q", v, test.want)
		}
	}
}
