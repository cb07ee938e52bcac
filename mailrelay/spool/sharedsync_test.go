package spool

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestThoseWhoComeDuringASyncShareTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sharedSync
		var wg sync.WaitGroup
		running := make(chan error)
		syncs := 0
		wait := func(want error) {
			wg.Go(func() {
				err := s.do(func() error { syncs++; return <-running })
				if err != want {
					t.Errorf("got %v, want %v", err, want)
				}
			})
			synctest.Wait()
		}
		broken := errors.New("disk gone")
		wait(nil) // this one's sync runs at once
		for range 10 {
			wait(broken) // and these must not be told of it
		}
		running <- nil
		running <- broken
		wg.Wait()
		if syncs != 2 {
			t.Errorf("%d syncs for eleven", syncs)
		}
		wait(nil)
		running <- nil
		wg.Wait()
	})
}
