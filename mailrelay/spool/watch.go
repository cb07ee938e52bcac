package spool

import "sync"

// watches are those who want to hear of changes to a user's mail.
type watches struct {
	mu   sync.Mutex
	user map[string]map[chan struct{}]bool
}

// Watch returns a channel that can be read from after a user's mailboxes or
// queue have changed; many changes in a row may be one there. It is open until
// cancel is called, and belongs to one goroutine.
func (s *Spool) Watch(user string) (changes <-chan struct{}, cancel func()) {
	w := &s.watches
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.user == nil {
		w.user = make(map[string]map[chan struct{}]bool)
	}
	if w.user[user] == nil {
		w.user[user] = make(map[chan struct{}]bool)
	}
	w.user[user][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.user[user], c)
		if len(w.user[user]) == 0 {
			delete(w.user, user)
		}
	}
}

func (w *watches) tell(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.user[user] {
		select {
		case c <- struct{}{}:
		default: // it has not seen the last one yet, and will see this with it
		}
	}
}
