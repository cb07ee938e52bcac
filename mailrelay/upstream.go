package mailrelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

const (
	defaultPoll        = 5 * time.Minute
	defaultMaxSize     = 50 << 20
	defaultRetryMin    = time.Minute
	defaultRetryMax    = 2 * time.Hour
	defaultRetryPeriod = 5 * 24 * time.Hour // RFC 5321 section 4.5.4.1: at least 4-5 days
	defaultDoubtDelay  = 30 * time.Minute
	defaultDelayAfter  = 4 * time.Hour
	defaultStatusAfter = 30 * time.Minute
	// clockRecheck is how soon a box without a date looks at its clock again.
	clockRecheck = 10 * time.Second
)

// UpstreamSpool is what the upstream side needs of the spool.
type UpstreamSpool interface {
	Known(user, upstream string) (map[string]bool, error)
	Deletions(user, upstream string) ([]string, error)
	Gone(user, upstream string, uids ...string) error
	Deliver(user string, src spool.Source, body io.Reader) (spool.Message, error)
	Queue() ([]spool.Envelope, error)
	OpenQueued(id string) (io.ReadCloser, error)
	Update(spool.Envelope) error
	Sent(id string) error   // to all that it was for
	Remove(id string) error // not to all
	Fits(user string, octets int64, messages int) error
	Status(user string) (state string, ok bool, err error)
	SetStatus(user, state string, body io.Reader) error
}

// UpstreamConfig is what NewUpstream needs. Only Accounts has no default.
type UpstreamConfig struct {
	Hostname    string // what the box calls itself in EHLO and in bounces; default "localhost"
	Accounts    []UpstreamAccount
	MaxSize     int64         // octets of a message that is still fetched; default 50 MiB
	RetryMin    time.Duration // first pause after a failure; default 1 minute
	RetryMax    time.Duration // longest pause; default 2 hours
	RetryPeriod time.Duration // until a message bounces; default 5 days
	// DoubtDelay is how long a message waits whose answer was lost, before it is
	// repeated; default 30 minutes.
	DoubtDelay time.Duration
	// DelayAfter is how long a message waits before its sender is told; default 4
	// hours, never if negative.
	DelayAfter time.Duration
	// StatusAfter is how long a leg is at fault before the user finds a status
	// message in his mailbox; default 30 minutes, never if negative. Of a log-in
	// or a certificate that does not do he is told at once.
	StatusAfter time.Duration

	Now  func() time.Time // default time.Now
	Rand func() float64   // jitter in [0, 1), called from several goroutines; default math/rand
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Upstream carries mail between the spool and the providers: one goroutine for
// each leg, that is for each user and direction.
type Upstream struct {
	hostname string
	spool    UpstreamSpool
	post     func(status.Event)
	log      *slog.Logger
	now      func() time.Time
	dial     dialFunc
	retry    retryPolicy
	maxSize  int64

	doubtDelay, delayAfter time.Duration

	health  health
	fetches []*fetchLeg
	submits []*submitLeg

	mu     sync.Mutex
	logged map[legName]string // the fault of each leg, as the log has it; empty: it works
}

// legName names a leg.
type legName struct {
	user, upstream string
	direction      status.Direction
}

// NewUpstream checks cfg. post receives what happens and must not block.
func NewUpstream(cfg UpstreamConfig, sp UpstreamSpool, post func(status.Event), log *slog.Logger) (*Upstream, error) {
	u := &Upstream{
		hostname: cfg.Hostname,
		spool:    sp,
		post:     post,
		log:      log,
		now:      cfg.Now,
		dial:     cfg.Dial,
		maxSize:  orDefault(cfg.MaxSize, defaultMaxSize),
		logged:   make(map[legName]string),

		doubtDelay: orDefault(cfg.DoubtDelay, defaultDoubtDelay),
		delayAfter: cfg.DelayAfter,
		retry: retryPolicy{
			min:    orDefault(cfg.RetryMin, defaultRetryMin),
			max:    orDefault(cfg.RetryMax, defaultRetryMax),
			during: orDefault(cfg.RetryPeriod, defaultRetryPeriod),
			rand:   cfg.Rand,
		},
	}
	if u.hostname == "" {
		u.hostname = "localhost"
	}
	if u.now == nil {
		u.now = time.Now
	}
	u.health = health{
		hostname: u.hostname, now: u.now, after: cfg.StatusAfter,
		legs: make(map[legName]bool), users: make(map[string]*userHealth),
	}
	if u.health.after == 0 {
		u.health.after = defaultStatusAfter
	}
	if u.delayAfter == 0 {
		u.delayAfter = defaultDelayAfter
	}
	if u.dial == nil {
		u.dial = (&net.Dialer{}).DialContext
	}
	if u.retry.rand == nil {
		u.retry.rand = rand.Float64
	}
	for _, a := range cfg.Accounts {
		if err := u.add(a); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func orDefault[T int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func (u *Upstream) add(a UpstreamAccount) error {
	a.Poll = orDefault(a.Poll, defaultPoll)
	switch {
	case a.User == "" || a.Upstream == "":
		return errors.New("an upstream account needs a user and the upstream's name")
	case !a.Fetch.IsZero() && a.Fetch.Direction != status.Fetch:
		return fmt.Errorf("upstream %s: %s is no server to fetch mail from", a.Upstream, a.Fetch)
	case !a.Submit.IsZero() && a.Submit.Direction != status.Submit:
		return fmt.Errorf("upstream %s: %s is no server to submit mail to", a.Upstream, a.Submit)
	case !a.SubmitFallback.IsZero() && a.SubmitFallback.Direction != status.Submit:
		return fmt.Errorf("upstream %s: %s is no server to submit mail to", a.Upstream, a.SubmitFallback)
	}
	if !a.Fetch.IsZero() {
		for _, l := range u.fetches {
			if l.account.User == a.User && l.account.Upstream == a.Upstream {
				return fmt.Errorf("user %s has the upstream %s twice", a.User, a.Upstream)
			}
		}
		u.fetches = append(u.fetches, &fetchLeg{u: u, account: a, poke: make(chan struct{}, 1), broken: make(map[string]strikes)})
		u.health.legs[legName{a.User, a.Upstream, status.Fetch}] = true
	}
	if !a.Submit.IsZero() {
		for _, l := range u.submits {
			if l.account.User == a.User {
				return fmt.Errorf("user %s has two upstreams to submit to: %s and %s", a.User, l.account.Upstream, a.Upstream)
			}
		}
		u.submits = append(u.submits, newSubmitLeg(u, a))
		u.health.legs[legName{a.User, a.Upstream, status.Submit}] = true
	}
	return nil
}

// Run carries mail until ctx ends, then returns when all legs have ended. It
// may be called once.
func (u *Upstream) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, l := range u.fetches {
		wg.Go(func() { l.run(ctx) })
	}
	for _, l := range u.submits {
		wg.Go(func() { l.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Poke looks for new mail of the user at once and tries all of the user's
// queue, whatever back-off stands; only a log-in that was refused is not tried
// again within the account's Poll. It never blocks.
func (u *Upstream) Poke(user string) {
	for _, l := range u.fetches {
		if l.account.User == user {
			signal(l.poke)
		}
	}
	for _, l := range u.submits {
		if l.account.User == user {
			signal(l.poke)
		}
	}
}

// Queued says that the user's queue has changed: a message that was accepted is
// submitted at once. It never blocks and may be called more often than needed,
// so it can be wired to the spool's Changed.
func (u *Upstream) Queued(user string) {
	for _, l := range u.submits {
		if l.account.User == user {
			signal(l.queued)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}

// pause waits until d has passed or wake is signalled; false when ctx ended.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return ctx.Err() == nil
}

// report posts and logs how a leg stands; f is nil when it works.
func (u *Upstream) report(a UpstreamAccount, dir status.Direction, tls string, f *fault) {
	e := status.UpstreamChanged{At: u.now(), User: a.User, Upstream: a.Upstream, Direction: dir, TLS: tls}
	if f != nil {
		e.Fault = f.text
	}
	leg := legName{a.User, a.Upstream, dir}
	u.note(leg, e.Fault)
	u.post(e)
	if err := u.health.note(u.spool, leg, f); err != nil {
		u.log.Warn("the status message in the mailbox is not up to date", "user", a.User, "err", err)
	}
}

// note logs what is news of a leg: a box without a clock says the same every
// ten seconds, and its log is on a memory card.
func (u *Upstream) note(leg legName, fault string) {
	u.mu.Lock()
	before := u.logged[leg]
	u.logged[leg] = fault
	u.mu.Unlock()
	log := u.log.With("user", leg.user, "upstream", leg.upstream, "direction", leg.direction)
	switch {
	case fault == before:
	case fault != "":
		log.Warn("upstream has a fault", "fault", fault)
	default:
		log.Info("upstream works again")
	}
}
