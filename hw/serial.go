package hw

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnplugged is in the error of a port that is not there, or no more.
var ErrUnplugged = errors.New("is the modem plugged in?")

// ErrInUse is in the error of a port that another program has.
var ErrInUse = errors.New("a port serves one program at a time")

const (
	readTimeout = 100 * time.Millisecond // a blocked read survives a close, so none blocks for long
	writeRetry  = 5 * time.Millisecond   // 58 bytes of 115200 bit/s: the kernel's buffer does not run dry
)

// Serial is an open serial port: 8 data bits, no parity, raw, RTS/CTS flow
// control where the port has modem lines. One goroutine may read while another
// writes, and Close may come at any time.
type Serial struct {
	path  string
	bytes io.ReadCloser
	ctl   int  // the second descriptor, non-blocking
	lines bool // the port has modem lines; ptys have none

	mu     sync.Mutex
	closed chan struct{}
	inUse  sync.WaitGroup // Reads, Writes and controls that are on
}

// OpenSerial opens the port at path at baud bit/s, locks it against other
// programs and raises DTR and RTS. The error wraps ErrUnplugged or ErrInUse if
// it is that, and says in words what to do.
func OpenSerial(path string, baud int) (*Serial, error) {
	ctl, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &Serial{path: path, ctl: ctl, closed: make(chan struct{})}
	if err := s.open(baud); err != nil {
		if s.bytes != nil {
			s.bytes.Close()
		}
		unix.Close(ctl)
		return nil, err
	}
	return s, nil
}

func (s *Serial) open(baud int) (err error) {
	if _, err := unix.IoctlGetTermios(s.ctl, unix.TCGETS); err != nil {
		return fmt.Errorf("%s is no serial port: %w", s.path, err)
	}
	// The lock comes before tarm/serial touches the settings of a port that
	// another program is using.
	if err := lock(s.ctl, s.path); err != nil {
		return err
	}
	if s.bytes, err = openBytes(s.path, baud); err != nil {
		return err
	}
	if err := exclude(s.ctl); err != nil {
		return fmt.Errorf("%s: lock: %w", s.path, err)
	}
	_, err = unix.IoctlGetInt(s.ctl, unix.TIOCMGET)
	s.lines = err == nil
	if err := s.flowControl(s.lines); err != nil {
		return fmt.Errorf("%s: flow control: %w", s.path, err)
	}
	if s.lines {
		if err := unix.IoctlSetPointerInt(s.ctl, unix.TIOCMBIS, unix.TIOCM_DTR|unix.TIOCM_RTS); err != nil {
			return fmt.Errorf("%s: raising DTR: %w", s.path, err)
		}
	}
	return nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), err == unix.ENXIO, err == unix.ENODEV, err == unix.EIO:
		return fmt.Errorf("%s is not there: %w (%w)", path, ErrUnplugged, err)
	case err == unix.EBUSY:
		return fmt.Errorf("%s is held by another program: %w", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened: add this user to the group that owns it (often dialout): %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// flowControl turns RTS/CTS on or off. With HUPCL the last close lowers DTR,
// so that a call ends even with a process that was killed.
func (s *Serial) flowControl(on bool) error {
	t, err := unix.IoctlGetTermios(s.ctl, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Cflag |= unix.HUPCL
	t.Cflag &^= unix.CRTSCTS
	if on {
		t.Cflag |= unix.CRTSCTS
	}
	return unix.IoctlSetTermios(s.ctl, unix.TCSETS, t)
}

// begin holds the descriptors open until s.inUse.Done.
func (s *Serial) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		return fmt.Errorf("%s: %w", s.path, fs.ErrClosed)
	}
	s.inUse.Add(1)
	return nil
}

func (s *Serial) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Read reads what has come. It returns 0 and no error when nothing has come
// for a tenth of a second. The error wraps fs.ErrClosed after Close, and
// ErrUnplugged when the port has gone.
func (s *Serial) Read(b []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.inUse.Done()
	n, err := s.bytes.Read(b)
	switch {
	case n > 0:
		return n, nil
	case s.hungUp() || err != nil && err != io.EOF:
		return 0, s.goneError(err)
	}
	return 0, nil // os.File makes io.EOF of a read that timed out
}

// Write blocks while the modem's CTS is off and the kernel's buffer is full.
// The error wraps fs.ErrClosed after Close, and ErrUnplugged when the port has
// gone.
//
// It writes to the second descriptor, which does not block: a write that
// sleeps in the kernel survives Close, and not every driver's flush wakes it.
// For the same reason it does not poll: a pty says it is writable when it
// takes nothing.
func (s *Serial) Write(b []byte) (n int, err error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.inUse.Done()
	for n < len(b) {
		k, err := unix.Write(s.ctl, b[n:])
		switch {
		case err == nil:
			n += k
			continue
		case err == unix.EINTR:
			continue
		case err != unix.EAGAIN:
			return n, s.goneError(err)
		}
		select {
		case <-s.closed:
			return n, s.goneError(nil)
		case <-time.After(writeRetry):
		}
	}
	return n, nil
}

// hungUp says whether the kernel has taken the device away.
func (s *Serial) hungUp() bool {
	poll := []unix.PollFd{{Fd: int32(s.ctl), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

func (s *Serial) goneError(err error) error {
	if s.isClosed() {
		return fmt.Errorf("%s: %w", s.path, fs.ErrClosed)
	}
	if err == nil || err == io.EOF || errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%s has gone: %w", s.path, ErrUnplugged)
	}
	return fmt.Errorf("%s: %w", s.path, err)
}

// Close lowers DTR, which ends a call under AT&D2, and gives the port free. It
// throws away what has not been sent: a modem that holds CTS off would keep a
// close waiting for half a minute.
func (s *Serial) Close() error {
	s.mu.Lock()
	if s.isClosed() {
		s.mu.Unlock()
		return nil
	}
	close(s.closed)
	s.mu.Unlock()
	s.inUse.Wait() // a Read for at most its timeout

	// If these fail the port has gone, and nothing waits for it.
	s.flowControl(false)
	unix.IoctlSetInt(s.ctl, unix.TCFLSH, unix.TCIOFLUSH)
	unlock(s.ctl)
	if err := errors.Join(s.bytes.Close(), unix.Close(s.ctl)); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}
