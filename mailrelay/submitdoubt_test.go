package mailrelay

import (
	"strings"
	"testing"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

const namedLetter = "From: alice@example.org\r\nMessage-ID: <7@pc>\r\nSubject: hello\r\n\r\nbody\r\n"

func (w *world) mustDoubt(doubts int, to ...string) spool.Envelope {
	w.t.Helper()
	q := w.queue()
	if len(q) != 1 || q[0].Doubts != doubts || strings.Join(q[0].InDoubt, " ") != strings.Join(to, " ") {
		w.t.Fatalf("queue %+v", q)
	}
	return q[0]
}

func TestALost250IsRepeatedOnceAfterTheDelayAndNotHastened(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{DropAfterData: 1})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.accept("alice@example.org", letter, "carol@example.net")
	begin := w.clock
	next := w.submit()
	// The one behind it passes in a new session.
	w.mustReceive("bob@example.net", "carol@example.net")
	env := w.mustDoubt(1, "bob@example.net")
	if !env.Next.Equal(begin.Add(30*time.Minute)) || !next.Equal(env.Next) || !strings.Contains(env.LastError, "may have been delivered") || !strings.Contains(env.LastError, "trying again at "+env.Next.Format("2006-01-02 15:04")) {
		t.Errorf("next %v, %q", env.Next.Sub(begin), env.LastError)
	}
	w.pass(29 * time.Minute)
	w.submits[0].pass(t.Context(), true) // somebody pokes
	w.crash()
	w.submits[0].pass(t.Context(), true)
	w.mustReceive("bob@example.net", "carol@example.net")
	w.pass(time.Minute)
	w.mustReceive("bob@example.net", "carol@example.net", "bob@example.net")
	if len(w.queue()) != 0 || len(w.mailbox()) != 0 {
		t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
	w.mustWork(status.Submit)
}

func TestADoubtIsShownInWords(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{DropAfterData: 1})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.mustFail(status.Submit, "bob@example.net", "may have been delivered", "trying again at")
}

func TestASecondLostAnswerAsksThePersonInsteadOfSendingAThirdTime(t *testing.T) {
	for _, killed := range []bool{false, true} {
		w := newWorld(t)
		w.provider.SetFaults(provider.Faults{DropAfterData: 10})
		w.accept("alice@example.org", letter, "bob@example.net")
		w.submit()
		if killed { // before the second answer is noted
			w.Upstream.spool = stuckQueue{w.spool}
		}
		w.pass(30 * time.Minute)
		w.crash()
		w.pass(24 * time.Hour)
		w.mustReceive("bob@example.net", "bob@example.net")
		got := w.mailbox()
		if len(w.queue()) != 0 || len(got) != 1 || !strings.Contains(got[0], "may have been delivered: it was sent 2 times") || !strings.Contains(got[0], "Status: 5.4.2") {
			t.Errorf("killed %v: queue %v, mailbox %q", killed, w.queue(), got)
		}
		// He sends it again, and means it.
		w.accept("alice@example.org", letter, "bob@example.net")
		w.provider.SetFaults(provider.Faults{})
		w.submit()
		w.mustReceive("bob@example.net", "bob@example.net", "bob@example.net")
	}
}

func TestAKillBetweenThe250AndOurNoteOfItWaitsOutTheDelay(t *testing.T) {
	w := newWorld(t)
	w.Upstream.spool = stuckQueue{w.spool}
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.crash()
	w.submit()
	w.submits[0].pass(t.Context(), true)
	w.mustReceive("bob@example.net")
	w.mustDoubt(1, "bob@example.net")
	w.pass(30 * time.Minute)
	w.mustReceive("bob@example.net", "bob@example.net")
	if len(w.queue()) != 0 {
		t.Errorf("queue %v", w.queue())
	}
}

func TestARefusalAfterTheDotLeavesNoDoubt(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 451, Text: "4.3.0 later"}})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	if env := w.mustDoubt(0); env.Attempts != 1 || env.LastError != "451 4.3.0 later" {
		t.Errorf("%+v", env)
	}
}

func TestARefusalOfTheRepeatDoesNotEndTheDoubt(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{DropAfterData: 1})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 451, Text: "4.3.0 later"}})
	w.pass(30 * time.Minute)
	w.mustDoubt(1, "bob@example.net")
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 554, Text: "5.3.0 no"}})
	w.pass(2 * time.Hour)
	if got := w.mailbox(); len(got) != 1 || !strings.Contains(got[0], "may have been delivered") {
		t.Errorf("mailbox %q", got)
	}
}

func TestACopyThatIsFetchedEndsTheDoubt(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		w := newWorld(t)
		w.provider.SetFaults(provider.Faults{DropAfterData: 1})
		w.accept("alice@example.org", namedLetter, "bob@example.net", "alice@example.org")
		w.submit()
		if restarted {
			w.crash() // and the fetching leg is the first to run
		}
		w.provider.SetFaults(provider.Faults{})
		w.provider.AddMessage("alice@isp", []byte("Message-ID: <8@pc>\r\n\r\nanother\r\n"))
		w.fetch()
		if !restarted {
			w.submit()
			w.mustDoubt(1, "bob@example.net", "alice@example.org")
		}
		w.provider.AddMessage("alice@isp", []byte("Received: by isp\r\n"+namedLetter))
		w.fetch()
		w.submit()
		w.pass(24 * time.Hour)
		w.mustReceive("bob@example.net alice@example.org")
		if len(w.queue()) != 0 || len(w.mailbox()) != 2 {
			t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
		}
	}
}
