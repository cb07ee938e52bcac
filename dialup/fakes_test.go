package dialup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

func (p passwords) Authenticate(ctx context.Context, _ Origin, req ppp.AuthRequest) (string, ppp.Answer) {
	sleep(ctx, 50*time.Millisecond) // somewhere a database is asked
	user := strings.ToLower(userOf(req.Name))
	password, found := p[user]
	if !found {
		return user, ppp.Answer{Code: 691}
	}
	return user, ppp.Check(req, password)
}

// slowly asks a database that is far away.
type slowly struct{ Authenticator }

func (s slowly) Authenticate(ctx context.Context, from Origin, req ppp.AuthRequest) (string, ppp.Answer) {
	sleep(ctx, 2*time.Second)
	return s.Authenticator.Authenticate(ctx, from, req)
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
