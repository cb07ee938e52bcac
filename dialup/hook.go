package dialup

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// connection is a trained carrier.
type connection struct {
	rate   int    // bit/s, 0 if the modem did not say
	result string // the modem's own line
	first  []byte // what came behind CONNECT
}

// noConnectError is a call that ended before there was a carrier.
type noConnectError struct {
	answer string // empty: nothing within wait
	wait   time.Duration
}

func (e *noConnectError) Error() string {
	if e.answer == "" {
		return fmt.Sprintf("the modems did not agree on a carrier within %v", e.wait)
	}
	return fmt.Sprintf("the modem said %s instead of CONNECT", e.answer)
}

// connect sends ATA or ATDT and waits for the carrier.
func (m *modem) connect(ctx context.Context, command string) (connection, error) {
	m.log.Debug("modem", "told", command)
	m.cleared = false
	on, known := m.carrier()
	m.dcdMoves = known && !on
	answering := command == "ATA"
	sent := time.Now()
	deadline := sent.Add(trainWait)
	if err := m.send(ctx, command+"\r"); err != nil {
		return connection{}, err
	}
	rate := 0
	for {
		r, err := m.next(ctx, deadline)
		switch {
		case errors.Is(err, errSilence):
			return connection{}, &noConnectError{wait: trainWait}
		case err != nil:
			return connection{}, err
		}
		switch r.code {
		case modulation:
			// With "CONNECT 115200" the line's own rate stands here.
			rate = max(rate, r.rate)
		case connect:
			if rate == 0 {
				rate = r.rate
			}
			m.ring = ringing{}
			return connection{rate: rate, result: r.text, first: m.scan.rest()}, nil
		case noCarrier, failed, busy, noAnswer, noDialtone:
			m.ring = ringing{}
			return connection{}, &noConnectError{answer: r.text}
		case ring:
			// Still ringing a good while after ATA: the modem missed it.
			if answering && time.Since(sent) > 2*time.Second {
				sent = time.Now()
				if err := m.send(ctx, command+"\r"); err != nil {
					return connection{}, err
				}
			}
		}
	}
}

// setDTR returns whether the port has a DTR to set.
func (m *modem) setDTR(on bool) bool {
	lines, found := m.wire.port.(modemLines)
	return found && lines.SetDTR(on) == nil
}

// carrier is what DCD says.
func (m *modem) carrier() (on, known bool) {
	if lines, found := m.wire.port.(modemLines); found {
		return lines.DCD()
	}
	return false, false
}

// hangup clears the call, if it is not cleared already, and returns when the
// modem is in command state again. It takes a second or two; errNotCleared
// means that the carrier may still stand.
func (m *modem) hangup(ctx context.Context) error {
	// A far end that has said its good-byes drops the carrier itself.
	if err := m.pause(ctx, lateWait); err != nil || m.cleared {
		return err
	}
	if m.setDTR(false) {
		err := m.pause(ctx, dtrDrop)
		m.setDTR(true)
		if err != nil {
			return err
		}
		if on, known := m.carrier(); m.cleared || known && !on {
			return nil
		}
		if _, err := m.command(ctx, "AT", commandWait/5); !isCommandError(err) {
			return err
		}
	}
	for range 2 {
		if err := m.escape(ctx); !errors.Is(err, errNotCleared) {
			return err
		}
	}
	return errNotCleared
}

// escape leaves online state by +++ between two guard times, and hangs up.
func (m *modem) escape(ctx context.Context) error {
	if err := m.pause(ctx, guardTime); err != nil || m.cleared {
		return err
	}
	if err := m.send(ctx, "+++"); err != nil {
		return err
	}
	if err := m.pause(ctx, guardTime+lateWait); err != nil || m.cleared {
		return err
	}
	// In command state +++ was the start of a line; it must not become part of
	// the next command.
	if err := m.send(ctx, "\r"); err != nil {
		return err
	}
	if err := m.pause(ctx, lateWait); err != nil || m.cleared {
		return err
	}
	_, err := m.command(ctx, "ATH", hangupWait)
	if isCommandError(err) && !m.cleared {
		return errNotCleared
	} else if isCommandError(err) {
		return nil
	}
	return err
}
