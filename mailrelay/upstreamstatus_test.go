package mailrelay

import (
	"strings"
	"testing"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
)

func withStatus(cfg *UpstreamConfig, _ *world) { cfg.StatusAfter = 30 * time.Minute }

// visit is a fetching pass some time later.
func (w *world) visit(later time.Duration) {
	w.clock = w.clock.Add(later)
	w.fetch()
}

// mustTell checks that the mailbox holds exactly one message, and what it says.
func (w *world) mustTell(words ...string) (uid string) {
	w.t.Helper()
	ms, err := w.spool.Messages("alice")
	if err != nil {
		w.t.Fatal(err)
	}
	bodies := w.mailbox()
	if len(bodies) != 1 {
		w.t.Fatalf("mailbox %q", bodies)
	}
	for _, word := range words {
		if !strings.Contains(bodies[0], word) {
			w.t.Errorf("it does not say %q:\n%s", word, bodies[0])
		}
	}
	return ms[0].UID
}

func TestAnUpstreamThatStaysDownIsToldInTheMailboxUntilItWorks(t *testing.T) {
	w := newWorld(t, withStatus, func(cfg *UpstreamConfig, w *world) {
		cfg.Accounts[0].SubmitFallback = Endpoint{}
	})
	since := w.clock
	w.provider.SetFaults(provider.Faults{NoUIDL: true})
	w.visit(0)
	w.visit(29 * time.Minute)
	w.mustHave()
	w.visit(time.Minute)
	first := w.mustTell("Subject: Status: fetching mail has a fault\r\n", since.Format(time.RFC1123Z), w.leg(status.Fetch).Fault)
	w.visit(time.Hour)
	w.crash(withStatus)
	w.visit(time.Hour)
	if uid := w.mustTell(since.Format(time.RFC1123Z)); uid != first {
		t.Errorf("the same state has another UID: %s after %s", uid, first)
	}
	// Another state is another message; since when is as before.
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.visit(0)
	second := w.mustTell(since.Format(time.RFC1123Z), w.leg(status.Fetch).Fault)
	if second == first {
		t.Error("another state has the same UID")
	}
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	if third := w.mustTell("Subject: Status: fetching and sending mail has a fault\r\n", w.leg(status.Submit).Fault); third == second {
		t.Error("another state has the same UID")
	}
	w.provider.SetFaults(provider.Faults{})
	w.pass(3 * time.Hour)
	w.mustTell("Subject: Status: fetching mail has a fault\r\n")
	w.visit(0)
	w.mustHave()
	// It was of the box alone.
	w.mustReceive("bob@example.net")
	if n := len(w.upstreamUIDs()); n != 0 {
		t.Errorf("%d messages upstream", n)
	}
}

func TestARefusedLogInOrAWrongCertificateIsToldAtOnce(t *testing.T) {
	for name, f := range map[string]provider.Faults{
		"log-in":      {RefuseLogin: true},
		"certificate": {Certificate: provider.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withStatus)
			w.provider.SetFaults(f)
			w.visit(0)
			w.mustTell(w.leg(status.Fetch).Fault)
			if strings.Contains(w.mailbox()[0], secretWord) {
				t.Error("it holds the password")
			}
		})
	}
}

func TestAStatusMessageThatIsDeletedComesBackTheNextDay(t *testing.T) {
	w := newWorld(t, withStatus)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.visit(0)
	w.mustTell()
	w.callerDeletes(1)
	w.visit(time.Hour)
	w.mustHave()
	w.visit(23 * time.Hour)
	w.mustTell()
	w.visit(24 * time.Hour) // and is one, deleted or not
	w.mustTell()
}

func TestAStatusMessageWaitsForTheSessionThatHasTheMailbox(t *testing.T) {
	w := newWorld(t, withStatus)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.visit(0)
	drop, err := w.spool.Lock("alice")
	if err != nil {
		t.Fatal(err)
	}
	w.provider.SetFaults(provider.Faults{})
	w.visit(0)
	drop.Unlock()
	w.mustTell()
	w.visit(0)
	w.mustHave()
}
