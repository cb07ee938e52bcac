package mailrelay

import (
	"errors"
	"slices"
	"time"

	"postern/mailrelay/spool"
)

const (
	// maxStrikes is how often in a row a message's retrieval may fail before it
	// rests for a day; after as many days it is left alone. One bad evening of the
	// network must not cost a message, nor one message the visits of all days.
	maxStrikes  = 5
	asideSpan   = 24 * time.Hour
	lastStrikes = 2 * maxStrikes
)

// strikes count how often the retrieval of a message has failed. They are not
// kept over a restart: another version of the box, or of the provider's server,
// may get on with the message.
type strikes struct {
	count  int
	last   time.Time
	reason string
}

// aside says that the message is not to be tried now.
func (s strikes) aside(now time.Time) bool {
	return s.count >= lastStrikes || s.count >= maxStrikes && now.Sub(s.last) < asideSpan
}

func (l *fetchLeg) strike(uid string, err error) {
	s := l.broken[uid]
	l.broken[uid] = strikes{count: s.count + 1, last: l.u.now(), reason: legible(plainCause(err), 120)}
}

// narrow takes out of a plan what is set aside and what the user has no room
// for. Smaller messages may pass a large one that does not fit.
func (l *fetchLeg) narrow(p *fetchPlan) error {
	now := l.u.now()
	var octets int64
	var failure error
	count := 0
	p.retrieve = slices.DeleteFunc(p.retrieve, func(e pop3Entry) bool {
		if s := l.broken[e.UID]; s.aside(now) {
			p.aside, p.reason = append(p.aside, e), s.reason
			return true
		}
		err := l.u.spool.Fits(l.account.User, octets+e.Size, count+1)
		switch {
		case errors.Is(err, spool.ErrQuota):
			p.noRoom, p.quota = append(p.noRoom, e), err
			return true
		case err != nil:
			failure = err
			return false
		}
		octets += e.Size
		count++
		return false
	})
	return failure
}

// errOwnDisk marks the faults of this box's disk, for which no message is to blame.
var errOwnDisk = errors.New("this box's disk")

func ownDisk(err error) error { return errors.Join(errOwnDisk, err) }
