package mailrelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/internal/status"
	"postern/mailrelay/spool"
)

// fetchLeg brings the mail of one user from one provider. A message stays at
// the provider until the caller deletes it here; the spool's journal carries
// the deletion, and the provider's next UIDL, not its word, ends it.
//
// A crash at any point does no harm: a message that was retrieved but not yet
// delivered is not known and is fetched again; one that was delivered is known
// from the disk and is not. A DELE whose QUIT was lost is repeated.
type fetchLeg struct {
	u       *Upstream
	account UpstreamAccount
	poke    chan struct{}

	failures int                // visits that failed in a row
	denied   bool               // the last one's log-in was refused
	broken   map[string]strikes // unique-ids whose retrieval failed
}

func (l *fetchLeg) run(ctx context.Context) {
	for {
		wait := l.pass(ctx)
		if l.denied {
			// Every call pokes twice, and trying a refused password often locks the
			// account: the provider is not asked more often than by the poll.
			quiet := min(wait, l.account.Poll)
			if !pause(ctx, quiet, nil) {
				return
			}
			wait -= quiet
		}
		if !pause(ctx, wait, l.poke) {
			return
		}
	}
}

// pass is one visit at the provider. It returns the time to the next.
func (l *fetchLeg) pass(ctx context.Context) time.Duration {
	u, a := l.u, l.account
	if now := u.now(); !ClockPlausible(now) {
		u.report(a, status.Fetch, "", clockFault(now))
		return clockRecheck
	}
	session, cancel := context.WithTimeout(ctx, sessionLimit)
	defer cancel()
	tls, err := l.visit(session)
	if ctx.Err() != nil {
		return 0
	}
	if err == nil {
		l.failures, l.denied = 0, false
		u.report(a, status.Fetch, tls, nil)
		return a.Poll
	}
	f := faultOf(a.Fetch, "fetching mail", err)
	if session.Err() != nil {
		f = &fault{err: err, text: fmt.Sprintf("the visit at %s was not finished within %v: its server or the network is very slow; what was fetched is kept, and the next visit goes on", a.Upstream, sessionLimit)}
	}
	u.report(a, status.Fetch, tls, f)
	l.denied = f.auth
	if f.notice {
		l.failures = 0
		return a.Poll
	}
	l.failures++
	if f.auth {
		return max(a.Poll, u.retry.delay(l.failures))
	}
	return min(a.Poll, u.retry.delay(l.failures))
}

// visit logs in, settles deletions, and fetches what is new.
func (l *fetchLeg) visit(ctx context.Context) (tls string, err error) {
	u, a := l.u, l.account
	c, err := dialPOP3(ctx, u.dial, a.Fetch, a.tlsConfig(a.Fetch, u.now))
	if err != nil {
		return "", err
	}
	defer c.close()
	tls = c.conn.description()
	if err := l.login(ctx, c); err != nil {
		return tls, err
	}
	entries, err := c.list()
	if err != nil {
		return tls, listFault(a, err)
	}
	// After the listing: a deletion that came in between is only the earlier done.
	deletions, err := u.spool.Deletions(a.User, a.Upstream)
	if err != nil {
		return tls, spoolFault(err)
	}
	known, err := u.spool.Known(a.User, a.Upstream)
	if err != nil {
		return tls, spoolFault(err)
	}
	plan := planFetch(entries, known, deletions, u.maxSize)
	if err := l.narrow(&plan); err != nil {
		return tls, spoolFault(err)
	}
	if len(plan.gone) > 0 {
		if err := u.spool.Gone(a.User, a.Upstream, plan.gone...); err != nil {
			return tls, spoolFault(err)
		}
	}
	for _, e := range plan.remove {
		if err := l.remove(c, e); err != nil {
			return tls, err
		}
	}
	if err := l.retrieveAll(c, l.worthwhile(plan)); err != nil {
		return tls, err
	}
	if err := c.quit(); err != nil {
		// Whether the deletions were carried out is for the next UIDL to show.
		return tls, fmt.Errorf("while taking leave: %w", err)
	}
	if len(plan.noRoom) > 0 { // what has come in meanwhile counts too
		if err := u.spool.Fits(a.User, plan.noRoom[0].Size, 1); err != nil {
			plan.quota = err
		}
	}
	return tls, plan.notice(a, u.maxSize)
}

func (l *fetchLeg) login(ctx context.Context, c *pop3Client) error {
	a := l.account
	cred, err := a.credentials(ctx)
	if err != nil {
		return err
	}
	err = c.login(cred)
	var refused *pop3Refusal
	if !errors.As(err, &refused) {
		return err
	}
	words := legible(withoutSecrets(refused.Text, cred.secrets()...), 200)
	switch refused.Code {
	case "IN-USE", "LOGIN-DELAY", "SYS/TEMP":
		return &fault{err: refused, text: fmt.Sprintf("%s does not let this box in just now (%s): another program may have the mailbox open; the box will try again", a.Upstream, words)}
	}
	if cred.token != "" {
		return &fault{auth: true, err: refused, text: fmt.Sprintf("%s refused this box's access token for fetching (%s): authorize this box again at the provider; mail waits there", a.Upstream, words)}
	}
	return &fault{auth: true, err: refused, text: fmt.Sprintf("%s refused the user name or password for fetching (%s): correct username and password of this upstream, or unlock the account at the provider; mail waits there", a.Upstream, words)}
}

// remove tells the provider of a deletion. A refusal concerns that message only.
func (l *fetchLeg) remove(c *pop3Client, e pop3Entry) error {
	err := c.remove(e.Number)
	var refused *pop3Refusal
	if errors.As(err, &refused) {
		l.u.log.Warn("upstream refused to delete a message; will ask again", "user", l.account.User, "upstream", l.account.Upstream, "uid", e.UID, "reply", refused.Error())
		return nil
	}
	return err
}

// worthwhile are the messages to retrieve in this visit. One that breaks the
// session would take the deletions with it, which only QUIT carries out: it
// waits for a visit without any.
func (l *fetchLeg) worthwhile(p fetchPlan) []pop3Entry {
	if len(p.remove) == 0 {
		return p.retrieve
	}
	return slices.DeleteFunc(p.retrieve, func(e pop3Entry) bool { return l.broken[e.UID].count > 0 })
}

// retrieveAll fetches the messages that never made trouble first, so that one
// on which the provider's server breaks down does not keep the others away.
func (l *fetchLeg) retrieveAll(c *pop3Client, entries []pop3Entry) error {
	slices.SortStableFunc(entries, func(a, b pop3Entry) int { return l.broken[a.UID].count - l.broken[b.UID].count })
	for _, e := range entries {
		err := l.retrieve(c, e)
		var refused *pop3Refusal
		switch {
		case err == nil:
			delete(l.broken, e.UID)
		case errors.As(err, &refused):
			l.strike(e.UID, err)
			l.u.log.Warn("upstream refused to hand out a message; will ask again", "user", l.account.User, "upstream", l.account.Upstream, "uid", e.UID, "reply", refused.Error())
		default:
			if !errors.Is(err, errOwnDisk) {
				l.strike(e.UID, err)
			}
			return err
		}
	}
	return nil
}

func (l *fetchLeg) retrieve(c *pop3Client, e pop3Entry) error {
	u, a := l.u, l.account
	r, err := c.retrieve(e.Number, u.maxSize)
	if err != nil {
		return err
	}
	body := &readErrors{r: r}
	witnessed, seen := u.witness(a.User, body)
	m, err := u.spool.Deliver(a.User, spool.Source{Upstream: a.Upstream, UID: e.UID}, witnessed)
	switch {
	case errors.Is(body.err, errMessageTooLong):
		return &fault{err: err, text: fmt.Sprintf("%s announced a message of %d octets and sent more than the %d this box takes: the message stays at the provider; read it there, or raise the limit", a.Upstream, e.Size, u.maxSize)}
	case body.err != nil:
		return body.err
	case errors.Is(err, spool.ErrKnown):
		return nil
	case err != nil:
		return spoolFault(err)
	}
	seen()
	u.post(status.MailFetched{At: u.now(), User: a.User, Messages: 1, Octets: m.Size})
	return nil
}

// readErrors remembers why reading failed, to tell the provider's fault from the disk's.
type readErrors struct {
	r   io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func listFault(a UpstreamAccount, err error) error {
	var refused *pop3Refusal
	if errors.As(err, &refused) {
		return &fault{err: err, text: fmt.Sprintf("%s gives no unique-ids (UIDL: %s), so this box cannot tell old mail from new: nothing was fetched; the provider's POP3 server must support UIDL", a.Upstream, refused)}
	}
	return err
}

func spoolFault(err error) error {
	if errors.Is(err, spool.ErrFull) {
		return &fault{err: ownDisk(err), text: "this box's disk is full: nothing is fetched until there is room; mail waits at the provider; delete read mail or use a larger disk"}
	}
	return &fault{err: ownDisk(err), text: fmt.Sprintf("this box cannot use its disk (%v): mail waits at the provider; check the disk or memory card", plainCause(err))}
}

// fetchPlan is what one visit has to do.
type fetchPlan struct {
	gone      []string    // deletions that need not be remembered any more
	remove    []pop3Entry // to be deleted at the provider
	retrieve  []pop3Entry
	tooLarge  []pop3Entry
	ambiguous []pop3Entry // different messages under one unique-id
	noRoom    []pop3Entry // over the user's quota here
	quota     error       // why
	aside     []pop3Entry // retrieval failed too often
	reason    string      // the last time
}

// planFetch compares the provider's list with what the spool knows. RFC 1939
// section 7 lets identical copies share a unique-id: they are one message here.
// Different ones (by size) under one id cannot be told apart and are left alone.
func planFetch(entries []pop3Entry, known map[string]bool, deletions []string, maxSize int64) fetchPlan {
	var p fetchPlan
	deleted := make(map[string]bool, len(deletions))
	for _, uid := range deletions {
		deleted[uid] = true
	}
	first := make(map[string]pop3Entry, len(entries))
	differ := make(map[string]bool)
	for _, e := range entries {
		if f, twice := first[e.UID]; !twice {
			first[e.UID] = e
		} else if f.Size != e.Size {
			differ[e.UID] = true
		}
	}
	for _, e := range entries {
		isFirst := first[e.UID].Number == e.Number
		switch {
		case differ[e.UID]:
			if isFirst {
				p.ambiguous = append(p.ambiguous, e)
			}
		case deleted[e.UID]:
			p.remove = append(p.remove, e)
		case known[e.UID] || !isFirst:
		case e.Size > maxSize:
			p.tooLarge = append(p.tooLarge, e)
		default:
			p.retrieve = append(p.retrieve, e)
		}
	}
	for _, uid := range deletions {
		if _, listed := first[uid]; !listed {
			p.gone = append(p.gone, uid)
		}
	}
	return p
}

// notice is what a person must know although the visit went well; nil if nothing.
func (p fetchPlan) notice(a UpstreamAccount, maxSize int64) error {
	switch {
	case len(p.noRoom) > 0:
		return &fault{notice: true, err: p.quota, text: fmt.Sprintf("%s may keep no more mail on this box (%v): fetching pauses and %d message(s) wait at %s; delete read mail here, or raise the quota", a.User, p.quota, len(p.noRoom), a.Upstream)}
	case len(p.ambiguous) > 0:
		return &fault{notice: true, text: fmt.Sprintf("%s lists different messages under one unique-id (%s): they cannot be told apart and stay there; read them with another program and tell the provider", a.Upstream, legible(p.ambiguous[0].UID, 70))}
	case len(p.tooLarge) > 0:
		return &fault{notice: true, text: fmt.Sprintf("%d message(s) at %s are larger than the %d octets this box takes (the first has %d): they stay there; read them with another program, or raise the limit", len(p.tooLarge), a.Upstream, maxSize, p.tooLarge[0].Size)}
	case len(p.aside) > 0:
		return &fault{notice: true, text: fmt.Sprintf("%d message(s) at %s could not be fetched in %d tries or more (the last: %s) and are left alone: they stay there; read or delete them with another program", len(p.aside), a.Upstream, maxStrikes, p.reason)}
	}
	return nil
}
