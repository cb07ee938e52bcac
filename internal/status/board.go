package status

import (
	"context"
	"sync"
)

// Board holds the one current Snapshot. The zero value is ready to use.
type Board struct {
	mu       sync.Mutex
	now      Snapshot
	watchers map[chan struct{}]struct{}
}

// Post folds e into the Snapshot and wakes the watchers. It never blocks: a
// slow watcher must not stall a modem.
func (b *Board) Post(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.apply(&b.now)
	for w := range b.watchers {
		select {
		case w <- struct{}{}:
		default: // already woken, and will read the newest
		}
	}
}

// Snapshot returns the present state.
func (b *Board) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now.Clone()
}

// Watch calls see with the present Snapshot and then after changes, always
// with the newest and skipping what came between, until ctx ends or see
// returns false.
func (b *Board) Watch(ctx context.Context, see func(Snapshot) bool) {
	wake := make(chan struct{}, 1)
	b.mu.Lock()
	if b.watchers == nil {
		b.watchers = make(map[chan struct{}]struct{})
	}
	b.watchers[wake] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.watchers, wake)
		b.mu.Unlock()
	}()
	for see(b.Snapshot()) {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
	}
}
