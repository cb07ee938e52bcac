package dialup

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

// office is a box with lines on a telephone network in software, all in one
// synctest bubble.
type office struct {
	t        *testing.T
	x        *exchange.Exchange
	services *fakeServices
	pool     *Pool
	ids      CallIDs
	random   *chance
	ctx      context.Context
	stop     context.CancelFunc
	begun    time.Time
	joined   sync.WaitGroup

	mu     sync.Mutex
	board  status.Board
	events []status.Event
	stacks []*fakeStack // the box's, a call each
	calls  []*fakeStack // the callers'
}

var boxAddress = netip.MustParseAddr("10.64.64.1")

func newOffice(t *testing.T, cfg exchange.Config) *office {
	t.Helper()
	if cfg.Train == 0 {
		cfg.Train = 3 * time.Second
	}
	o := &office{t: t, x: exchange.New(cfg), services: &fakeServices{}, random: newChance(1), begun: time.Now()}
	var err error
	if o.pool, err = NewPool(netip.MustParsePrefix("10.64.64.0/24"), boxAddress); err != nil {
		t.Fatal(err)
	}
	o.ctx, o.stop = context.WithCancel(t.Context())
	t.Cleanup(func() { // of a test that has failed
		o.stop()
		o.joined.Wait()
	})
	return o
}

// line starts a line on the modem at number. Its end is that of close.
func (o *office) line(number string, change func(*LineConfig)) {
	cfg := LineConfig{
		Name: "line " + number,
		Open: func(context.Context) (Port, error) { return o.x.Modem(number).Open() },
		Init: []string{"ATZ", "AT&F&C1&D2S0=0"},
		PPP: ppp.Config{
			Rand: o.random, Hostname: "postern", LocalIP: boxAddress,
			Auth:       []ppp.AuthMethod{ppp.MSCHAPv2, ppp.MSCHAP, ppp.CHAPMD5, ppp.PAP},
			Encryption: ppp.EncryptionPrefer,
		},
		Pool: o.pool, Auth: passwords{"alice": "wonderland"}, NewStack: o.boxStack,
		Names: []string{"mail.postern.lan"}, Services: o.services,
		CallIDs: &o.ids, Post: o.post, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	o.joined.Go(func() {
		if err := NewLine(cfg).Run(o.ctx); err != nil {
			o.t.Error(err)
		}
	})
}

// close ends the lines in order and checks that nothing is left over.
func (o *office) close() {
	o.t.Helper()
	o.stop()
	o.joined.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range slices.Concat(o.stacks, o.calls) {
		s.check(o.t)
	}
	if o.services.running != 0 {
		o.t.Errorf("%d services are still running", o.services.running)
	}
	if len(o.pool.leased) != 0 {
		o.t.Errorf("addresses are still leased: %v", o.pool.leased)
	}
	if s := o.board.Snapshot(); len(s.Calls) != 0 {
		o.t.Errorf("calls that never ended: %+v", s.Calls)
	}
}

func (o *office) post(e status.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
	o.board.Post(e)
}

func (o *office) boxStack(l Link) (Stack, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := newFakeStack(l)
	s.wanted = true
	o.stacks = append(o.stacks, s)
	return s, nil
}

func (o *office) callerStack(l Link) (Stack, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := newFakeStack(l)
	o.calls = append(o.calls, s)
	return s, nil
}

// last is the newest of stacks.
func (o *office) last(stacks *[]*fakeStack) *fakeStack {
	o.mu.Lock()
	defer o.mu.Unlock()
	return (*stacks)[len(*stacks)-1]
}

// ended returns the calls that have ended, oldest first.
func (o *office) ended() []status.CallEnded {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []status.CallEnded
	for _, e := range o.events {
		if end, found := e.(status.CallEnded); found {
			all = append(all, end)
		}
	}
	return all
}

// verdict waits for the end of the n-th call.
func (o *office) verdict(n int) status.CallEnded {
	o.t.Helper()
	for range 1000 {
		if all := o.ended(); len(all) >= n {
			return all[n-1]
		}
		time.Sleep(time.Second)
	}
	o.t.Fatalf("call %d has not ended: %+v", n, o.board.Snapshot())
	return status.CallEnded{}
}

// states returns the states that a line went through.
func (o *office) states() []status.LineState {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []status.LineState
	for _, e := range o.events {
		if l, found := e.(status.LineChanged); found {
			all = append(all, l.State)
		}
	}
	return all
}

// callerConfig is a caller on the modem at number.
func (o *office) callerConfig(number string) CallerConfig {
	return CallerConfig{
		Open: func(context.Context) (Port, error) { return o.x.Modem(number).Open() },
		Init: []string{"ATZ"},
		PPP: ppp.Config{
			Rand: o.random, Name: "alice", Password: "wonderland", Encryption: ppp.EncryptionPrefer,
			Auth: []ppp.AuthMethod{ppp.MSCHAPv2, ppp.MSCHAP, ppp.CHAPMD5, ppp.PAP},
		},
		NewStack: o.callerStack, Log: slog.New(slog.DiscardHandler),
	}
}

const (
	theBox = "5550100"
	home   = "5550199"
)

// call dials the box and must reach it.
func (o *office) call() *Caller {
	o.t.Helper()
	c, err := Dial(o.t.Context(), o.callerConfig(home), theBox)
	if err != nil {
		o.t.Fatalf("call: %v; the box: %+v", err, o.ended())
	}
	o.t.Cleanup(func() { c.Close() })
	return c
}

// exchanges sends packets both ways and checks that they arrive unchanged.
func (o *office) exchanges(n int) {
	o.t.Helper()
	box, caller := o.last(&o.stacks), o.last(&o.calls)
	before, beforeCaller := len(box.received()), len(caller.received())
	var sent [][]byte
	for i := range n {
		p := ipPacket(i, 40+i*97%1400)
		sent = append(sent, p)
		caller.send(p)
		box.send(p)
	}
	for range 6000 {
		if len(box.received())-before >= n && len(caller.received())-beforeCaller >= n {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, got := range [][][]byte{box.received()[before:], caller.received()[beforeCaller:]} {
		if !slices.EqualFunc(got, sent, func(a, b []byte) bool { return string(a) == string(b) }) {
			o.t.Fatalf("%d packets arrived of %d, or were changed", len(got), len(sent))
		}
	}
}

// ipPacket is an IPv4 packet of size octets whose content is seeded by id.
func ipPacket(id, size int) []byte {
	p := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(id), byte(id >> 8)}).Read(p)
	copy(p, []byte{0x45, 0, byte(size >> 8), byte(size), byte(id >> 8), byte(id), 0, 0, 64, 17, 0, 0, 10, 64, 64, 2, 10, 64, 64, 1})
	return p
}

// textPacket is an IPv4 packet that carries text.
func textPacket(text string) []byte {
	return append(ipPacket(1, 20), text...)
}

// inBubble runs a test in a synctest bubble of its own, for each name.
func inBubble[T any](t *testing.T, cases map[string]T, test func(t *testing.T, c T)) {
	t.Helper()
	for name, c := range cases {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, c) })
		})
	}
}
