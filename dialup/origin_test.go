package dialup

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

func TestWordsInANumbersPlaceAreNoNumber(t *testing.T) {
	for number, want := range map[string]string{
		"5550199": "5550199", "+1 555 0199": "+1 555 0199", "": "", "private": "", "out of area": "",
	} {
		if got := newOrigin("line1", number); got != (Origin{Line: "line1", Number: want}) {
			t.Errorf("%q is %+v", number, got)
		}
	}
}

// ponder takes as long as a guard against guessing, and notes who calls.
type ponder struct {
	Authenticator
	mu   sync.Mutex
	seen []Origin
}

func (p *ponder) Authenticate(ctx context.Context, from Origin, req ppp.AuthRequest) (string, ppp.Answer) {
	p.mu.Lock()
	p.seen = append(p.seen, from)
	p.mu.Unlock()
	sleep(ctx, 8*time.Second)
	return p.Authenticator.Authenticate(ctx, from, req)
}

func TestACallOutlastsAnAnswerThatWaits(t *testing.T) {
	methods := map[string]ppp.AuthMethod{"PAP": ppp.PAP, "CHAP-MD5": ppp.CHAPMD5, "MS-CHAP": ppp.MSCHAP, "MS-CHAPv2": ppp.MSCHAPv2}
	inBubble(t, methods, func(t *testing.T, method ppp.AuthMethod) {
		o := newOffice(t, exchange.Config{})
		judge := &ponder{Authenticator: passwords{"alice": "wonderland"}}
		o.line(theBox, func(cfg *LineConfig) {
			cfg.Auth, cfg.CallerID, cfg.PPP.Auth = judge, true, []ppp.AuthMethod{method}
		})
		time.Sleep(10 * time.Second)
		o.call().Close()
		o.close()
		if !slices.Equal(judge.seen, []Origin{{Line: "line " + theBox, Number: home}}) {
			t.Errorf("judged %+v", judge.seen)
		}
	})
}

func TestACallThatIsLostDoesNotWaitForItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, func(cfg *LineConfig) { cfg.Auth = &ponder{Authenticator: cfg.Auth} })
		time.Sleep(10 * time.Second)
		var dropped time.Time
		time.AfterFunc(12*time.Second, func() { // the box is pondering
			dropped = time.Now()
			o.x.Modem(home).DropCarrier()
		})
		if _, err := Dial(t.Context(), o.callerConfig(home), theBox); err == nil {
			t.Fatal("the call came up")
		}
		end := o.verdict(1)
		if late := end.At.Sub(dropped); late > 4*time.Second || end.Verdict.Side != status.Wire {
			t.Errorf("%v later: %+v", late, end.Verdict)
		}
		o.close()
	})
}
