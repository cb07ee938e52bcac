package dialup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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

// fakeStack is a TCP/IP stack that keeps what it is given. It complains about
// packets that come before the services listen, and about use after Close.
type fakeStack struct {
	link Link
	wake chan struct{}

	mu        sync.Mutex
	wanted    bool // the services must listen before a packet comes
	listening map[uint16]bool
	got       [][]byte
	waiting   [][]byte
	closed    bool
	misuse    []string
}

func newFakeStack(link Link) *fakeStack {
	return &fakeStack{link: link, wake: make(chan struct{}, 1), listening: make(map[uint16]bool)}
}

func (s *fakeStack) shout(format string, args ...any) {
	s.misuse = append(s.misuse, fmt.Sprintf(format, args...))
}

// check complains about what went wrong in the stack's life, now over.
func (s *fakeStack) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		t.Errorf("the stack towards %v is still open", s.link.Peer)
	}
	for _, text := range s.misuse {
		t.Error(text)
	}
}

func (s *fakeStack) Deliver(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.shout("a packet was delivered after Close")
	}
	if s.wanted && !s.listening[110] {
		s.shout("a packet was delivered before POP3 was listening")
	}
	s.got = append(s.got, slices.Clone(p))
}

func (s *fakeStack) Next(dst []byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return dst, false
	}
	p := s.waiting[0]
	s.waiting = s.waiting[1:]
	return append(dst, p...), true
}

func (s *fakeStack) Wake() <-chan struct{} { return s.wake }

// send queues an IP packet for the line.
func (s *fakeStack) send(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *fakeStack) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

func (s *fakeStack) received() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *fakeStack) Listen(port uint16) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening[port] = true
	return &fakeListener{closed: make(chan struct{})}, nil
}

func (s *fakeStack) ListenPacket(uint16) (net.PacketConn, error) {
	return &fakePackets{closed: make(chan struct{})}, nil
}

func (s *fakeStack) Dial(context.Context, netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("the fake stack does not dial")
}

func (s *fakeStack) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.shout("Close was called twice")
	}
	s.closed = true
}

type fakeListener struct {
	once   sync.Once
	closed chan struct{}
}

func (l *fakeListener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l *fakeListener) Close() error              { l.once.Do(func() { close(l.closed) }); return nil }
func (l *fakeListener) Addr() net.Addr            { return nil }

type fakePackets struct {
	net.PacketConn
	once   sync.Once
	closed chan struct{}
}

func (l *fakePackets) ReadFrom([]byte) (int, net.Addr, error) {
	<-l.closed
	return 0, nil, net.ErrClosed
}
func (l *fakePackets) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

// fakeServices serves POP3 by listening.
type fakeServices struct {
	mu      sync.Mutex
	users   []string
	running int
	fault   error         // what Open returns
	ends    time.Duration // serve fails after this; 0: never
}

func (s *fakeServices) Open(user string, network Network) (func(context.Context) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, user)
	if s.fault != nil {
		return nil, s.fault
	}
	l, err := network.Listen(110)
	if err != nil {
		return nil, err
	}
	ends := s.ends
	return func(ctx context.Context) error {
		s.count(1)
		defer s.count(-1)
		defer l.Close()
		if ends > 0 {
			sleep(ctx, ends)
			if ctx.Err() == nil {
				return errors.New("the spool is gone")
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}, nil
}

func (s *fakeServices) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running += n
}

// passwords judges callers from a table.
type passwords map[string]string

func (p passwords) Authenticate(ctx context.Context, req ppp.AuthRequest) ppp.Answer {
	sleep(ctx, 50*time.Millisecond) // somewhere a database is asked
	password, found := p[userOf(req.Name)]
	if !found {
		return ppp.Answer{Code: 691}
	}
	return ppp.Check(req, password)
}

// slowly asks a database that is far away.
type slowly struct{ Authenticator }

func (s slowly) Authenticate(ctx context.Context, req ppp.AuthRequest) ppp.Answer {
	sleep(ctx, 2*time.Second)
	return s.Authenticator.Authenticate(ctx, req)
}

// chance is the tests' randomness, the same in every run.
type chance struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func newChance(seed byte) *chance { return &chance{r: rand.NewChaCha8([32]byte{seed})} }

func (c *chance) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.Read(p)
}

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
