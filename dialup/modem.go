package dialup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Time limits of the dialogue with a modem.
const (
	commandWait = 5 * time.Second // ATZ takes 3 s with some external modems
	commandTry  = 3
	wakeWait    = 1500 * time.Millisecond
	// afterCommand is the pause between init commands.
	afterCommand = 100 * time.Millisecond
	maxSaid      = 100 // lines of an answer that are kept; AT&V of a talkative modem has 40
	writeWait    = 3 * time.Second
	trainWait    = 90 * time.Second // S7 of a patient modem, with V.92 and retrains
	lateWait     = 300 * time.Millisecond
	guardTime    = 1100 * time.Millisecond // S12 is 1 s unless somebody changed it
	dtrDrop      = time.Second             // &D2 wants S25, 50 ms; cheap modems want much more
	hangupWait   = 4 * time.Second
	// ringCadence is a little more than the longest pause between two RINGs
	// (6 s in North America); after it the caller has given up.
	ringCadence = 8 * time.Second
)

// plainResults is echo off, results on, in words. Numbers are understood until
// it has been accepted.
const plainResults = "ATE0Q0V1"

// commandError is a modem that does not do as told.
type commandError struct {
	command string
	answer  string // empty: none came
	wait    time.Duration
}

func (e *commandError) Error() string {
	if e.answer == "" {
		return fmt.Sprintf("the modem did not answer %s within %v; check its power and its cable", e.command, e.wait)
	}
	return fmt.Sprintf("the modem answered %s to %s; check the line's init commands against its manual", e.answer, e.command)
}

func isCommandError(err error) bool {
	var refused *commandError
	return errors.As(err, &refused)
}

var (
	errSilence    = errors.New("the modem said nothing")
	errNoOutput   = fmt.Errorf("%w: the modem takes no characters (its CTS stays off); check its cable", errGone)
	errNotCleared = fmt.Errorf("%w: the modem would not hang up", errGone)
)

// ringing is a call that waits to be answered.
type ringing struct {
	rings  int
	last   time.Time // when the modem last said something of it
	number string    // caller ID; empty if none came
	name   string
}

// modem is the dialogue with a modem in command state. It notes a RING
// whenever it comes, because callers do not wait for our init commands.
type modem struct {
	wire *wire
	scan lineScanner
	log  *slog.Logger
	ring ringing
	// cleared is whether NO CARRIER has come since the last command.
	cleared bool
	// dcdMoves is whether DCD was off before the present call: then it follows
	// the carrier, and is not wired on (&C0).
	dcdMoves bool
}

func newModem(w *wire, log *slog.Logger) *modem {
	return &modem{wire: w, log: log, scan: lineScanner{numeric: true}}
}

// next returns the next result, errSilence when none has come until deadline
// (zero: wait for ever), errGone when the port has failed.
func (m *modem) next(ctx context.Context, deadline time.Time) (result, error) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	for {
		if r, found := m.scan.next(); found {
			if r.code != info { // what is no result may be the rest of a call, and hold secrets
				m.log.Debug("modem", "says", r.text)
			}
			m.note(r)
			return r, nil
		}
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-late:
			return result{}, errSilence
		case err := <-m.wire.wrote:
			m.wire.busy = false
			if err != nil {
				return result{}, err
			}
		case chunk, open := <-m.wire.in:
			if !open {
				return result{}, m.wire.err
			}
			m.scan.feed(chunk)
		}
	}
}

// note remembers what a result says besides answering the present command.
func (m *modem) note(r result) {
	switch r.code {
	case ring, callerID:
		// Some networks send the caller ID before the first RING.
		now := time.Now()
		if now.Sub(m.ring.last) > ringCadence {
			m.ring = ringing{}
		}
		m.ring.last = now
		switch {
		case r.code == ring:
			m.ring.rings++
		case r.key == "NMBR":
			m.ring.number = r.value
		case r.key == "NAME":
			m.ring.name = r.value
		}
	case noCarrier:
		m.cleared = true
	}
}

// send writes p, waiting for a write that is still under way. What the modem
// says meanwhile stays in the scanner.
func (m *modem) send(ctx context.Context, p string) error {
	late := time.NewTimer(writeWait)
	defer late.Stop()
	sent := false
	for {
		if !m.wire.busy {
			if sent {
				return nil
			}
			m.wire.start([]byte(p))
			sent = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return errNoOutput
		case err := <-m.wire.wrote:
			m.wire.busy = false
			if err != nil {
				return err
			}
		case chunk, open := <-m.wire.in:
			if !open {
				return m.wire.err
			}
			m.scan.feed(chunk)
		}
	}
}

// command sends one AT command and returns what the modem said before its OK.
func (m *modem) command(ctx context.Context, command string, wait time.Duration) ([]string, error) {
	m.log.Debug("modem", "told", command)
	m.cleared = false
	if err := m.send(ctx, command+"\r"); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(wait)
	var said []string
	for {
		r, err := m.next(ctx, deadline)
		switch {
		case errors.Is(err, errSilence):
			return said, &commandError{command: command, wait: wait}
		case err != nil:
			return said, err
		}
		switch r.code {
		case ok:
			return said, nil
		case failed, connect, busy, noAnswer, noDialtone:
			return said, &commandError{command: command, answer: r.text}
		case info:
			if len(said) < maxSaid && !strings.EqualFold(r.text, command) { // the echo
				said = append(said, r.text)
			}
		}
	}
}

// pause reads for a fixed time: an answer that came too late must not be taken
// for the answer to the next command, and a guard time must be kept.
func (m *modem) pause(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	for {
		if _, err := m.next(ctx, end); errors.Is(err, errSilence) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// insist is command, tried again when no answer or a wrong one came: the first
// characters after power-up or a reset are often lost.
func (m *modem) insist(ctx context.Context, command string) (said []string, err error) {
	for try := range commandTry {
		if try > 0 {
			// An empty line ends what a lost half of the command may have left.
			if err := m.send(ctx, "\r"); err != nil {
				return nil, err
			}
			if err := m.pause(ctx, lateWait); err != nil {
				return nil, err
			}
		}
		said, err = m.command(ctx, command, commandWait)
		if err == nil && try > 0 {
			err = m.pause(ctx, lateWait)
		}
		if !isCommandError(err) {
			return said, err
		}
	}
	return said, err
}

// begin brings the modem from any state into command state with the line's
// settings: on hook, verbose results, no echo, never answering by itself.
func (m *modem) begin(ctx context.Context, init []string) error {
	m.scan = lineScanner{numeric: true, buf: m.scan.buf}
	m.setDTR(true)
	if err := m.wakeUp(ctx); err != nil {
		return err
	}
	for _, command := range init {
		if _, err := m.insist(ctx, command); err != nil {
			return err
		}
		// Some are deaf for a moment after the OK to ATZ.
		if err := m.pause(ctx, afterCommand); err != nil {
			return err
		}
	}
	// The line's own settings may have undone it.
	if _, err := m.insist(ctx, plainResults); err != nil {
		return err
	}
	m.scan.numeric = false
	return m.neverAnswers(ctx)
}

// wakeUp gets the first OK out of a modem. Its first characters after power-up
// may be lost, it may have been set to be quiet, and it may still be in a call
// that a box before us left behind.
func (m *modem) wakeUp(ctx context.Context) error {
	// Behind the answer to the second the late one to the first may follow.
	for _, late := range []time.Duration{0, lateWait} {
		if _, err := m.command(ctx, plainResults, wakeWait); err == nil {
			return m.pause(ctx, late)
		} else if !isCommandError(err) {
			return err
		}
	}
	if err := m.escape(ctx); !errors.Is(err, errNotCleared) {
		return err
	}
	return nil // the line's own commands will say what is wrong
}

// neverAnswers makes sure that the modem leaves answering to us: one that
// picks up by itself keeps callers on a dead box and eats their first bytes.
func (m *modem) neverAnswers(ctx context.Context) error {
	if _, err := m.insist(ctx, "ATS0=0"); err != nil {
		return err
	}
	said, err := m.command(ctx, "ATS0?", commandWait)
	if refused := (*commandError)(nil); errors.As(err, &refused) && refused.answer != "" {
		return nil // data modems of the cellular kind have no S0 to show
	}
	if err != nil {
		return err
	}
	for _, line := range said {
		if digits := strings.Trim(line, "0123456789"); digits == "" && strings.Trim(line, "0") != "" {
			return &commandError{command: "ATS0=0", answer: "OK, but S0 is still " + line + ","}
		}
	}
	return nil
}

// showCallerID asks for caller ID in the two ways that modem makers have for
// it. One without it answers the call all the same.
func (m *modem) showCallerID(ctx context.Context) error {
	for _, command := range []string{"AT+VCID=1", "AT#CID=1"} {
		if _, err := m.command(ctx, command, commandWait); !isCommandError(err) {
			return err
		}
	}
	return nil
}
