package mailrelay

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

// submitLeg sends one user's queue to one provider.
//
// What is durable when: before the final dot goes out, the envelope says who may
// get the message by it; right after the server's 250 those are struck, before
// anything else is done. When the 250 is lost on the way, or the box dies between
// the two, the recipients are in doubt (submitdoubt.go, doc.go). Only after a
// bounce is in the sender's mailbox are the recipients it names struck.
//
// Two things can fail, with a back-off each. The leg (name, network, TLS,
// log-in): no message is charged for that, all wait and go together when it
// works again. A message (4xx, a connection that breaks under it): it waits by
// itself and the others pass it.
type submitLeg struct {
	u       *Upstream
	account UpstreamAccount
	poke    chan struct{}
	queued  chan struct{}

	arrivals arrivals  // by the user's fetching legs
	remote   string    // the server last used
	fault    string    // why the leg did not work the last time; empty: it did
	failures int       // of the leg, in a row
	retryAt  time.Time // of the leg
	denied   bool      // the last failure was the log-in
	quiet    time.Time // nothing hastens the next log-in before; never after retryAt
	seen     map[string]bool
	// unsaved are envelopes whose change the disk refused. They stand for what
	// the spool says, lest a message be sent again and again from a dying card.
	unsaved map[string]spool.Envelope
}

func newSubmitLeg(u *Upstream, a UpstreamAccount) *submitLeg {
	return &submitLeg{
		u: u, account: a, remote: a.Submit.Host,
		poke: make(chan struct{}, 1), queued: make(chan struct{}, 1),
		seen: make(map[string]bool), unsaved: make(map[string]spool.Envelope),
		// Until the queue has been read nobody knows of what was in doubt before.
		arrivals: arrivals{watched: true},
	}
}

func (l *submitLeg) run(ctx context.Context) {
	force := false
	for {
		next := l.pass(ctx, force)
		if ctx.Err() != nil {
			return
		}
		if force = l.rest(ctx, next); ctx.Err() != nil {
			return
		}
	}
}

// rest waits until next (zero: without end), a change of the queue, or a poke,
// and says whether it was a poke.
func (l *submitLeg) rest(ctx context.Context, next time.Time) (poked bool) {
	var timer <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(max(0, next.Sub(l.u.now())))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-timer:
	case <-l.queued:
	case <-l.poke:
		return true
	}
	return false
}

// pass sends what is due, all of the queue if force is set, and returns when to
// come back; zero: when something is queued.
func (l *submitLeg) pass(ctx context.Context, force bool) (next time.Time) {
	now := l.u.now()
	queue, err := l.load(now)
	if err != nil {
		l.fail(now, "", faultOf(l.account.Submit, "reading the queue", err))
		return l.retryAt
	}
	if l.resolve(queue) {
		if queue, err = l.load(now); err != nil {
			l.fail(now, "", faultOf(l.account.Submit, "reading the queue", err))
			return l.retryAt
		}
	}
	fresh := l.noteFresh(queue)
	// A message that was just handed in is worth a try at once, for its sender is
	// still on the line; but trying a refused password often locks the account.
	held := now.Before(l.quiet) || now.Before(l.retryAt) && !force && (!fresh || l.denied)
	switch {
	case len(queue) == 0:
	case !ClockPlausible(now):
		l.u.report(l.account, status.Submit, "", clockFault(now))
		l.retryAt = now.Add(clockRecheck)
	case !held:
		l.sendDue(ctx, queue, force)
		if ctx.Err() != nil {
			return time.Time{}
		}
	}
	return l.postQueue()
}

// load reads the user's part of the queue and repairs what a box that did not
// know the date wrote into it.
func (l *submitLeg) load(now time.Time) ([]spool.Envelope, error) {
	all, err := l.u.spool.Queue()
	if err != nil {
		return nil, spoolFault(err)
	}
	var mine []spool.Envelope
	for _, env := range all {
		if env.User != l.account.User {
			continue
		}
		if changed, ok := l.unsaved[env.ID]; ok {
			if err := l.save(changed); err != nil {
				return nil, spoolFault(err)
			}
			if len(changed.To) == 0 {
				continue
			}
			env = changed
		}
		// Accepted in 1970, it would have expired long ago by the right clock.
		if ClockPlausible(now) && !ClockPlausible(env.Accepted) {
			env.Accepted = now
			if err := l.save(env); err != nil {
				return nil, spoolFault(err)
			}
		}
		// The clock has been set back: nothing waits longer than a pause can be.
		if env.Next.After(now.Add(max(l.u.retry.max, l.u.doubtDelay))) {
			env.Next = now
			if len(env.InDoubt) > 0 {
				env.Next = now.Add(l.u.doubtDelay)
			}
		}
		mine = append(mine, env)
	}
	return mine, nil
}

// noteFresh says whether the queue holds a message that was never looked at.
func (l *submitLeg) noteFresh(queue []spool.Envelope) bool {
	seen, fresh := make(map[string]bool, len(queue)), false
	for _, env := range queue {
		fresh = fresh || !l.seen[env.ID]
		seen[env.ID] = true
	}
	l.seen = seen
	return fresh
}

// postQueue tells how many messages wait and returns when the next is tried.
func (l *submitLeg) postQueue() (next time.Time) {
	now := l.u.now()
	queue, err := l.load(now)
	if err != nil {
		return now.Add(l.u.retry.min)
	}
	for i, env := range queue {
		if i == 0 || env.Next.Before(next) {
			next = env.Next
		}
	}
	if len(queue) > 0 && next.Before(l.retryAt) {
		next = l.retryAt
	}
	l.u.post(status.QueueChanged{User: l.account.User, Waiting: len(queue), NextTry: next})
	if due := l.tellDelays(queue); !due.IsZero() && due.Before(next) {
		return due
	}
	return next
}

// sendDue opens sessions until everything due has had its try. A session that
// breaks under a message is charged to that message, which then is not due any
// more, so the loop ends.
func (l *submitLeg) sendDue(ctx context.Context, queue []spool.Envelope, force bool) {
	now := l.u.now()
	due := slices.DeleteFunc(slices.Clone(queue), func(env spool.Envelope) bool { return notBefore(env, force).After(now) })
	for len(due) > 0 && ctx.Err() == nil {
		var f *fault
		due, f = l.session(ctx, due)
		if ctx.Err() != nil {
			return
		}
		if f != nil {
			l.expire(f)
			return
		}
	}
}

// session logs in and sends the envelopes in turn. It returns those it did not
// come to, and the fault if the leg itself does not work.
func (l *submitLeg) session(ctx context.Context, due []spool.Envelope) (rest []spool.Envelope, f *fault) {
	u, a := l.u, l.account
	limited, cancel := context.WithTimeout(ctx, sessionLimit)
	defer cancel()
	c, tls, err := l.open(limited)
	if err != nil {
		return due, l.fail(u.now(), tls, faultOf(a.Submit, "logging in", err))
	}
	defer c.close()
	l.failures, l.retryAt, l.quiet, l.denied, l.fault = 0, time.Time{}, time.Time{}, false, ""
	u.report(a, status.Submit, tls, nil)
	for i, env := range due {
		broken := l.send(ctx, c, env)
		if broken == nil {
			continue
		}
		f := faultOf(a.Submit, "sending mail", broken)
		if f.auth {
			return due[i+1:], l.fail(u.now(), tls, f)
		}
		if ctx.Err() == nil {
			u.report(a, status.Submit, tls, f)
		}
		return due[i+1:], nil
	}
	if err := c.Quit(); err != nil {
		u.log.Debug("upstream did not take leave", "upstream", a.Upstream, "err", err)
	}
	return nil, nil
}

// open logs in at the submission server, or at the fall-back if that one
// cannot be used. A refused log-in is not taken elsewhere: it would only lock
// the account sooner.
func (l *submitLeg) open(ctx context.Context) (c *submitClient, tls string, err error) {
	a := l.account
	c, tls, err = l.openAt(ctx, a)
	var f *fault
	if err == nil || a.SubmitFallback.IsZero() || errors.As(err, &f) && f.auth || ctx.Err() != nil {
		return c, tls, err
	}
	l.u.log.Warn("the submission server does not work; trying the fall-back", "user", a.User, "upstream", a.Upstream, "server", a.Submit.String(), "err", err)
	a.Submit = a.SubmitFallback
	c, fallbackTLS, fallbackErr := l.openAt(ctx, a)
	if fallbackErr != nil {
		l.u.log.Warn("nor does the fall-back", "user", a.User, "upstream", a.Upstream, "server", a.Submit.String(), "err", fallbackErr)
		return nil, tls, err
	}
	return c, fallbackTLS, nil
}

func (l *submitLeg) openAt(ctx context.Context, a UpstreamAccount) (c *submitClient, tls string, err error) {
	if c, err = dialSubmit(ctx, l.u.dial, a, l.u.hostname, l.u.now); err != nil {
		return nil, "", err
	}
	tls = c.conn.description()
	if err := c.login(ctx, a); err != nil {
		c.close()
		return nil, tls, err
	}
	l.remote = a.Submit.Host
	return c, tls, nil
}

// fail notes that the leg does not work.
func (l *submitLeg) fail(now time.Time, tls string, f *fault) *fault {
	l.failures++
	l.denied, l.fault = f.auth, f.text
	l.retryAt, l.quiet = now.Add(l.u.retry.delay(l.failures)), time.Time{}
	if f.auth {
		l.quiet = now.Add(l.account.Poll)
		l.retryAt = now.Add(max(l.account.Poll, l.u.retry.delay(l.failures)))
	}
	if !errors.Is(f.err, context.Canceled) {
		l.u.report(l.account, status.Submit, tls, f)
	}
	return f
}

// send gives one envelope its try and settles the result. The error says that
// the session cannot go on.
func (l *submitLeg) send(ctx context.Context, c *submitClient, env spool.Envelope) error {
	body, err := l.u.spool.OpenQueued(env.ID)
	if errors.Is(err, spool.ErrNoMessage) {
		return nil
	}
	if err != nil {
		f := spoolFault(err)
		l.settle(env, outcome{deferred: all(env.To, refusal{Status: "4.3.0", Text: f.Error()})})
		return nil
	}
	marked := env
	o := c.submit(env, body, func(to []string) (err error) {
		marked, err = l.mark(env, to)
		return err
	})
	body.Close()
	if len(o.inDoubt) > 0 {
		if env = marked; ctx.Err() == nil {
			o.broken = doubtFault(l.account.Submit, env, o.broken)
		}
	}
	if ctx.Err() != nil && len(o.accepted)+len(o.failed)+len(o.inDoubt) == 0 {
		// The box is being stopped: nothing is known of this message, and it is
		// not the message's doing.
		return ctx.Err()
	}
	l.settle(env, o)
	return o.broken
}
