package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// step is one thing that was tried. Its JSON names are documented.
type step struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"` // since the step before
	Text    string  `json:"text"`
}

// steps is a report that grows while it is made. Its methods may be called from
// many goroutines.
type steps struct {
	*stepList
	line string // goes before the names
}

type stepList struct {
	mu     sync.Mutex
	told   io.Writer
	began  time.Time
	last   time.Time
	list   []step
	failed int
}

func newSteps(told io.Writer) *steps {
	now := time.Now()
	return &steps{stepList: &stepList{told: told, began: now, last: now, list: []step{}}}
}

// of is the same report, about one line.
func (s *steps) of(line string) *steps { return &steps{s.stepList, line} }

// passed reports a step that went well.
func (s *steps) passed(name, format string, args ...any) {
	s.add(step{Name: name, OK: true, Text: fmt.Sprintf(format, args...)})
}

// fault reports a step that did not.
func (s *steps) fault(name string, err error) {
	s.add(step{Name: name, Text: err.Error()})
}

func (s *steps) add(a step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	a.Name = strings.TrimSpace(s.line + " " + a.Name)
	a.Seconds = now.Sub(s.last).Seconds()
	s.last = now
	s.list = append(s.list, a)
	mark := "ok    "
	if !a.OK {
		s.failed++
		mark = "FAILED"
	}
	fmt.Fprintf(s.told, "%s %7.2f s  %-16s %s\n", mark, a.Seconds, a.Name, a.Text)
}

// end closes the report with one line and returns an error if a step failed.
func (s *steps) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := time.Since(s.began).Seconds()
	if s.failed > 0 {
		return fmt.Errorf("%d of %s failed, in %.0f s", s.failed, count(len(s.list), "step"), took)
	}
	fmt.Fprintf(s.told, "\nPASSED: %s in %.0f s\n", count(len(s.list), "step"), took)
	return nil
}

// all returns the steps so far.
func (s *steps) all() []step {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}
