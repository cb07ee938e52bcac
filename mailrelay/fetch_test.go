package mailrelay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

func (w *world) mustHave(want ...string) {
	w.t.Helper()
	if got := w.mailbox(); !slices.Equal(got, want) {
		w.t.Fatalf("the mailbox holds %q, want %q", got, want)
	}
}

// upstreamUIDs is what the provider still holds.
func (w *world) upstreamUIDs() (uids []string) {
	for _, m := range w.provider.Mailbox("alice@isp") {
		uids = append(uids, m.UID)
	}
	return uids
}

func TestFetchedMailIsTheSameOctetForOctet(t *testing.T) {
	bothForms(t, func(t *testing.T, opts ...worldOption) {
		w := newWorld(t, opts...)
		noise := make([]byte, 300_000)
		r := rand.NewChaCha8([32]byte{1})
		r.Read(noise)
		bodies := []string{
			"",
			".\r\n",
			"..\r\n.\r\n\r\n",
			"Subject: gr\xfc\xdfe\r\n\r\nbare\nLF, bare\rCR, NUL \x00, dot\n.\nend\r\n",
			string(bytes.ReplaceAll(noise, []byte("\r\n."), []byte("..."))) + "\r\n",
		}
		for _, b := range bodies {
			w.provider.AddMessage("alice@isp", []byte(b))
		}
		bodies[0] = "\r\n" // the provider ends the last line
		w.fetch()
		w.mustWork(status.Fetch)
		w.mustHave(bodies...)
		if n := count[status.MailFetched](w); n != len(bodies) {
			t.Errorf("%d MailFetched, want %d", n, len(bodies))
		}
		if e := last[status.MailFetched](w); e.Octets != int64(len(bodies[4])) {
			t.Errorf("the last has %d octets, want %d", e.Octets, len(bodies[4]))
		}
	})
}

func TestMailIsFetchedOnceAndStaysUntilTheCallerDeletesIt(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.provider.AddMessage("alice@isp", []byte("two\r\n"))
	w.fetch()
	w.fetch()
	w.crash()
	w.fetch()
	w.mustHave("one\r\n", "two\r\n")
	if n := len(w.upstreamUIDs()); n != 2 {
		t.Errorf("%d messages upstream, want 2", n)
	}
}

func TestDeletionTravelsUpstreamAndIsForgottenWhenUIDLShowsIt(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	two := w.provider.AddMessage("alice@isp", []byte("two\r\n"))
	w.fetch()
	w.callerDeletes(1)
	w.crash() // the journal is on disk
	w.fetch()
	if got := w.upstreamUIDs(); !slices.Equal(got, []string{two}) {
		t.Fatalf("upstream holds %q", got)
	}
	// The provider's word is not enough; its next list is.
	if d, _ := w.spool.Deletions("alice", "isp"); len(d) != 1 {
		t.Errorf("journal %q after QUIT", d)
	}
	w.fetch()
	if d, _ := w.spool.Deletions("alice", "isp"); len(d) != 0 {
		t.Errorf("journal %q after the next UIDL", d)
	}
	w.mustHave("two\r\n")
}

func TestDeletionWhoseQuitIsLostIsRepeatedAndTheMailStaysDeleted(t *testing.T) {
	for name, f := range map[string]provider.Faults{
		"connection lost at QUIT":  {DropAtQuit: true},
		"provider lies about QUIT": {KeepDeleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.provider.AddMessage("alice@isp", []byte("one\r\n"))
			w.fetch()
			w.callerDeletes(1)
			w.provider.SetFaults(f)
			w.fetch()
			w.crash()
			w.fetch()
			w.mustHave()
			if n := len(w.upstreamUIDs()); n != 1 {
				t.Fatalf("%d upstream", n)
			}
			w.provider.SetFaults(provider.Faults{})
			w.fetch()
			w.fetch()
			w.mustHave()
			if n := len(w.upstreamUIDs()); n != 0 {
				t.Errorf("%d upstream after all", n)
			}
			w.mustWork(status.Fetch)
		})
	}
}

func TestMessageDeletedUpstreamStaysHere(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.fetch()
	w.provider.SetMailbox("alice@isp")
	w.fetch()
	w.mustHave("one\r\n")
	w.callerDeletes(1)
	w.fetch()
	if d, _ := w.spool.Deletions("alice", "isp"); len(d) != 0 {
		t.Errorf("the journal still holds %q", d)
	}
}

func TestConnectionLostInAMessageLeavesNoHalfMessageAndOthersPass(t *testing.T) {
	w := newWorld(t)
	bad := w.provider.AddMessage("alice@isp", []byte("the bad one, "+strings.Repeat("x", 10_000)+"\r\n"))
	w.provider.AddMessage("alice@isp", []byte("behind it\r\n"))
	w.provider.SetFaults(provider.Faults{DropInRetr: map[string]bool{bad: true}})
	w.fetch()
	w.mustFail(status.Fetch, "broke while fetching mail")
	w.mustHave()
	// The next visit takes the others first.
	w.fetch()
	w.mustHave("behind it\r\n")
	w.provider.SetFaults(provider.Faults{})
	w.fetch()
	w.mustWork(status.Fetch)
	if got := w.mailbox(); len(got) != 2 || !strings.HasPrefix(got[1], "the bad one") {
		t.Errorf("the mailbox holds %d messages", len(got))
	}
}

func TestMessageThatBreaksTheSessionDoesNotKeepDeletionsBack(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("read and deleted\r\n"))
	w.fetch()
	bad := w.provider.AddMessage("alice@isp", []byte("the bad one, "+strings.Repeat("x", 10_000)+"\r\n"))
	w.provider.SetFaults(provider.Faults{DropInRetr: map[string]bool{bad: true}})
	w.fetch()
	w.callerDeletes(1)
	w.fetch()
	if got := w.upstreamUIDs(); !slices.Equal(got, []string{bad}) {
		t.Errorf("upstream holds %q", got)
	}
	w.fetch() // without a deletion it is tried again
	w.mustFail(status.Fetch, "broke while fetching mail")
}

func TestTooLargeMessageIsLeftThereAndReported(t *testing.T) {
	w := newWorld(t, withMaxSize(1000))
	w.provider.AddMessage("alice@isp", bytes.Repeat([]byte("x"), 5000))
	w.provider.AddMessage("alice@isp", []byte("small\r\n"))
	if d := w.fetch(); d != defaultPoll {
		t.Errorf("next visit in %v, want the poll interval", d)
	}
	w.mustHave("small\r\n")
	w.mustFail(status.Fetch, "1 message(s) at isp are larger than the 1000 octets", "stay there", "raise the limit")
	if n := len(w.upstreamUIDs()); n != 2 {
		t.Errorf("%d upstream", n)
	}
}

func TestMessageLargerThanAnnouncedIsCutOffAndKeepsNobodyBack(t *testing.T) {
	w := newWorld(t, withMaxSize(1000))
	liar := w.provider.AddMessage("alice@isp", bytes.Repeat([]byte("x"), 500_000))
	w.provider.AddMessage("alice@isp", []byte("small\r\n"))
	w.provider.SetFaults(provider.Faults{SizesShown: map[string]int64{liar: 10}})
	w.fetch()
	w.mustFail(status.Fetch, "sent more than the 1000")
	w.fetch()
	w.mustHave("small\r\n")
}

func TestProviderWithoutUIDLIsAClearFault(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.provider.SetFaults(provider.Faults{NoUIDL: true, NoCAPA: true})
	w.fetch()
	w.mustFail(status.Fetch, "UIDL", "nothing was fetched", "the provider")
	w.mustHave()
}

func TestIdenticalCopiesUnderOneUIDAreOneMessage(t *testing.T) {
	// RFC 1939 section 7 allows unique-ids that are hashes of the message.
	w := newWorld(t)
	copies := provider.Message{UID: "hash", Body: []byte("same\r\n")}
	w.provider.SetMailbox("alice@isp", copies, copies)
	w.fetch()
	w.mustHave("same\r\n")
	w.callerDeletes(1)
	w.fetch()
	w.mustWork(status.Fetch)
	if n := len(w.upstreamUIDs()); n != 0 {
		t.Errorf("%d copies left upstream", n)
	}
}

func TestPlanOfAVisit(t *testing.T) {
	entries := []pop3Entry{
		{1, "known", 5}, {2, "deleted", 5}, {3, "new", 5}, {4, "copy", 5}, {5, "copy", 5},
		{6, "big", 11}, {7, "limit", 10}, {8, "differs", 5}, {9, "differs", 6}, {10, "deleted", 5},
	}
	known := map[string]bool{"known": true, "deleted": true, "elsewhere": true, "gone": true}
	got := planFetch(entries, known, []string{"deleted", "gone"}, 10)
	want := fetchPlan{
		gone:      []string{"gone"},
		remove:    []pop3Entry{{2, "deleted", 5}, {10, "deleted", 5}},
		retrieve:  []pop3Entry{{3, "new", 5}, {4, "copy", 5}, {7, "limit", 10}},
		tooLarge:  []pop3Entry{{6, "big", 11}},
		ambiguous: []pop3Entry{{8, "differs", 5}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDifferentMessagesUnderOneUIDAreLeftThereAndReported(t *testing.T) {
	w := newWorld(t)
	w.provider.SetMailbox("alice@isp",
		provider.Message{UID: "same", Body: []byte("one\r\n")},
		provider.Message{UID: "same", Body: []byte("another\r\n")},
		provider.Message{UID: "own", Body: []byte("third\r\n")})
	w.fetch()
	w.mustHave("third\r\n")
	w.mustFail(status.Fetch, "different messages under one unique-id (same)")
	if n := len(w.upstreamUIDs()); n != 3 {
		t.Errorf("%d upstream", n)
	}
}

func TestRefusedLogInIsAFaultAndTriedLessAndLess(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true, EchoLogin: true})
	var pauses []time.Duration
	for range 9 {
		pauses = append(pauses, w.fetch())
	}
	w.mustFail(status.Fetch, "refused the user name or password for fetching", "correct username and password", "***")
	if got, want := fmt.Sprint(pauses), "[5m0s 5m0s 5m0s 8m0s 16m0s 32m0s 1h4m0s 2h0m0s 2h0m0s]"; got != want {
		t.Errorf("pauses %s, want %s", got, want)
	}
	w.provider.SetFaults(provider.Faults{})
	if d := w.fetch(); d != defaultPoll {
		t.Errorf("next visit in %v", d)
	}
	w.mustWork(status.Fetch)
}

func TestUserAndPassServeWhereAuthPlainIsNotOffered(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{NoCAPA: true})
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.fetch() // the password holds a space
	w.mustHave("one\r\n")
}

func TestUnreachableProviderIsVisitedSoonerThanThePoll(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, w *world) {
		cfg.Accounts[0].Fetch = mustEndpoint(w.t, "pop3s://127.0.0.1:1")
	})
	if d := w.fetch(); d != time.Minute {
		t.Errorf("first again in %v", d)
	}
	for range 5 {
		w.fetch()
	}
	if d := w.fetch(); d != defaultPoll {
		t.Errorf("later again in %v", d)
	}
}

// fullSpool has no room for another message.
type fullSpool struct{ UpstreamSpool }

func (fullSpool) Deliver(string, spool.Source, io.Reader) (spool.Message, error) {
	return spool.Message{}, fmt.Errorf("%w: 0 octets are free", spool.ErrFull)
}

func TestFullDiskLeavesMailAtTheProvider(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.Upstream.spool = fullSpool{w.spool}
	w.fetch()
	w.mustFail(status.Fetch, "this box's disk is full", "waits at the provider")
	w.Upstream.spool = w.spool
	w.fetch()
	w.mustHave("one\r\n")
}

// killedSpool dies at the n-th delivery, before or after it is durable.
type killedSpool struct {
	UpstreamSpool
	left  int
	after bool
}

var errKilled = errors.New("killed")

func (k *killedSpool) Deliver(user string, src spool.Source, body io.Reader) (spool.Message, error) {
	if k.left--; k.left > 0 {
		return k.UpstreamSpool.Deliver(user, src, body)
	}
	if k.after {
		k.UpstreamSpool.Deliver(user, src, body)
	}
	return spool.Message{}, errKilled
}

func TestKillAtAnyDeliveryNeitherLosesNorDoubles(t *testing.T) {
	w := newWorld(t)
	var want []string
	for n := range 4 {
		body := fmt.Sprintf("message %d\r\n", n)
		want = append(want, body)
		w.provider.AddMessage("alice@isp", []byte(body))
	}
	for n := range 6 {
		w.Upstream.spool = &killedSpool{UpstreamSpool: w.spool, left: 1 + n%2, after: n%3 == 0}
		w.fetch()
		w.crash()
	}
	w.fetch()
	w.mustHave(want...)
}
