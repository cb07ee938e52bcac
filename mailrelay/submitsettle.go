package mailrelay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

// settle makes an outcome durable: first what was delivered, then the bounce,
// then the rest.
func (l *submitLeg) settle(env spool.Envelope, o outcome) {
	u, now := l.u, l.u.now()
	if len(o.accepted) > 0 {
		env.To = without(env.To, o.accepted)
		env.InDoubt = without(env.InDoubt, o.accepted)
		// What remains was not reached by this try only for its own reasons, and
		// begins anew.
		env.Attempts = 0
		if err := l.save(env); err != nil {
			u.log.Error("a message was sent and its queue entry cannot be changed", "id", env.ID, "err", err)
		}
		u.post(status.MailSubmitted{At: now, User: env.User, Octets: env.Size})
	}
	failed := o.failed
	if len(o.inDoubt) > 0 && env.Doubts >= maxDoubts {
		failed = append(failed, unclear(env)...)
	}
	if len(o.deferred) > 0 && u.retry.expired(env.Accepted, now) {
		for _, r := range o.deferred {
			failed = append(failed, u.retry.givenUp(r))
		}
	}
	if len(failed) > 0 {
		for i := range failed {
			failed[i] = withDoubt(failed[i], env)
		}
		if err := l.bounce(env, failed); err != nil {
			o.deferred = append(o.deferred, all(recipients(failed), refusal{Status: "4.3.0", Text: spoolFault(err).Error()})...)
		} else {
			env.To, env.Bounced = without(env.To, recipients(failed)), true
			env.InDoubt = without(env.InDoubt, recipients(failed))
		}
	}
	if len(env.InDoubt) == 0 {
		env.Doubts = 0
	}
	if len(env.To) > 0 && len(o.inDoubt) == 0 { // else mark has said when
		env.Attempts++
		env.Next = now.Add(u.retry.delay(env.Attempts))
		if len(o.deferred) > 0 {
			env.LastError = o.deferred[0].reply()
		}
	}
	if len(o.accepted) > 0 && len(env.To) == 0 && len(failed) == 0 {
		return // removed above
	}
	if err := l.save(env); err != nil {
		u.log.Error("a queue entry cannot be changed", "id", env.ID, "err", err)
	}
}

// expire bounces what has waited too long for a leg that does not work.
func (l *submitLeg) expire(f *fault) {
	now := l.u.now()
	queue, err := l.load(now)
	if err != nil {
		return // the pass tells of it when it reads the queue next
	}
	for _, env := range queue {
		if l.u.retry.expired(env.Accepted, now) {
			l.settle(env, outcome{deferred: all(env.To, refusal{Status: "4.4.1", Text: f.text})})
		}
	}
}

// withDoubt adds to a refusal that an earlier try may have succeeded.
func withDoubt(r refusal, env spool.Envelope) refusal {
	if slices.Contains(env.InDoubt, r.Recipient) && !strings.HasPrefix(r.Text, "may have been delivered") {
		r.Text += " (but an earlier try, whose answer was lost, may have been delivered)"
	}
	return r
}

// givenUp is the last temporary refusal as the reason of a bounce.
func (p retryPolicy) givenUp(r refusal) refusal {
	return refusal{
		Recipient: r.Recipient,
		Status:    "4.4.7", // RFC 3463: delivery time expired
		Text:      fmt.Sprintf("given up after %s; the last reason was: %s", days(p.during), r.reply()),
	}
}

func days(d time.Duration) string {
	if n := int(d.Hours() / 24); n > 1 {
		return fmt.Sprintf("%d days", n)
	}
	return d.String()
}

// bounce tells the sender, in the mailbox of the user who handed the message
// in. A message without a sender is itself a report and gets none (RFC 5321
// section 4.5.5).
func (l *submitLeg) bounce(env spool.Envelope, failed []refusal) error {
	u := l.u
	if env.From == "" {
		u.log.Warn("a message without a sender was refused upstream and is dropped", "user", env.User, "id", env.ID, "reply", failed[0].reply())
		return nil
	}
	b := bounce{Hostname: u.hostname, Remote: l.remote, Now: u.now(), Envelope: env, Refused: failed}
	if body, err := u.spool.OpenQueued(env.ID); err == nil {
		// A report without the original's header is better than none.
		if b.Header, err = originalHeader(body); err != nil {
			u.log.Error("a queued message cannot be read", "id", env.ID, "err", err)
		}
		body.Close()
	}
	_, err := u.spool.Deliver(env.User, b.source(), strings.NewReader(string(b.message())))
	if err != nil && !errors.Is(err, spool.ErrKnown) {
		u.log.Error("a bounce cannot be delivered; will try again", "user", env.User, "id", env.ID, "err", err)
		return err
	}
	u.post(status.MailBounced{At: u.now(), User: env.User, Reason: failed[0].reply()})
	return nil
}

// save makes an envelope durable, or keeps it in mind until the disk takes it.
func (l *submitLeg) save(env spool.Envelope) error {
	var err error
	switch {
	case len(env.To) == 0 && env.Bounced:
		err = l.u.spool.Remove(env.ID)
	case len(env.To) == 0:
		err = l.u.spool.Sent(env.ID)
	default:
		err = l.u.spool.Update(env)
	}
	if err != nil && !errors.Is(err, spool.ErrNoMessage) {
		l.unsaved[env.ID] = env
		return err
	}
	delete(l.unsaved, env.ID)
	return nil
}

func without(to, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(to), func(addr string) bool { return slices.Contains(gone, addr) })
}

func recipients(rs []refusal) []string {
	to := make([]string, len(rs))
	for i, r := range rs {
		to[i] = r.Recipient
	}
	return to
}
