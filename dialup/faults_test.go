package dialup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

// drop is a moment of a call: so long after the caller begins to dial.
type drop struct {
	after   time.Duration
	noLines bool
}

func TestALineDroppedInAnyPhaseAnswersTheNextCall(t *testing.T) {
	cases := make(map[string]drop)
	for _, noLines := range []bool{false, true} {
		for ms := 200; ms < 8000; ms += 150 {
			cases[fmt.Sprintf("after %d ms, modem lines %v", ms, !noLines)] = drop{time.Duration(ms) * time.Millisecond, noLines}
		}
	}
	phases := make(map[string]bool)
	inBubble(t, cases, func(t *testing.T, d drop) {
		o := newOffice(t, exchange.Config{Delay: 60 * time.Millisecond, NoLines: d.noLines})
		o.line(theBox, func(cfg *LineConfig) { cfg.Auth = slowly{cfg.Auth} })
		time.Sleep(10 * time.Second)
		var dropped time.Time
		timer := time.AfterFunc(d.after, func() {
			dropped = time.Now()
			o.x.Modem(home).DropCarrier()
		})
		defer timer.Stop()
		c, err := Dial(t.Context(), o.callerConfig(home), theBox)
		if err == nil {
			<-time.After(10 * time.Second)
			c.Close()
		}
		synctest.Wait()
		time.Sleep(30 * time.Second)
		for _, end := range o.ended() {
			v := end.Verdict
			phases[v.Text] = true
			// The modem itself notices 1.4 s (S10) after the drop.
			if late := end.At.Sub(dropped); v.Code == ppp.CodeCarrierLost && late > 1400*time.Millisecond+2*time.Second {
				t.Errorf("the loss was noticed after %v", late)
			}
			switch v.Code {
			case ppp.CodeCarrierLost, codeNoConnect, ppp.CodePeerHangup:
			default:
				t.Errorf("%+v", v)
			}
		}
		o.call().Close()
		o.close()
	})
	for _, phase := range []string{"NO CARRIER instead of CONNECT", "during negotiation", "during authentication", "during the set-up of IP", "after "} {
		if !slices.ContainsFunc(keys(phases), func(text string) bool { return strings.Contains(text, phase) }) {
			t.Errorf("no drop fell into the phase %q: %q", phase, keys(phases))
		}
	}
}

func keys(m map[string]bool) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func TestALineThatGoesDeadIsNoticedWithin20Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{NoLines: true})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		o.exchanges(3)
		dead := time.Now()
		o.x.Modem(theBox).Silence()
		end := o.verdict(1)
		if late := end.At.Sub(dead); late > 20*time.Second || end.Verdict.Code != ppp.CodeEchoTimeout || end.Verdict.Side != status.Wire {
			t.Errorf("after %v: %+v", late, end.Verdict)
		}
		c.Close()
		time.Sleep(30 * time.Second)
		o.call().Close()
		o.close()
	})
}

func TestMailThatSaysNoCarrierDoesNotEndTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{NoLines: true})
		o.line(theBox, func(cfg *LineConfig) { cfg.PPP.Encryption = ppp.EncryptionOff })
		time.Sleep(10 * time.Second)
		c := o.call()
		box, caller := o.last(&o.stacks), o.last(&o.calls)
		n := 0
		for _, text := range []string{"\r\nNO CARRIER\r\n", "Hello\r\nNO CARRIER\r\nbye", strings.Repeat("NO CARRIER\r\n", 100)} {
			for range 20 {
				p := textPacket(text)
				caller.send(p)
				box.send(p)
				n++
				time.Sleep(3 * time.Second)
			}
		}
		if got := len(box.received()); got != n {
			t.Errorf("%d of %d packets came", got, n)
		}
		if all := o.ended(); len(all) > 0 {
			t.Fatalf("the call has ended: %+v", all)
		}
		c.Close()
		o.close()
	})
}

func TestACallerWhoThinksBetterOfItLeavesNothingBehind(t *testing.T) {
	cases := make(map[string]time.Duration)
	for ms := 0; ms < 9000; ms += 250 {
		cases[fmt.Sprintf("%d ms", ms)] = time.Duration(ms) * time.Millisecond
	}
	inBubble(t, cases, func(t *testing.T, after time.Duration) {
		o := newOffice(t, exchange.Config{Delay: 60 * time.Millisecond, NoLines: true})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		if c, err := Dial(ctx, o.callerConfig(home), theBox); err == nil {
			<-ctx.Done() // it bounds the dialling, not the call
			o.exchanges(1)
			c.Close()
		}
		time.Sleep(time.Minute)
		o.call().Close()
		o.close()
	})
}

func TestAModemThatVanishesComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		c := o.call()
		o.x.Modem(theBox).Vanish()
		if v := o.verdict(1).Verdict; v.Code != codePort || v.Side != status.Wire {
			t.Errorf("%+v", v)
		}
		c.Close()
		time.Sleep(time.Hour)
		if l := o.board.Snapshot().Lines[0]; l.State != status.LineAbsent || l.Detail == "" {
			t.Errorf("an unplugged line is %v: %s", l.State, l.Detail)
		} else if time.Since(l.Since) < 59*time.Minute {
			t.Errorf("it is absent for an hour, and shown since %v", l.Since)
		}
		o.x.Modem(theBox).Return()
		time.Sleep(absentRetry + 10*time.Second)
		o.call().Close()
		o.close()
	})
}

func TestACallerWhoNeverSpeaksPPPIsLetGo(t *testing.T) {
	inBubble(t, map[string]string{"silent": "", "a terminal": "hello?\r\n", "garbage": "\xff\x7d\x7e\x00\xc0"}, func(t *testing.T, text string) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		port, err := o.x.Modem(home).Open()
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(port)
		m := newModem(w, slog.New(slog.DiscardHandler))
		if _, err := m.connect(t.Context(), "ATDT"+theBox); err != nil {
			t.Fatal(err)
		}
		for len(o.ended()) == 0 {
			if text != "" {
				if err := m.send(t.Context(), text); err != nil {
					break
				}
			}
			if err := m.pause(t.Context(), time.Second); err != nil {
				break
			}
			m.scan.rest()
		}
		w.close()
		if v := o.verdict(1).Verdict; v.Code != ppp.CodeLCPTimeout {
			t.Errorf("%+v", v)
		}
		time.Sleep(30 * time.Second)
		o.call().Close()
		o.close()
	})
}

func TestFaultsOfOurOwnAreSaidAndTheNextCallIsAnswered(t *testing.T) {
	type fault struct {
		break_ func(o *office, cfg *LineConfig)
		want   string
	}
	inBubble(t, map[string]fault{
		"services that do not open": {func(o *office, _ *LineConfig) { o.services.fault = errors.New("the spool is locked") }, "the spool is locked"},
		"services that end early":   {func(o *office, _ *LineConfig) { o.services.ends = time.Minute }, "the spool is gone"},
		"no stack": {func(_ *office, cfg *LineConfig) {
			cfg.NewStack = func(Link) (Stack, error) { return nil, errors.New("no memory") }
		}, "no memory"},
		"no address": {func(_ *office, cfg *LineConfig) {
			cfg.Pool, _ = NewPool(netip.MustParsePrefix("10.9.9.9/32"), boxAddress)
			cfg.Pool.Lease()
		}, "every caller address is in use"},
	}, func(t *testing.T, f fault) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { f.break_(o, cfg) })
		time.Sleep(10 * time.Second)
		for n := 1; n <= 2; n++ {
			if c, err := Dial(t.Context(), o.callerConfig(home), theBox); err == nil {
				<-c.Done()
				c.Close()
			}
			v := o.verdict(n).Verdict
			if v.Side != status.Us || v.Code != codeServices || !strings.Contains(v.Text, f.want) {
				t.Errorf("%+v, want %q", v, f.want)
			}
			time.Sleep(30 * time.Second)
		}
		o.close()
	})
}

func TestAModemWithAFaultIsShownAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		var mended atomic.Bool
		s := &script{reply: func(c string) string {
			if c == "AT&K9" && !mended.Load() {
				return "\r\nERROR\r\n"
			}
			return okay
		}}
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Init = []string{"AT&K9"}
			s.plugIn(cfg)
		})
		time.Sleep(time.Hour)
		l := o.board.Snapshot().Lines[0]
		if want := "line 5550100: the modem answered ERROR to AT&K9; check the line's init commands against its manual"; l.State != status.LineFault || l.Detail != want {
			t.Errorf("%v: %s", l.State, l.Detail)
		} else if time.Since(l.Since) < 59*time.Minute {
			t.Errorf("the fault is an hour old, and shown since %v", l.Since)
		}
		mended.Store(true)
		time.Sleep(faultRetry + 10*time.Second)
		if l := o.board.Snapshot().Lines[0]; l.State != status.LineReady {
			t.Errorf("a mended line is %v", l.State)
		}
		o.close()
	})
}

func TestAnIdleModemThatLosesItsPowerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		var dead atomic.Bool
		s := &script{reply: func(string) string {
			if dead.Load() {
				return ""
			}
			return okay
		}}
		o.line(theBox, s.plugIn)
		time.Sleep(time.Minute)
		dead.Store(true)
		time.Sleep(checkEvery + 5*time.Minute)
		if l := o.board.Snapshot().Lines[0]; l.State != status.LineFault && l.State != status.LineStarting {
			t.Errorf("a dead modem's line is %v", l.State)
		}
		o.close()
	})
}
