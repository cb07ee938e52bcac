package mailrelay

import (
	"strings"
	"testing"
	"time"

	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

func TestASenderIsToldOnceThatHisMailWaits(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseMail: provider.Reply{Code: 451, Text: "4.7.1 later"}})
	w.accept("alice@example.org", letter, "bob@example.net", "carol@example.net")
	w.submit()
	if next := w.pass(4*time.Hour - time.Second); len(w.mailbox()) != 0 || !next.Equal(w.clock.Add(time.Second)) {
		t.Fatalf("mailbox %q, next %v", w.mailbox(), next.Sub(w.clock))
	}
	w.pass(time.Second)
	for range 5 {
		w.pass(3 * time.Hour)
		w.crash()
	}
	got := w.mailbox()
	if len(got) != 1 || len(w.queue()) != 1 || !w.queue()[0].DelayTold {
		t.Fatalf("mailbox %q, queue %+v", got, w.queue())
	}
	for _, want := range []string{
		"To: <alice@example.org>\r\n", "Action: delayed\r\n", "Status: 4.0.0\r\n", "Will-Retry-Until: ", "451 4.7.1 later",
		"Final-Recipient: rfc822; bob@example.net\r\n", "Final-Recipient: rfc822; carol@example.net\r\n", "Subject: hello\r\n", "you need not send it again",
	} {
		if !strings.Contains(got[0], want) {
			t.Errorf("the notice does not say %q:\n%s", want, got[0])
		}
	}
	w.mustReceive()
}

func TestADelayNoticeOfALegThatDoesNotWorkSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.pass(5 * time.Hour)
	if got := w.mailbox(); len(got) != 1 || !strings.Contains(got[0], "refused the user name or password for sending") {
		t.Errorf("mailbox %q", got)
	}
}

func TestNobodyIsToldThatAReportWaits(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.accept("", letter, "bob@example.net")
	w.submit()
	w.pass(5 * time.Hour)
	w.mustHave()
}

func TestAKillBetweenTheNoticeAndOurNoteOfItTellsOnce(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.Upstream.spool = brokenQueue{w.spool}
	w.pass(5 * time.Hour)
	w.crash()
	w.pass(time.Hour)
	if n := len(w.mailbox()); n != 1 {
		t.Errorf("%d notices", n)
	}
}

func TestDelayNoticesCanBeTurnedOff(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, _ *world) { cfg.DelayAfter = -1 })
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.pass(9 * time.Hour)
	w.mustHave()
}

var _ UpstreamSpool = (*spool.Spool)(nil)
