package dialup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

func TestACallIsAnsweredCarriedAndCleared(t *testing.T) {
	inBubble(t, map[string]exchange.Config{
		"with modem lines":    {Delay: 60 * time.Millisecond},
		"without modem lines": {Delay: 60 * time.Millisecond, NoLines: true},
	}, func(t *testing.T, cfg exchange.Config) {
		o := newOffice(t, cfg)
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		for n := 1; n <= 3; n++ {
			c := o.call()
			o.exchanges(20)
			if v := c.Close(); v.Side != status.Us {
				t.Errorf("the caller says %+v", v)
			}
			end := o.verdict(n)
			if end.Verdict.Side != status.Peer || end.Verdict.Code != ppp.CodePeerHangup || !strings.HasPrefix(end.Verdict.Text, "alice hung up after ") || strings.Contains(end.Verdict.Text, "saying") {
				t.Errorf("call %d: %+v", n, end.Verdict)
			}
			time.Sleep(20 * time.Second)
		}
		o.close()

		want := []status.LineState{status.LineStarting, status.LineReady}
		for range 3 {
			want = append(want, status.LineRinging, status.LineTraining, status.LineNegotiating, status.LineOnline,
				status.LineHangingUp, status.LineStarting, status.LineReady)
		}
		if got := o.states(); !slices.Equal(got, want) {
			t.Errorf("the line went through %v, want %v", got, want)
		}
		for _, call := range o.board.Snapshot().Ended {
			if call.User != "alice" || call.Method != "MS-CHAPv2" || call.Rate != 33600 || call.Peer == (netip.Addr{}) ||
				!strings.Contains(call.Cipher, "128") || call.Up == 0 || call.Down == 0 {
				t.Errorf("the record of the call: %+v", call)
			}
		}
		if got := fmt.Sprint(o.services.users); got != "[alice alice alice]" {
			t.Errorf("the services were opened for %s", got)
		}
	})
}

func TestACallerIsKnownByOneNameHoweverItIsTyped(t *testing.T) {
	inBubble(t, map[string]string{"in capitals": "ALICE", "with a domain": `OFFICE\Alice`}, func(t *testing.T, typed string) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		cfg := o.callerConfig(home)
		cfg.PPP.Name = typed
		c, err := Dial(t.Context(), cfg, theBox)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		v := o.verdict(1).Verdict
		o.close()
		if call := o.board.Snapshot().Ended[0]; call.User != "alice" || !strings.HasPrefix(v.Text, "alice hung up") {
			t.Errorf("shown as %q: %s", call.User, v.Text)
		}
		if got := fmt.Sprint(o.services.users); got != "[alice]" {
			t.Errorf("the services were opened for %s", got)
		}
	})
}

func TestTrafficIsReportedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		start := time.Now()
		c := o.call()
		o.exchanges(100)
		c.Close()
		seconds := int(time.Since(start).Seconds())
		o.close()
		reports, last := 0, status.CallTraffic{}
		for _, e := range o.events {
			if r, found := e.(status.CallTraffic); found {
				reports++
				if r.Up < last.Up || r.Down < last.Down {
					t.Errorf("%+v after %+v", r, last)
				}
				last = r
			}
		}
		if reports < 5 || reports > seconds+1 {
			t.Errorf("%d reports in %d s", reports, seconds)
		}
		if last.Up < 50_000 || last.Down < 50_000 {
			t.Errorf("bytes at the end: %+v", last)
		}
	})
}

func TestAWrongPasswordIsRefusedInWordsAndTheNextCallAnswered(t *testing.T) {
	inBubble(t, map[string]ppp.AuthMethod{
		"PAP": ppp.PAP, "CHAP": ppp.CHAPMD5, "MS-CHAP": ppp.MSCHAP, "MS-CHAPv2": ppp.MSCHAPv2,
	}, func(t *testing.T, method ppp.AuthMethod) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		cfg := o.callerConfig(home)
		cfg.PPP.Password = "looking-glass"
		cfg.PPP.Auth = []ppp.AuthMethod{method}
		_, err := Dial(t.Context(), cfg, theBox)
		var ended *EndedError
		if !errors.As(err, &ended) || ended.Verdict.Code != ppp.CodeAuthFailed {
			t.Errorf("the caller is told %v", err)
		}
		v := o.verdict(1).Verdict
		if v.Code != ppp.CodeAuthFailed || !strings.Contains(v.Text, "alice") || !strings.Contains(v.Text, method.String()) {
			t.Errorf("the box says %+v", v)
		}
		time.Sleep(20 * time.Second)
		o.call().Close()
		o.close()
	})
}

func TestShutdownEndsTheCallInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{NoLines: true})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		begun := time.Now()
		o.stop()
		o.joined.Wait()
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if v := o.verdict(1).Verdict; v.Code != ppp.CodeShutdown || v.Side != status.Us {
			t.Errorf("the box says %+v", v)
		}
		<-c.Done()
		if v := c.Close(); v.Side != status.Peer || v.Code != ppp.CodePeerHangup {
			t.Errorf("the caller says %+v", v)
		}
		o.close()
	})
}

func TestACallerWhoHungUpJustBeforeTheShutdownHasHungUp(t *testing.T) {
	cases := make(map[string]time.Duration)
	// The Terminate-Request of a dozen octets is at the box in less than 100 ms,
	// and the carrier is gone some hundreds later.
	for ms := 100; ms < 700; ms += 50 {
		cases[fmt.Sprintf("%d ms", ms)] = time.Duration(ms) * time.Millisecond
	}
	inBubble(t, cases, func(t *testing.T, after time.Duration) {
		o := newOffice(t, exchange.Config{Delay: 60 * time.Millisecond})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		go c.Close()
		time.Sleep(after)
		o.stop()
		o.joined.Wait()
		<-c.Done()
		if v := o.verdict(1).Verdict; v.Code != ppp.CodePeerHangup {
			t.Errorf("%+v", v)
		}
		o.close()
	})
}

func TestShutdownInAnyPhaseIsShort(t *testing.T) {
	cases := make(map[string]time.Duration)
	for ms := 0; ms < 9000; ms += 300 {
		cases[fmt.Sprintf("%d ms", ms)] = time.Duration(ms) * time.Millisecond
	}
	inBubble(t, cases, func(t *testing.T, after time.Duration) {
		o := newOffice(t, exchange.Config{NoLines: true})
		o.line(theBox, nil)
		time.Sleep(time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if c, err := Dial(t.Context(), o.callerConfig(home), theBox); err == nil {
				<-c.Done()
				c.Close()
			}
		}()
		time.Sleep(after)
		begun := time.Now()
		o.stop()
		o.joined.Wait()
		if took := time.Since(begun); took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
		<-done // the caller has waited out its S7
		o.close()
	})
}

func TestLimitsEndACall(t *testing.T) {
	type limits struct {
		idle, session time.Duration
		busy          func(o *office)
		code          string
	}
	both := func(o *office) { o.exchanges(1) }
	inBubble(t, map[string]limits{
		"idle after packets both ways": {time.Minute, 0, both, ppp.CodeIdleLimit},
		"idle after packets to it":     {time.Minute, 0, func(o *office) { o.last(&o.calls).send(ipPacket(1, 99)) }, ppp.CodeIdleLimit},
		"session":                      {0, 5 * time.Minute, both, ppp.CodeSessionLimit},
	}, func(t *testing.T, l limits) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { cfg.IdleLimit, cfg.SessionLimit = l.idle, l.session })
		time.Sleep(10 * time.Second)
		c := o.call()
		start := time.Now()
		for range 7 {
			time.Sleep(30 * time.Second)
			l.busy(o)
		}
		if len(o.ended()) > 0 {
			t.Fatalf("a busy call was ended: %+v", o.ended())
		}
		<-c.Done()
		c.Close()
		end := o.verdict(1)
		if lasted := end.At.Sub(start); end.Verdict.Code != l.code || lasted < 4*time.Minute || lasted > 6*time.Minute {
			t.Errorf("after %v: %+v", lasted, end.Verdict)
		}
		o.close()
	})
}

func TestPacketsThatAreNotForTheBoxKeepNoCallUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { cfg.IdleLimit = time.Minute })
		time.Sleep(10 * time.Second)
		c := o.call()
		start := time.Now()
		browse := ipPacket(1, 99)
		copy(browse[16:], []byte{10, 64, 64, 255})
		for len(o.ended()) == 0 && time.Since(start) < 10*time.Minute {
			o.last(&o.calls).send(browse)
			o.last(&o.stacks).send(ipPacket(2, 99)) // nor what the box says to it
			time.Sleep(10 * time.Second)
		}
		c.Close()
		if end := o.verdict(1); end.Verdict.Code != ppp.CodeIdleLimit || end.At.Sub(start) > 2*time.Minute {
			t.Errorf("after %v: %+v", end.At.Sub(start), end.Verdict)
		}
		o.close()
	})
}

func TestABusyLineLeavesItsCallerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		first, firstCaller := o.last(&o.stacks), o.last(&o.calls)
		if _, err := Dial(t.Context(), o.callerConfig("5550198"), theBox); err == nil || !strings.Contains(err.Error(), "BUSY") {
			t.Errorf("the second caller hears %v", err)
		}
		if o.last(&o.stacks) != first || o.last(&o.calls) != firstCaller {
			t.Error("the second caller got a stack")
		}
		o.exchanges(5)
		c.Close()
		o.close()
	})
}

func TestACallerWhoGivesUpRingingIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { cfg.Rings = 3 })
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second) // two rings
		defer cancel()
		if _, err := Dial(ctx, o.callerConfig(home), theBox); err == nil {
			t.Fatal("a line that should wait for three rings has answered")
		}
		time.Sleep(20 * time.Second)
		if got := o.states(); got[len(got)-2] != status.LineRinging || got[len(got)-1] != status.LineReady {
			t.Errorf("%v", got)
		}
		o.call().Close()
		o.close()
		if n := len(o.ended()); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestCallerIDIsWaitedForWhenItIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { cfg.CallerID = true })
		time.Sleep(10 * time.Second)
		o.call().Close()
		o.close()
		if call := o.board.Snapshot().Ended[0]; call.Number != home {
			t.Errorf("%+v", call)
		}
	})
}

func TestARingDuringInitIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		s := &script{reply: answers(map[string]string{"ATZ": "\r\nRING\r\n" + okay, "ATA": "\r\nNO CARRIER\r\n"})}
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Init = []string{"ATZ"}
			s.plugIn(cfg)
		})
		v := o.verdict(1).Verdict
		if v.Code != codeNoConnect || v.Text != "The modem said NO CARRIER instead of CONNECT" {
			t.Errorf("%+v", v)
		}
		o.close()
	})
}
