package dialup

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
)

// watcher keeps what passed on a line.
type watcher struct {
	received, sent bytes.Buffer
	verdict        string
	closed         int
}

func (w *watcher) Received(_ time.Time, p []byte) { w.received.Write(p) }
func (w *watcher) Sent(_ time.Time, p []byte)     { w.sent.Write(p) }
func (w *watcher) Close(verdict string)           { w.verdict, w.closed = verdict, w.closed+1 }

func TestWhatPassesOnTheLineIsSeenAtBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		var box, caller watcher
		o.line("5550100", func(c *LineConfig) {
			c.Observe = func(id status.CallID, line string, _ time.Time) Observer {
				if id != 1 || line != "line 5550100" {
					t.Errorf("call %d on %q is observed", id, line)
				}
				return &box
			}
		})
		time.Sleep(5 * time.Second) // of the bubble: the modem is made ready
		cfg := o.callerConfig("5550199")
		cfg.Observe = func(status.CallID, string, time.Time) Observer { return &caller }
		call, err := Dial(t.Context(), cfg, "5550100")
		if err != nil {
			t.Fatal(err)
		}
		o.exchanges(3)
		call.Close()
		v := o.verdict(1)
		o.close()
		// What the modem says when the carrier has gone comes last.
		heard, _ := bytes.CutSuffix(box.received.Bytes(), []byte("\r\nNO CARRIER\r\n"))
		if !bytes.Equal(box.sent.Bytes(), caller.received.Bytes()) || !bytes.Equal(caller.sent.Bytes(), heard) {
			t.Errorf("the ends saw different bytes: box %d sent, %d received; caller %d sent, %d received",
				box.sent.Len(), box.received.Len(), caller.sent.Len(), caller.received.Len())
		}
		if box.sent.Len() == 0 || box.closed != 1 || caller.closed != 1 || box.verdict != v.Verdict.Text {
			t.Errorf("closed %d and %d times, with %q", box.closed, caller.closed, box.verdict)
		}
	})
}

// RFC 1570 section 2.2: a caller's software may warn its user in time.
func TestACallerIsToldHowLongItsCallMayLast(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, exchange.Config{})
			var box watcher
			o.line(theBox, func(c *LineConfig) {
				c.SessionLimit = limit
				c.Observe = func(status.CallID, string, time.Time) Observer { return &box }
			})
			time.Sleep(10 * time.Second) // of the bubble: the modem is made ready
			call := o.call()
			o.exchanges(2)
			call.Close()
			o.verdict(1)
			o.close()
			// LCP, code 13 as RFC 1662 escapes it.
			if told := bytes.Contains(box.sent.Bytes(), []byte{0xc0, 0x21, 0x7d, 13 ^ 0x20}); told != (limit > 0) {
				t.Errorf("limit %v: told %v", limit, told)
			}
		})
	}
}
