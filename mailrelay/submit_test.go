package mailrelay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/mailrelay/spool"
)

const letter = "From: alice@example.org\r\nSubject: hello\r\n\r\nbody\r\n"

// mustReceive checks who got how many messages upstream.
func (w *world) mustReceive(want ...string) {
	w.t.Helper()
	var got []string
	for _, r := range w.provider.Received() {
		got = append(got, strings.Join(r.To, " "))
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("upstream got messages to %q, want %q", got, want)
	}
}

func (w *world) pass(d time.Duration) time.Time {
	w.clock = w.clock.Add(d)
	return w.submit()
}

func TestSubmittedMailIsTheSameOctetForOctet(t *testing.T) {
	bothForms(t, func(t *testing.T, opts ...worldOption) {
		w := newWorld(t, opts...)
		bodies := []string{
			letter,
			".\r\n",
			"..\r\n.\r\n\r\n.x\r\n",
			"Subject: gr\xfc\xdfe\r\n\r\nCR \r and CR CR LF \r\r\nNUL \x00\r\n",
			strings.Repeat("0123456789 and some more to fill several TLS records\r\n.\r\n", 20_000),
		}
		for _, b := range bodies {
			w.accept("alice@example.org", b, "bob@example.net")
		}
		w.submit()
		w.mustWork(status.Submit)
		got := w.provider.Received()
		if len(got) != len(bodies) {
			t.Fatalf("%d received, want %d", len(got), len(bodies))
		}
		for i, r := range got {
			if string(r.Body) != bodies[i] {
				t.Errorf("message %d: %d octets became %d: %.200q", i, len(bodies[i]), len(r.Body), r.Body)
			}
			if r.Size != int64(len(bodies[i])) || !r.Body8BitMIME || r.From != "alice@example.org" {
				t.Errorf("message %d: SIZE %d, 8BITMIME %v, from %q", i, r.Size, r.Body8BitMIME, r.From)
			}
		}
		if len(w.queue()) != 0 || w.provider.Logins("alice@isp") != 1 {
			t.Errorf("queue %v after %d log-ins", w.queue(), w.provider.Logins("alice@isp"))
		}
		if n := count[status.MailSubmitted](w); n != len(bodies) {
			t.Errorf("%d MailSubmitted", n)
		}
		if e := last[status.QueueChanged](w); e.Waiting != 0 || !e.NextTry.IsZero() {
			t.Errorf("queue shown as %+v", e)
		}
	})
}

func TestDotStuffingEndsLinesWithCRLFAndChangesNothingElse(t *testing.T) {
	// The caller writes the CR LF of the last line.
	for in, want := range map[string]string{
		"":              "",
		"a":             "a",
		"a\r\n":         "a",
		"a\n":           "a",
		"a\r":           "a\r",
		"\r\n":          "",
		"\r\n\r\n":      "\r\n",
		".":             "..",
		".\r\n.a\r\n":   "..\r\n..a",
		"a\n.\nb\n":     "a\r\n..\r\nb",
		"a\r.b\r\n":     "a\r.b",
		"a\r\r\n.b\r\n": "a\r\r\n..b",
		"\r.\r\n":       "\r.",
		"\n\n\n":        "\r\n\r\n",
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(in), "in pieces": iotest.OneByteReader(strings.NewReader(in))} {
			var out bytes.Buffer
			if err := stuffDots(&out, r); err != nil || out.String() != want {
				t.Errorf("%q %s: %q, %v; want %q", in, name, out.String(), err, want)
			}
		}
	}
}

func FuzzStuffedMessageIsUnstuffedToItself(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb"))
	f.Add([]byte("\r\r\n..\n.\r"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var wire bytes.Buffer
		if err := stuffDots(&wire, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		wire.WriteString("\r\n.\r\n")
		got, err := readBody(wire.String(), 1<<30, 100)
		// What a line end is, is all that may change.
		want := strings.ReplaceAll(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n", "\r\n")
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if err != nil || got != want {
			t.Fatalf("%q went as %q and came as %q, %v", body, wire.Bytes(), got, err)
		}
	})
}

func TestRefusalForGoodBouncesToTheSender(t *testing.T) {
	for name, f := range map[string]provider.Faults{
		"sender":    {RefuseMail: provider.Reply{Code: 550, Text: "5.7.1 go away"}},
		"recipient": {RefuseRcpt: map[string]provider.Reply{"bob@example.net": {Code: 550, Text: "5.7.1 go away"}}},
		"message":   {RefuseData: provider.Reply{Code: 554, Text: "5.7.1 go away"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.provider.SetFaults(f)
			w.accept("alice@example.org", letter, "bob@example.net")
			w.submit()
			w.mustWork(status.Submit)
			w.mustReceive()
			got := w.mailbox()
			if len(w.queue()) != 0 || len(got) != 1 || !strings.Contains(got[0], "go away") || !strings.Contains(got[0], "Status: 5.7.1") {
				t.Fatalf("queue %v, mailbox %q", w.queue(), got)
			}
			if e := last[status.MailBounced](w); e.User != "alice" || !strings.Contains(e.Reason, "5.7.1 go away") {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestPassingRefusalIsTriedAgainLaterAndOthersPassIt(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{
		RefuseRcpt:  map[string]provider.Reply{"bob@example.net": {Code: 451, Text: "4.7.1 greylisted"}},
		RefuseTimes: 3,
	})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.accept("alice@example.org", letter, "carol@example.net")
	begin := w.clock
	next := w.submit()
	w.mustReceive("carol@example.net")
	q := w.queue()
	if len(q) != 1 || q[0].Attempts != 1 || q[0].LastError != "451 4.7.1 greylisted" || !next.Equal(begin.Add(time.Minute)) {
		t.Fatalf("queue %+v, next try at +%v", q, next.Sub(begin))
	}
	if e := last[status.QueueChanged](w); e.Waiting != 1 || !e.NextTry.Equal(next) {
		t.Errorf("queue shown as %+v", e)
	}
	w.pass(59 * time.Second) // too early
	w.pass(time.Second)
	w.crash() // the pause is on disk
	w.pass(time.Minute)
	if q := w.queue(); q[0].Attempts != 2 {
		t.Fatalf("%d attempts", q[0].Attempts)
	}
	w.pass(time.Minute)
	if q := w.queue(); q[0].Attempts != 3 {
		t.Fatalf("%d attempts", q[0].Attempts)
	}
	w.pass(4 * time.Minute)
	w.mustReceive("carol@example.net", "bob@example.net")
	if len(w.queue()) != 0 || len(w.mailbox()) != 0 {
		t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
}

func TestTakenRecipientsAreNotSentToAgain(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseRcpt: map[string]provider.Reply{
		"gone@example.net": {Code: 550, Text: "5.1.1 no such user"},
		"busy@example.net": {Code: 452, Text: "4.2.2 mailbox full"},
	}})
	w.accept("alice@example.org", letter, "bob@example.net", "gone@example.net", "busy@example.net", "carol@example.net")
	w.submit()
	w.mustReceive("bob@example.net carol@example.net")
	if q := w.queue(); len(q) != 1 || !slices.Equal(q[0].To, []string{"busy@example.net"}) {
		t.Fatalf("queue %+v", q)
	}
	bounces := w.mailbox()
	if len(bounces) != 1 || !strings.Contains(bounces[0], "gone@example.net") || strings.Contains(bounces[0], "busy@example.net") {
		t.Fatalf("bounces %q", bounces)
	}
	w.crash()
	w.provider.SetFaults(provider.Faults{})
	w.pass(2 * time.Minute)
	w.mustReceive("bob@example.net carol@example.net", "busy@example.net")
	if len(w.queue()) != 0 {
		t.Errorf("queue %+v", w.queue())
	}
}

func TestRecipientLeftOverByASuccessBeginsItsPausesAnew(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 451, Text: "later"}})
	w.accept("alice@example.org", letter, "bob@example.net", "busy@example.net")
	w.submit()
	w.pass(time.Minute)
	w.provider.SetFaults(provider.Faults{RefuseRcpt: map[string]provider.Reply{"busy@example.net": {Code: 452, Text: "4.5.3 too many recipients"}}})
	next := w.pass(2 * time.Minute)
	w.mustReceive("bob@example.net")
	if q := w.queue(); len(q) != 1 || q[0].Attempts != 1 || next.Sub(w.clock) != time.Minute {
		t.Errorf("queue %+v, next in %v", q, next.Sub(w.clock))
	}
}

func TestGivenUpAfterFiveDays(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, _ *world) { cfg.DelayAfter = -1 })
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 451, Text: "4.3.0 try later"}})
	w.accept("alice@example.org", letter, "bob@example.net")
	tries := 0
	for len(w.queue()) > 0 {
		next := w.submit()
		if tries++; tries > 100 {
			t.Fatal("tried for ever")
		}
		if len(w.queue()) > 0 {
			w.clock = next
		}
	}
	got := w.mailbox()
	if len(got) != 1 || !strings.Contains(got[0], "given up after 5 days") || !strings.Contains(got[0], "451 4.3.0 try later") || !strings.Contains(got[0], "Status: 4.4.7") {
		t.Fatalf("mailbox %q", got)
	}
	// 7 pauses below two hours, then 2 hours each.
	if tries != 67 {
		t.Errorf("%d tries", tries)
	}
}

func TestRefusedLogInBouncesNothingAndNewMailDoesNotHurryIt(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseLogin: true, EchoLogin: true})
	w.accept("alice@example.org", letter, "bob@example.net")
	next := w.submit()
	w.mustFail(status.Submit, "refused the user name or password for sending (535", "mail waits here", "***")
	w.accept("alice@example.org", letter, "carol@example.net")
	if again := w.submit(); !again.Equal(next) {
		t.Errorf("new mail moved the next try from %v to %v", next, again)
	}
	if q := w.queue(); len(q) != 2 || q[0].Attempts != 0 || len(w.mailbox()) != 0 {
		t.Errorf("queue %+v, mailbox %q", q, w.mailbox())
	}
	w.provider.SetFaults(provider.Faults{})
	w.submits[0].pass(t.Context(), true)
	w.mustReceive() // a poke does not hurry it either
	w.pass(defaultPoll)
	w.mustReceive("bob@example.net", "carol@example.net")
	w.mustWork(status.Submit)
}

func TestNewMailIsTriedAtOnceThoughTheNetworkWasDown(t *testing.T) {
	w := newWorld(t)
	dial := w.dial
	w.Upstream.dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("network is unreachable")
	}
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.mustFail(status.Submit, "network is unreachable")
	w.Upstream.dial = dial
	w.submit() // the back-off stands
	w.mustReceive()
	w.accept("alice@example.org", letter, "carol@example.net")
	w.submit()
	w.mustReceive("bob@example.net", "carol@example.net")
}

func TestFallBackServerIsUsedWhileTheFirstCannotBe(t *testing.T) {
	closed := "smtps://127.0.0.1:1"
	w := newWorld(t, func(cfg *UpstreamConfig, w *world) {
		cfg.Accounts[0].SubmitFallback = cfg.Accounts[0].Submit
		cfg.Accounts[0].Submit = mustEndpoint(w.t, closed)
	})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.mustWork(status.Submit)
	w.mustReceive("bob@example.net")

	// When neither works, the fault is the first one's.
	w.provider.SetFaults(provider.Faults{Certificate: provider.Expired})
	w.accept("alice@example.org", letter, "carol@example.net")
	w.submit()
	w.mustFail(status.Submit, "cannot connect to 127.0.0.1:1 ")
}

func TestRefusedLogInIsNotTakenToTheFallBack(t *testing.T) {
	w := newWorld(t, func(cfg *UpstreamConfig, w *world) {
		cfg.Accounts[0].SubmitFallback = mustEndpoint(w.t, "smtps://127.0.0.1:1")
	})
	w.provider.SetFaults(provider.Faults{RefuseLogin: true})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.mustFail(status.Submit, "refused the user name or password")
	if strings.Contains(w.log.String(), "fall-back") {
		t.Error("the fall-back was tried")
	}
}

func TestConnectionLostInTheMessageDeliversNothingAndIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{DropDuringData: 1})
	w.accept("alice@example.org", strings.Repeat(letter, 200_000), "bob@example.net")
	w.submit()
	w.mustReceive()
	w.mustFail(status.Submit, "broke while sending mail")
	w.pass(time.Minute)
	w.mustReceive("bob@example.net")
	w.mustWork(status.Submit)
}

// brokenQueue cannot change its entries: a dying card.
type brokenQueue struct{ UpstreamSpool }

func (brokenQueue) Sent(string) error           { return errKilled }
func (brokenQueue) Remove(string) error         { return errKilled }
func (brokenQueue) Update(spool.Envelope) error { return errKilled }

// stuckQueue takes changes, but no ends: a card that dies, or a kill, between
// the provider's 250 and our note of it.
type stuckQueue struct{ UpstreamSpool }

func (stuckQueue) Sent(string) error   { return errKilled }
func (stuckQueue) Remove(string) error { return errKilled }

func TestDyingCardDoesNotSendAgainWhileTheBoxRuns(t *testing.T) {
	w := newWorld(t)
	w.Upstream.spool = stuckQueue{w.spool}
	w.accept("alice@example.org", letter, "bob@example.net")
	for range 5 {
		w.pass(3 * time.Hour)
	}
	w.mustReceive("bob@example.net")
	w.mustFail(status.Submit, "cannot use its disk")
	w.Upstream.spool = w.spool
	w.pass(3 * time.Hour)
	w.mustReceive("bob@example.net")
	if len(w.queue()) != 0 {
		t.Errorf("queue %v", w.queue())
	}
}

func TestACardThatTakesNoMarkSendsNothing(t *testing.T) {
	w := newWorld(t)
	w.Upstream.spool = brokenQueue{w.spool}
	w.accept("alice@example.org", letter, "bob@example.net")
	for range 3 {
		w.pass(3 * time.Hour)
	}
	w.mustReceive()
	w.mustFail(status.Submit, "cannot use its disk")
	w.Upstream.spool = w.spool
	w.pass(3 * time.Hour)
	w.mustReceive("bob@example.net")
}

func TestKillBetweenTheBounceAndOurNoteOfItBouncesOnce(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 554, Text: "5.6.0 no"}})
	w.Upstream.spool = brokenQueue{w.spool}
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.crash()
	w.submit()
	if n := len(w.mailbox()); n != 1 || len(w.queue()) != 0 {
		t.Errorf("%d bounces, queue %v", n, w.queue())
	}
}

func TestBounceWaitsForRoomOnTheDisk(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 554, Text: "5.6.0 no"}})
	w.Upstream.spool = fullSpool{w.spool}
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	if len(w.queue()) != 1 || len(w.mailbox()) != 0 {
		t.Fatalf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
	w.Upstream.spool = w.spool
	w.pass(time.Minute)
	if len(w.queue()) != 0 || len(w.mailbox()) != 1 {
		t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
}

func TestMailWithoutASenderNeverBounces(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 554, Text: "5.6.0 no"}})
	w.accept("", letter, "bob@example.net")
	w.submit()
	if len(w.queue()) != 0 || len(w.mailbox()) != 0 || count[status.MailBounced](w) != 0 {
		t.Errorf("queue %v, mailbox %q", w.queue(), w.mailbox())
	}
	if !strings.Contains(w.log.String(), "without a sender") {
		t.Error("not a word in the log")
	}
}

func TestAddressesOutsideASCIIBounceWhereTheServerHasNoSMTPUTF8(t *testing.T) {
	w := newWorld(t)
	w.accept("alice@example.org", letter, "jürgen@example.net")
	w.submit()
	w.mustReceive()
	if got := w.mailbox(); len(got) != 1 || !strings.Contains(got[0], "5.6.7") || !strings.Contains(got[0], "utf-8; jürgen@example.net") {
		t.Errorf("mailbox %q", got)
	}
}

func TestQueuesOfOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	if _, err := w.spool.Accept(spool.Envelope{User: "bert", From: "bert@example.org", To: []string{"bob@example.net"}}, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	w.submit()
	w.mustReceive()
	if len(w.queue()) != 1 {
		t.Errorf("queue %v", w.queue())
	}
}

func TestClockSetBackDoesNotHoldMailForYears(t *testing.T) {
	w := newWorld(t)
	env := w.accept("alice@example.org", letter, "bob@example.net")
	env.Next = w.clock.AddDate(10, 0, 0)
	if err := w.spool.Update(env); err != nil {
		t.Fatal(err)
	}
	w.submit()
	w.mustReceive("bob@example.net")
}

func TestPokeTriesAllOfTheQueueAtOnce(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 451, Text: "later"}, RefuseTimes: 2})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.accept("alice@example.org", letter, "carol@example.net")
	w.submit()
	w.mustReceive()
	w.submits[0].pass(t.Context(), true)
	w.mustReceive("bob@example.net", "carol@example.net")
}

func TestServerThatWantsAnotherLogInIsTheLegsFault(t *testing.T) {
	for _, code := range []int{530, 534, 535, 538} {
		w := newWorld(t)
		w.provider.SetFaults(provider.Faults{RefuseMail: provider.Reply{Code: code, Text: "5.7.0 who are you"}})
		w.accept("alice@example.org", letter, "bob@example.net")
		w.submit()
		w.mustFail(status.Submit, fmt.Sprint(code), "mail waits here")
		if len(w.queue()) != 1 || len(w.mailbox()) != 0 {
			t.Errorf("%d: queue %v, mailbox %q", code, w.queue(), w.mailbox())
		}
	}
}

func TestServerThatClosesIsNoRefusal(t *testing.T) {
	w := newWorld(t)
	w.provider.SetFaults(provider.Faults{RefuseData: provider.Reply{Code: 421, Text: "4.3.2 shutting down"}, RefuseTimes: 1})
	w.accept("alice@example.org", letter, "bob@example.net")
	w.submit()
	w.mustFail(status.Submit, "421 4.3.2 shutting down")
	w.pass(time.Minute)
	w.mustReceive("bob@example.net")
}

func TestServerThatEchoesTheLogInDoesNotShowIt(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		r := bufio.NewReader(theirs)
		io.WriteString(theirs, "220 echo\r\n")
		r.ReadString('\n')
		io.WriteString(theirs, "250-echo\r\n250 AUTH PLAIN\r\n")
		line, _ := r.ReadString('\n')
		io.WriteString(theirs, line)
		io.Copy(io.Discard, r)
	}()
	c := &submitClient{Client: smtp.NewClient(ours)}
	if err := c.Hello("box.example"); err != nil {
		t.Fatal(err)
	}
	a := UpstreamAccount{Username: "alice@isp", Password: func() string { return secretWord }}
	err := c.login(t.Context(), a)
	if !errors.Is(err, errSMTPSyntax) || strings.Contains(err.Error(), plainResponse("alice@isp", secretWord)) {
		t.Errorf("got %v", err)
	}
}
