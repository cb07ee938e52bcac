package mailrelay

import (
	"errors"
	"strings"
	"time"

	"postern/mailrelay/spool"
)

// tellDelays gives the senders of what has waited for long one notice each
// (RFC 5321 section 4.5.4.1, RFC 3464's action "delayed"), in the mailbox of the
// user who handed the message in and nowhere else. It returns when the next
// falls due; zero: none does.
func (l *submitLeg) tellDelays(queue []spool.Envelope) (next time.Time) {
	u, now := l.u, l.u.now()
	if u.delayAfter < 0 || !ClockPlausible(now) {
		return time.Time{}
	}
	for _, env := range queue {
		// Nobody is told of a report (RFC 5321 section 6.1).
		if env.DelayTold || env.From == "" {
			continue
		}
		if due := env.Accepted.Add(u.delayAfter); due.After(now) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		if err := l.tellDelay(env); err != nil {
			u.log.Error("a delay notice cannot be delivered; will try again", "user", env.User, "id", env.ID, "err", err)
			continue
		}
		env.DelayTold = true
		if err := l.save(env); err != nil {
			u.log.Error("a queue entry cannot be changed", "id", env.ID, "err", err)
		}
	}
	return next
}

func (l *submitLeg) tellDelay(env spool.Envelope) error {
	reason := env.LastError
	if reason == "" {
		reason = l.fault
	}
	if reason == "" {
		reason = "it waits for its first try"
	}
	until := env.Accepted.Add(l.u.retry.during)
	b := bounce{
		Hostname: l.u.hostname, Remote: l.remote, Now: l.u.now(), Envelope: env, Until: until,
		Refused: all(env.To, refusal{Status: "4.0.0", Text: reason}),
	}
	if body, err := l.u.spool.OpenQueued(env.ID); err == nil {
		b.Header, _ = originalHeader(body) // a notice without it is better than none
		body.Close()
	}
	// The notice's source makes a second one after a kill impossible.
	_, err := l.u.spool.Deliver(env.User, b.source(), strings.NewReader(string(b.message())))
	if errors.Is(err, spool.ErrKnown) {
		return nil
	}
	return err
}
