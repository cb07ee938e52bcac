package dialup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
)

// TestAThousandCallsWithFaultsLeaveEveryLineAnswering is years of a box with
// four lines: callers who hang up rudely, carriers that drop in every phase,
// lines that go dead or noisy, modems that lose their power. Nothing may be left
// over (the bubble would not end), and every line must answer at the end.
func TestAThousandCallsWithFaultsLeaveEveryLineAnswering(t *testing.T) {
	calls := 1000
	if testing.Short() {
		calls = 100
	}
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{Delay: 60 * time.Millisecond, Seed: 7})
		var boxes []*exchange.Modem
		for i := range 4 {
			number := fmt.Sprintf("555010%d", i)
			o.x.Modem(number).SetLines(i%2 == 0)
			o.line(number, func(cfg *LineConfig) { cfg.IdleLimit = 5 * time.Minute })
			boxes = append(boxes, o.x.Modem(number))
		}
		o.x.Group("5550000", boxes...)
		time.Sleep(20 * time.Second)

		var dialled, reached atomic.Int64
		var callers sync.WaitGroup
		for i := range 5 {
			callers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 99))
				number := fmt.Sprintf("555020%d", i)
				for dialled.Add(1) <= int64(calls) {
					if o.troubledCall(r, number, boxes) {
						reached.Add(1)
					}
					time.Sleep(time.Duration(r.IntN(20)) * time.Second)
				}
			})
		}
		callers.Wait()
		o.x.SetNoise(0)
		time.Sleep(2 * time.Minute) // the last modem has its power again

		for _, box := range boxes {
			c, err := Dial(t.Context(), o.callerConfig(home), box.Number())
			if err != nil {
				t.Errorf("%s does not answer: %v", box.Number(), err)
				continue
			}
			o.exchanges(3)
			c.Close()
			time.Sleep(10 * time.Second)
		}
		verdicts := make(map[string]int)
		for _, end := range o.ended() {
			verdicts[end.Verdict.Code]++
			if end.Verdict.Text == "" || end.Verdict.Code == "" {
				t.Errorf("a call without a verdict: %+v", end)
			}
		}
		t.Logf("%d calls, %d reached IP, %v in all; the box's verdicts: %v", calls, reached.Load(), time.Since(o.begun).Round(time.Minute), verdicts)
		if reached.Load() < int64(calls)/3 || len(verdicts) < 5 {
			t.Error("the faults were too many or too few to show anything")
		}
		if n := int64(len(o.ended())); o.board.Snapshot().Counters.Calls != n {
			t.Errorf("%d calls were started and %d ended", o.board.Snapshot().Counters.Calls, n)
		}
		for _, l := range o.board.Snapshot().Lines {
			if l.State != status.LineReady {
				t.Errorf("%s is %v at the end: %s", l.Name, l.State, l.Detail)
			}
		}
		o.close()
	})
}

// troubledCall makes a call with a fault of chance, and reports whether IP was
// reached.
func (o *office) troubledCall(r *rand.Rand, number string, boxes []*exchange.Modem) bool {
	mine := o.x.Modem(number)
	box := boxes[r.IntN(len(boxes))]
	after := time.Duration(r.IntN(20_000)) * time.Millisecond
	var repair func()
	fault := func() {}
	rude := false
	switch r.IntN(8) {
	case 0:
		fault = mine.DropCarrier
	case 1:
		fault = mine.Silence
	case 2:
		fault, repair = mine.Vanish, mine.Return
	case 3:
		fault, repair = box.Vanish, box.Return
	case 4:
		fault, repair = func() { o.x.SetNoise(0.01) }, func() { o.x.SetNoise(0) }
	case 5:
		rude = true // leaves without a good-bye
	}
	timer := time.AfterFunc(after, fault)
	defer func() {
		timer.Stop()
		if repair != nil {
			time.Sleep(time.Duration(r.IntN(60)) * time.Second)
			repair()
		}
	}()
	ctx, cancel := context.WithTimeout(o.ctx, 2*time.Minute)
	defer cancel()
	c, err := Dial(ctx, o.callerConfig(number), "5550000")
	if err != nil {
		return false
	}
	stack := c.stack.(*fakeStack)
	hold := time.NewTimer(time.Duration(1+r.IntN(15)) * time.Second)
	defer hold.Stop()
	for talking := true; talking; {
		stack.send(ipPacket(r.IntN(1000), 40+r.IntN(1000)))
		next := time.NewTimer(time.Duration(r.IntN(1000)) * time.Millisecond)
		select {
		case <-next.C:
		case <-c.Done():
			talking = false
		case <-hold.C:
			talking = false
		}
		next.Stop()
	}
	if rude {
		mine.DropCarrier()
	}
	c.Close()
	return true
}
