package hw

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Lines are the modem lines of a port (V.24 circuits 108/2, 105, 106, 107, 109
// and 125).
type Lines struct {
	DTR, RTS            bool // ours
	CTS, DSR, DCD, Ring bool // the modem's
}

// Lines reads the modem lines. The error wraps errors.ErrUnsupported for a
// port that has none, such as a pty.
func (s *Serial) Lines() (Lines, error) {
	if err := s.beginLines(); err != nil {
		return Lines{}, err
	}
	defer s.inUse.Done()
	bits, err := unix.IoctlGetInt(s.ctl, unix.TIOCMGET)
	if err != nil {
		return Lines{}, s.goneError(err)
	}
	on := func(bit int) bool { return bits&bit != 0 }
	return Lines{
		DTR: on(unix.TIOCM_DTR), RTS: on(unix.TIOCM_RTS),
		CTS: on(unix.TIOCM_CTS), DSR: on(unix.TIOCM_DSR), DCD: on(unix.TIOCM_CAR), Ring: on(unix.TIOCM_RNG),
	}, nil
}

// beginLines is begin for what needs modem lines.
func (s *Serial) beginLines() error {
	if !s.lines {
		return fmt.Errorf("%s has no modem lines: %w", s.path, errors.ErrUnsupported)
	}
	return s.begin()
}

// SetDTR raises or lowers Data Terminal Ready. The error wraps
// errors.ErrUnsupported for a port without modem lines.
func (s *Serial) SetDTR(on bool) error {
	if err := s.beginLines(); err != nil {
		return err
	}
	defer s.inUse.Done()
	request := uint(unix.TIOCMBIC)
	if on {
		request = unix.TIOCMBIS
	}
	if err := unix.IoctlSetPointerInt(s.ctl, request, unix.TIOCM_DTR); err != nil {
		return s.goneError(err)
	}
	return nil
}

// DCD says whether the modem has carrier, and whether the port can tell. A
// port that has gone cannot: its next Read says so, and that the line lost its
// carrier would be a wrong diagnosis.
func (s *Serial) DCD() (on, known bool) {
	lines, err := s.Lines()
	return lines.DCD, err == nil
}

// OutputWaiting is how many bytes the kernel has still to give to the modem.
// It is not known for a pty, where they count as sent at once.
func (s *Serial) OutputWaiting() (int, bool) {
	if s.beginLines() != nil {
		return 0, false
	}
	defer s.inUse.Done()
	n, err := unix.IoctlGetInt(s.ctl, unix.TIOCOUTQ)
	return n, err == nil
}
