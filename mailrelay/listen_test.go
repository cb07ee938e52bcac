package mailrelay

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/mailrelay/spool"
)

// pipes is a listener for sessions over net.Pipe, which live inside a
// synctest bubble, where waiting costs no time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	errs   chan error // given out by Accept, if any
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), errs: make(chan error, 1)}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// client is a raw session: what it does not read is not hidden by a library.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (p *pipes) dial(t *testing.T) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
	case <-p.closed:
		t.Fatal("the listener is closed")
	}
	return &client{t, ours, bufio.NewReader(ours)}
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("writing %.40q: %v", s, err)
	}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("after %q: %v", line, err)
	}
	if !strings.HasSuffix(line, "\r\n") {
		c.t.Fatalf("line %q does not end in CRLF", line)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// expect reads a line that must begin with prefix.
func (c *client) expect(prefix string) string {
	c.t.Helper()
	line := c.line()
	if !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("got %q, want %s…", line, prefix)
	}
	return line
}

func (c *client) ask(command, prefix string) string {
	c.t.Helper()
	c.write(command + "\r\n")
	return c.expect(prefix)
}

// block reads a multi-line response behind its first line, undoing nothing.
func (c *client) block() []string {
	c.t.Helper()
	var lines []string
	for {
		line := c.line()
		if line == "." {
			return lines
		}
		lines = append(lines, line)
	}
}

func (c *client) expectEOF() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil {
		c.t.Fatalf("got %q, %v in place of the end", rest, err)
	}
}

const alicePassword = "open sesame & co"

func testAccounts() AccountList {
	return AccountList{
		{User: "alice", Addresses: []string{"alice@example.org", "a.smith@example.org"}, Password: func() string { return alicePassword }},
		{User: "bob", Addresses: []string{"bob@example.org"}, Password: func() string { return "bob's" }},
		{User: "nopass", Addresses: []string{"nopass@example.org"}, Password: func() string { return "" }},
	}
}

func testSpool(t testing.TB) *spool.Spool {
	t.Helper()
	s, err := spool.Open(t.TempDir(), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// journalLog is where a test looks for what must not be logged.
type journalLog struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (j *journalLog) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journalLog) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journalLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serving runs serve over pipes for the length of play, inside a bubble, and
// fails if serve does not return when its context ends.
func serving(t *testing.T, serve func(context.Context, net.Listener) error, play func(*testing.T, *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newPipes()
		done := make(chan error, 1)
		go func() { done <- serve(ctx, l) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		play(t, l)
	})
}

func TestOneConnectionTooManyIsToldSoAndTheOthersGoOn(t *testing.T) {
	echo := func(_ context.Context, c net.Conn) { io.Copy(c, c) }
	serve := func(ctx context.Context, l net.Listener) error {
		return serveConns(ctx, l, slog.New(slog.DiscardHandler), "busy\r\n", echo)
	}
	serving(t, serve, func(t *testing.T, l *pipes) {
		var all []*client
		for range maxConns {
			all = append(all, l.dial(t))
		}
		extra := l.dial(t)
		extra.expect("busy")
		extra.expectEOF()
		for _, c := range all {
			c.ask("x", "x")
		}
		all[0].conn.Close()
		synctest.Wait()
		l.dial(t).ask("y", "y")
	})
}

func TestAPassingErrorOfTheKernelDoesNotEndTheService(t *testing.T) {
	echo := func(_ context.Context, c net.Conn) { io.Copy(c, c) }
	serve := func(ctx context.Context, l net.Listener) error {
		return serveConns(ctx, l, slog.New(slog.DiscardHandler), "busy\r\n", echo)
	}
	serving(t, serve, func(t *testing.T, l *pipes) {
		l.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		l.dial(t).ask("x", "x")
	})
}

func TestServeReturnsTheErrorOfAListenerThatBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		l.errs <- io.ErrNoProgress
		err := serveConns(t.Context(), l, slog.New(slog.DiscardHandler), "", nil)
		if err != io.ErrNoProgress {
			t.Errorf("error is %v", err)
		}
	})
}

func TestASlowLineIsNotCutOffWhileSomethingMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &idleConn{Conn: near, idle: time.Minute}
		go func() {
			c.Write(make([]byte, 100<<10))
			c.Close()
		}()
		total := 0
		for buf := make([]byte, 16<<10); ; {
			time.Sleep(50 * time.Second)
			n, err := far.Read(buf)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if total != 100<<10 {
			t.Errorf("%d octets came through", total)
		}
	})
}
