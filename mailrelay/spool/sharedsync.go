package spool

import "sync"

// sharedSync lets all who wait for a sync of one directory share it: while one
// sync runs, those who come meanwhile gather for the next. On a disk that takes
// some milliseconds for each, that is what many sessions at once wait for.
type sharedSync struct {
	mu     sync.Mutex
	latest *syncRound // runs, or has ended
	next   *syncRound // has not begun yet and can be joined
}

type syncRound struct {
	done chan struct{}
	err  error // set before done is closed
}

// do returns when a sync that began after the call has ended, with its error.
func (s *sharedSync) do(sync func() error) error {
	s.mu.Lock()
	if round := s.next; round != nil {
		s.mu.Unlock()
		<-round.done
		return round.err
	}
	round, before := &syncRound{done: make(chan struct{})}, s.latest
	s.next = round
	s.mu.Unlock()

	if before != nil {
		<-before.done
	}
	s.mu.Lock()
	s.latest, s.next = round, nil // whoever comes from here on has to have another
	s.mu.Unlock()
	round.err = sync()
	close(round.done)
	return round.err
}
