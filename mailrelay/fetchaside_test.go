package mailrelay

import (
	"strings"
	"testing"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

func TestAMessageThatCannotBeFetchedIsSetAsideAndShown(t *testing.T) {
	w := newWorld(t)
	bad := w.provider.AddMessage("alice@isp", []byte(strings.Repeat("bad\r\n", 100)))
	w.provider.AddMessage("alice@isp", []byte("good\r\n"))
	w.provider.SetFaults(provider.Faults{DropInRetr: map[string]bool{bad: true}})
	tries := func() int { return w.fetches[0].broken[bad].count }
	for range 2 * maxStrikes {
		w.visit(5 * time.Minute)
	}
	if tries() != maxStrikes {
		t.Errorf("%d tries", tries())
	}
	w.mustHave("good\r\n")
	w.mustFail(status.Fetch, "1 message(s) at isp could not be fetched in 5 tries", "another program")
	for range 20 {
		w.visit(24 * time.Hour)
	}
	if tries() != lastStrikes {
		t.Errorf("%d tries", tries())
	}
	w.mustFail(status.Fetch, "could not be fetched")
	// New mail comes all the same; and a restart gives the message new tries.
	w.provider.AddMessage("alice@isp", []byte("new\r\n"))
	w.visit(0)
	w.mustHave("good\r\n", "new\r\n")
	w.provider.SetFaults(provider.Faults{})
	w.crash()
	w.visit(0)
	w.mustWork(status.Fetch)
	if n := len(w.mailbox()); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestOverQuotaFetchingPausesInWordsAndGoesOnWhenThereIsRoom(t *testing.T) {
	w := newWorld(t)
	w.spool.Close()
	sp, err := spool.Open(w.dir, spool.Options{Quota: func(string) spool.Quota { return spool.Quota{Octets: 100, Messages: 3} }})
	if err != nil {
		t.Fatal(err)
	}
	w.spool = sp
	w.restart()
	big := strings.Repeat("x", 78) + "\r\n"
	for _, m := range []string{big, big, "123456\r\n"} {
		w.provider.AddMessage("alice@isp", []byte(m))
	}
	w.fetch()
	w.mustHave(big, "123456\r\n") // the small one passes
	w.mustFail(status.Fetch, "alice may keep no more mail", "88 of 100 octets", "1 message(s) wait at isp", "raise the quota")
	w.callerDeletes(1)
	w.fetch()
	w.mustHave("123456\r\n", big)
	w.mustWork(status.Fetch)
	if n := len(w.upstreamUIDs()); n != 2 {
		t.Errorf("%d upstream", n)
	}
}
