package mailrelay

import (
	"io"
	"strings"
	"testing"
	"time"

	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

// dyingSpool takes so many changes, and none after: the process was killed. The
// last one happens or not, and nobody hears which.
type dyingSpool struct {
	UpstreamSpool
	left  int
	after bool
	hit   bool
}

func (d *dyingSpool) change(do func() error) error {
	d.left--
	switch {
	case d.left >= 0:
		return do()
	case d.left == -1 && d.after:
		do()
	}
	d.hit = true
	return errKilled
}

func (d *dyingSpool) Update(env spool.Envelope) error {
	return d.change(func() error { return d.UpstreamSpool.Update(env) })
}
func (d *dyingSpool) Sent(id string) error {
	return d.change(func() error { return d.UpstreamSpool.Sent(id) })
}
func (d *dyingSpool) Remove(id string) error {
	return d.change(func() error { return d.UpstreamSpool.Remove(id) })
}
func (d *dyingSpool) Deliver(user string, src spool.Source, body io.Reader) (m spool.Message, err error) {
	err = d.change(func() (err error) { m, err = d.UpstreamSpool.Deliver(user, src, body); return err })
	return m, err
}

func TestAKillAtAnyChangeOfTheQueueLosesNothingAndRepeatsOneMessageAtMost(t *testing.T) {
	for n := 0; ; n++ {
		alive := 0
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.provider.SetFaults(provider.Faults{RefuseRcpt: map[string]provider.Reply{"gone@example.net": {Code: 550, Text: "5.1.1 no such user"}}})
			w.accept("alice@example.org", letter, "bob@example.net", "gone@example.net")
			w.accept("alice@example.org", letter, "carol@example.net")
			dying := &dyingSpool{UpstreamSpool: w.spool, left: n, after: after}
			w.Upstream.spool = dying
			w.submit()
			w.crash()
			w.submit()
			early := len(w.provider.Received())
			w.pass(30 * time.Minute)
			w.pass(3 * time.Hour)
			copies := map[string]int{}
			for _, r := range w.provider.Received() {
				copies[strings.Join(r.To, " ")]++
			}
			if bob, carol := copies["bob@example.net"], copies["carol@example.net"]; bob < 1 || carol < 1 || bob+carol > 3 || early > 2 {
				t.Errorf("killed at change %d (done: %v): copies %v, %d before the delay", n, after, copies, early)
			}
			if got := w.mailbox(); len(w.queue()) != 0 || len(got) != 1 || !strings.Contains(got[0], "no such user") {
				t.Errorf("killed at change %d (done: %v): queue %+v, mailbox %q", n, after, w.queue(), got)
			}
			if !dying.hit {
				alive++
			}
		}
		if t.Failed() || alive == 2 {
			if n < 5 {
				t.Errorf("only %d changes", n)
			}
			return
		}
	}
}
