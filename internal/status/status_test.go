package status

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestACallWalksThroughTheSnapshot(t *testing.T) {
	var b Board
	b.Post(LineChanged{At: noon, Line: "line1", State: LineReady})
	b.Post(CallStarted{At: noon, Call: 7, Line: "line1", Number: "5550100"})
	b.Post(CallConnected{At: noon, Call: 7, Rate: 33600, Result: "CONNECT 33600"})
	b.Post(CallAuthenticated{At: noon, Call: 7, User: "alice", Method: "MS-CHAPv2"})
	b.Post(CallCompressed{At: noon, Call: 7, Compression: "MPPC"})
	b.Post(CallRecognised{At: noon, Call: 7, Client: "Windows 98"})
	b.Post(CallTraffic{Call: 7, Up: 10, Down: 20})
	b.Post(CallTraffic{Call: 7, Up: 30, Down: 50})
	s := b.Snapshot()
	if len(s.Calls) != 1 || s.Lines[0].Call != 7 {
		t.Fatalf("the running call: %+v", s)
	}
	b.Post(CallEnded{At: noon.Add(time.Minute), Call: 7, Verdict: Verdict{Side: Peer, Code: "peer-hangup", Text: "alice hung up."}})
	s = b.Snapshot()
	if len(s.Calls) != 0 || s.Lines[0].Call != 0 || len(s.Ended) != 1 {
		t.Fatalf("after the end: %+v", s)
	}
	c := s.Ended[0]
	if c.User != "alice" || c.Rate != 33600 || c.Up != 30 || c.Verdict.Code != "peer-hangup" || c.Compression != "MPPC" || c.Client != "Windows 98" || !c.Ended.Equal(noon.Add(time.Minute)) {
		t.Errorf("the ended call: %+v", c)
	}
	if s.Counters.Calls != 1 || s.Counters.BytesUp != 30 || s.Counters.BytesDown != 50 {
		t.Errorf("counters: %+v", s.Counters)
	}
}

func TestAnEventForACallThatIsOverChangesNothing(t *testing.T) {
	var b Board
	b.Post(CallTraffic{Call: 3, Up: 5, Down: 5})
	b.Post(CallEnded{At: noon, Call: 3})
	if s := b.Snapshot(); len(s.Calls) != 0 || len(s.Ended) != 0 || s.Counters.BytesUp != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestEndedCallsAreBoundedNewestFirst(t *testing.T) {
	var b Board
	for id := CallID(1); id <= 3*keepEnded; id++ {
		b.Post(CallStarted{At: noon, Call: id, Line: "line1"})
		b.Post(CallEnded{At: noon, Call: id})
	}
	s := b.Snapshot()
	if len(s.Ended) != keepEnded || s.Ended[0].ID != 3*keepEnded {
		t.Errorf("kept %d, newest %d", len(s.Ended), s.Ended[0].ID)
	}
}

func TestAFaultKeepsTheTimeItBegan(t *testing.T) {
	var b Board
	for i := range 3 {
		b.Post(UpstreamChanged{At: noon.Add(time.Duration(i) * time.Hour), User: "alice", Direction: Submit, Fault: "down"})
	}
	leg := b.Snapshot().Users[0].Submit
	if !leg.Since.Equal(noon) || !leg.Last.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("since %v, last %v", leg.Since, leg.Last)
	}
	b.Post(UpstreamChanged{At: noon.Add(5 * time.Hour), User: "alice", Direction: Submit, TLS: "TLS 1.3"})
	if leg = b.Snapshot().Users[0].Submit; leg.Fault != "" || !leg.Since.Equal(noon.Add(5*time.Hour)) {
		t.Errorf("after it works again: %+v", leg)
	}
}

func TestRefusedNumbersAreBoundedNewestFirst(t *testing.T) {
	var b Board
	for i := range 3 * keepRefused {
		at := noon.Add(time.Duration(i) * time.Minute)
		b.Post(NumberRefused{At: at, Number: fmt.Sprint(5550100 + i), Until: at.Add(time.Hour)})
		b.Post(NumberRefused{At: at, Number: "5550099", Until: at.Add(time.Hour)})
	}
	s := b.Snapshot()
	if len(s.Refused) != keepRefused || s.Refused[0].Number != "5550099" || s.Refused[1].Number != "5550129" {
		t.Errorf("the page shows %v", s.Refused)
	}
	if got := s.Refused[0].String(); !strings.HasPrefix(got, "Log-ins from 5550099 are refused until 2026-11-23 13:29, ") {
		t.Errorf("in words: %s", got)
	}
}

func TestUsersAreInTheOrderOfTheirNames(t *testing.T) {
	var b Board
	for _, name := range []string{"carol", "alice", "bob", "alice"} {
		b.Post(MailboxChanged{User: name, Messages: 1})
	}
	s := b.Snapshot()
	if len(s.Users) != 3 || s.Users[0].Name != "alice" || s.Users[2].Name != "carol" {
		t.Errorf("users: %+v", s.Users)
	}
}

func TestASnapshotDoesNotChangeUnderItsReader(t *testing.T) {
	var b Board
	b.Post(LineChanged{At: noon, Line: "line1", State: LineReady})
	before := b.Snapshot()
	b.Post(LineChanged{At: noon, Line: "line1", State: LineRinging})
	if before.Lines[0].State != LineReady {
		t.Error("an old snapshot changed")
	}
}

func TestASlowWatcherNeverStallsAPostAndSeesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Board
		ctx, cancel := context.WithCancel(t.Context())
		var seen []LineState
		go b.Watch(ctx, func(s Snapshot) bool {
			time.Sleep(time.Hour) // of the bubble's clock: the slowest watcher there is
			if len(s.Lines) > 0 {
				seen = append(seen, s.Lines[0].State)
			}
			return true
		})
		for _, state := range []LineState{LineStarting, LineReady, LineRinging, LineTraining, LineOnline} {
			b.Post(LineChanged{At: noon, Line: "line1", State: state})
		}
		time.Sleep(5 * time.Hour)
		cancel()
		synctest.Wait()
		if len(seen) == 0 || seen[len(seen)-1] != LineOnline {
			t.Errorf("saw %v, the newest is online", seen)
		}
		if len(b.watchers) != 0 {
			t.Error("the watcher is still listed")
		}
	})
}

func TestEveryStateHasItsWord(t *testing.T) {
	for s := LineAbsent; s <= LineFault; s++ {
		if s.String() == "unknown" {
			t.Errorf("state %d has no word", int(s))
		}
	}
}
