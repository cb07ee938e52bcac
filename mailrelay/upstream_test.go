package mailrelay

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

const secretWord = "correct horse"

// world is a provider, a spool and an upstream side between them, with alice on
// both. Its passes are run by the test, one at a time, unless the test calls Run.
type world struct {
	t        *testing.T
	provider *provider.Provider
	spool    *spool.Spool
	dir      string
	log      *bytes.Buffer
	clock    time.Time // of the upstream side

	mu     sync.Mutex
	events []status.Event
	grown  chan struct{}

	*Upstream
}

type worldOption func(*UpstreamConfig, *world)

func newWorld(t *testing.T, opts ...worldOption) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: new(bytes.Buffer), grown: make(chan struct{}), clock: time.Now()}
	p, err := provider.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.provider = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if strings.Contains(w.log.String(), secretWord) {
			t.Errorf("the log holds the password:\n%s", w.log)
		}
	})
	p.AddUser("alice@isp", secretWord)
	w.openSpool()
	t.Cleanup(func() { w.spool.Close() })
	w.restart(opts...)
	return w
}

func (w *world) openSpool() {
	w.t.Helper()
	sp, err := spool.Open(w.dir, spool.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.spool = sp
}

// crash forgets all that is not on disk.
func (w *world) crash(opts ...worldOption) {
	w.t.Helper()
	w.spool.Close()
	w.openSpool()
	w.restart(opts...)
}

func (w *world) restart(opts ...worldOption) {
	w.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.provider.CertificatePEM())
	cfg := UpstreamConfig{
		Hostname: "box.example",
		Now:      func() time.Time { return w.clock },
		Rand:     func() float64 { return 0 },
		// Tests of other things count the messages in the mailbox.
		StatusAfter: -1,
		Accounts: []UpstreamAccount{{
			User: "alice", Upstream: "isp",
			Fetch:    mustEndpoint(w.t, w.provider.POP3S()),
			Submit:   mustEndpoint(w.t, w.provider.SMTPS()),
			Username: "alice@isp", Password: func() string { return secretWord },
			RootCAs: roots,
		}},
	}
	for _, o := range opts {
		o(&cfg, w)
	}
	log := slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	u, err := NewUpstream(cfg, w.spool, w.post, log)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Upstream = u
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func mustEndpoint(t testing.TB, s string) Endpoint {
	t.Helper()
	e, err := ParseEndpoint(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func withStartTLS(cfg *UpstreamConfig, w *world) {
	cfg.Accounts[0].Fetch = mustEndpoint(w.t, w.provider.POP3StartTLS())
	cfg.Accounts[0].Submit = mustEndpoint(w.t, w.provider.SMTPStartTLS())
}

func withMaxSize(n int64) worldOption {
	return func(cfg *UpstreamConfig, _ *world) { cfg.MaxSize = n }
}

func (w *world) post(e status.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	close(w.grown)
	w.grown = make(chan struct{})
}

// wait returns the first event, from the from-th on, that fits.
func (w *world) wait(ctx context.Context, from int, fits func(status.Event) bool) (status.Event, int) {
	w.t.Helper()
	for i := from; ; i++ {
		w.mu.Lock()
		grown := w.grown
		if i < len(w.events) {
			e := w.events[i]
			w.mu.Unlock()
			if fits(e) {
				return e, i + 1
			}
			continue
		}
		w.mu.Unlock()
		i--
		select {
		case <-grown:
		case <-ctx.Done():
			w.t.Fatalf("the event never came; there were %+v", w.events)
		}
	}
}

// last is the newest event of a type.
func last[E status.Event](w *world) (e E) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, any := range w.events {
		if x, ok := any.(E); ok {
			e = x
		}
	}
	return e
}

func count[E status.Event](w *world) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, any := range w.events {
		if _, ok := any.(E); ok {
			n++
		}
	}
	return n
}

func (w *world) fetch() time.Duration { return w.fetches[0].pass(w.t.Context()) }

func (w *world) submit() time.Time { return w.submits[0].pass(w.t.Context(), false) }

// leg is how a direction stands after the last pass.
func (w *world) leg(dir status.Direction) (e status.UpstreamChanged) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, any := range w.events {
		if x, ok := any.(status.UpstreamChanged); ok && x.Direction == dir {
			e = x
		}
	}
	return e
}

func (w *world) mustWork(dir status.Direction) {
	w.t.Helper()
	if e := w.leg(dir); e.Fault != "" || e.TLS == "" {
		w.t.Fatalf("%v: fault %q, TLS %q", dir, e.Fault, e.TLS)
	}
}

func (w *world) mustFail(dir status.Direction, words ...string) {
	w.t.Helper()
	e := w.leg(dir)
	if e.Fault == "" {
		w.t.Fatalf("%v works, and should not", dir)
	}
	for _, word := range words {
		if !strings.Contains(e.Fault, word) {
			w.t.Errorf("%v: the fault does not say %q: %s", dir, word, e.Fault)
		}
	}
	if strings.Contains(e.Fault, secretWord) {
		w.t.Errorf("the fault holds the password: %s", e.Fault)
	}
	w.t.Logf("%v: %s", dir, e.Fault)
}

func (w *world) accept(from string, body string, to ...string) spool.Envelope {
	w.t.Helper()
	env, err := w.spool.Accept(spool.Envelope{User: "alice", From: from, To: to, Accepted: w.clock}, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return env
}

func (w *world) queue() []spool.Envelope {
	w.t.Helper()
	q, err := w.spool.Queue()
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// mailbox is what waits for alice.
func (w *world) mailbox() (bodies []string) {
	w.t.Helper()
	drop, err := w.spool.Lock("alice")
	if err != nil {
		w.t.Fatal(err)
	}
	defer drop.Unlock()
	for _, m := range drop.Messages() {
		r, err := drop.Open(m.UID)
		if err != nil {
			w.t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		bodies = append(bodies, string(b))
	}
	return bodies
}

// callerDeletes deletes the n oldest messages as a caller's QUIT does.
func (w *world) callerDeletes(n int) {
	w.t.Helper()
	drop, err := w.spool.Lock("alice")
	if err != nil {
		w.t.Fatal(err)
	}
	defer drop.Unlock()
	var uids []string
	for _, m := range drop.Messages()[:n] {
		uids = append(uids, m.UID)
	}
	if err := drop.Delete(uids); err != nil {
		w.t.Fatal(err)
	}
}

func TestRunFetchesAndSubmitsAtOnceAndJoinsItsLegs(t *testing.T) {
	for _, form := range []struct {
		name string
		opts []worldOption
	}{{"implicit TLS", nil}, {"STARTTLS", []worldOption{withStartTLS}}} {
		t.Run(form.name, func(t *testing.T) {
			w := newWorld(t, form.opts...)
			w.provider.AddMessage("alice@isp", []byte("Subject: waits\r\n\r\nhello\r\n"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			running, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- w.Run(running) }()

			_, n := w.wait(ctx, 0, func(e status.Event) bool { _, ok := e.(status.MailFetched); return ok })
			w.wait(ctx, n, func(e status.Event) bool {
				u, ok := e.(status.UpstreamChanged)
				return ok && u.Direction == status.Fetch
			})

			w.accept("alice@example.org", "Subject: out\r\n\r\nbye\r\n", "bob@example.net")
			w.Queued("alice")
			got, err := w.provider.WaitReceived(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			if string(got[0].Body) != "Subject: out\r\n\r\nbye\r\n" || got[0].User != "alice@isp" || got[0].Size != 21 {
				t.Errorf("received %+v", got[0])
			}
			w.provider.AddMessage("alice@isp", []byte("second\r\n"))
			w.Poke("alice")
			w.wait(ctx, n, func(e status.Event) bool { _, ok := e.(status.MailFetched); return ok })
			w.wait(ctx, 0, func(e status.Event) bool { q, ok := e.(status.QueueChanged); return ok && q.Waiting == 0 })

			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			w.mustWork(status.Fetch)
			w.mustWork(status.Submit)
			if e := w.leg(status.Submit); e.TLS != got[0].TLS || !strings.HasPrefix(e.TLS, "TLS 1.3, TLS_") {
				t.Errorf("the leg says %q, the provider %q", e.TLS, got[0].TLS)
			}
		})
	}
}

func TestEndOfTheBoxEndsASessionInTheMiddle(t *testing.T) {
	// A server that accepts and then says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWorld(t, func(cfg *UpstreamConfig, w *world) {
		cfg.Accounts[0].Fetch = mustEndpoint(w.t, "pop3+starttls://"+l.Addr().String())
		cfg.Accounts[0].Submit = Endpoint{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := count[status.UpstreamChanged](w); n != 0 {
		t.Errorf("%d faults reported for the end of the box", n)
	}
}

func TestEndOfTheBoxEndsASessionUnderTLS(t *testing.T) {
	w := newWorld(t)
	silent := make(chan struct{})
	w.provider.SetFaults(provider.Faults{Silent: silent})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	<-silent
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := count[status.UpstreamChanged](w); n != 0 {
		t.Errorf("%d faults reported for the end of the box", n)
	}
}

func TestFailingLegIsTriedAgainAtTheBackOffsTimes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		// synctest begins in 2000, when no certificate of ours was valid.
		time.Sleep(time.Until(plausibleFrom.Add(time.Hour)))
		begin := time.Now()
		sp, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		if _, err := sp.Accept(spool.Envelope{User: "alice", From: "alice@example.org", To: []string{"bob@example.net"}, Accepted: begin}, strings.NewReader("x\r\n")); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var tries []time.Duration
		u, err := NewUpstream(UpstreamConfig{
			Accounts: []UpstreamAccount{{User: "alice", Upstream: "isp", Submit: mustEndpoint(t, "smtps://smtp.example.org")}},
			Rand:     func() float64 { return 0 },

			StatusAfter: -1,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				tries = append(tries, time.Since(begin))
				return nil, errors.New("no route to host")
			},
		}, sp, func(status.Event) {}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- u.Run(ctx) }()

		time.Sleep(6*time.Hour + time.Minute)
		synctest.Wait()
		tried := func() string { mu.Lock(); defer mu.Unlock(); return fmt.Sprint(tries) }
		// 1, 2, 4, ... minutes, then every 2 hours.
		want := "[0s 1m0s 3m0s 7m0s 15m0s 31m0s 1h3m0s 2h7m0s 4h7m0s"
		if got := tried(); got != want+"]" {
			t.Errorf("tries at %s, want %s]", got, want)
		}
		u.Queued("alice") // nothing new: the back-off stands
		synctest.Wait()
		if got := tried(); got != want+"]" {
			t.Errorf("a change of the queue without new mail made a try: %s", got)
		}
		u.Poke("alice")
		synctest.Wait()
		if got := tried(); got != want+" 6h1m0s]" {
			t.Errorf("tries after Poke at %s", got)
		}

		// After five days the message goes back to its sender.
		time.Sleep(5 * 24 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if q, _ := sp.Queue(); len(q) != 0 {
			t.Errorf("still queued after five days: %+v", q)
		}
		if m, _ := sp.Messages("alice"); len(m) != 2 {
			t.Errorf("%d messages, want a delay notice and a bounce", len(m))
		}
	})
}

func TestAccountsThatCannotWorkAreRefused(t *testing.T) {
	fetch, submit := mustEndpoint(t, "pop3s://a"), mustEndpoint(t, "smtps://a")
	for _, c := range []struct {
		name     string
		accounts []UpstreamAccount
		want     string
	}{
		{"no user", []UpstreamAccount{{Upstream: "isp", Fetch: fetch}}, "needs a user"},
		{"fetch from SMTP", []UpstreamAccount{{User: "a", Upstream: "isp", Fetch: submit}}, "no server to fetch"},
		{"submit to POP3", []UpstreamAccount{{User: "a", Upstream: "isp", Submit: fetch}}, "no server to submit"},
		{"same mailbox twice", []UpstreamAccount{{User: "a", Upstream: "isp", Fetch: fetch}, {User: "a", Upstream: "isp", Fetch: fetch}}, "twice"},
		{"two ways out", []UpstreamAccount{{User: "a", Upstream: "isp", Submit: submit}, {User: "a", Upstream: "other", Submit: submit}}, "two upstreams"},
	} {
		_, err := NewUpstream(UpstreamConfig{Accounts: c.accounts}, nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPasswordDoesNotPrint(t *testing.T) {
	a := UpstreamAccount{User: "alice", Password: func() string { return secretWord }}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if s := fmt.Sprintf(verb, a); strings.Contains(s, secretWord) {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func TestAFaultThatLastsIsLoggedOnce(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	for range 3 {
		w.fetch()
	}
	w.provider.SetFaults(provider.Faults{})
	w.fetch()
	w.fetch()
	if log := w.log.String(); strings.Count(log, "has a fault") != 1 || strings.Count(log, "works again") != 1 {
		t.Errorf("the log says\n%s", log)
	}
}
