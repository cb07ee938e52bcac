package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reopenPoll is how often a pty that nobody has open is looked at: the kernel
// tells the master when the last program closes the other side, but not when
// the next one opens it.
const reopenPoll = 50 * time.Millisecond

// PTY is a pseudo-terminal behind which a modem sits, for programs that want
// the path of a serial port. The kernel's own buffers hold up to 12 KB between
// such a program and the modem.
type PTY struct {
	m    *Modem
	f    *os.File // the master
	path string
}

// OpenPTY makes a pseudo-terminal for m. Serve brings it to life.
func OpenPTY(m *Modem) (*PTY, error) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("modem %s: no pseudo-terminal: %w", m.number, err)
	}
	p := &PTY{m: m, f: f}
	if err := p.prepare(); err != nil {
		f.Close()
		return nil, fmt.Errorf("modem %s: pseudo-terminal: %w", m.number, err)
	}
	return p, nil
}

// Close gives back a PTY that is not served; Serve does so itself.
func (p *PTY) Close() error { return p.f.Close() }

// Path is what to open, such as /dev/pts/3.
func (p *PTY) Path() string { return p.path }

// prepare unlocks the slave, and opens and closes it: a master whose slave was
// never open does not report a hang-up, so that the first open would go unseen.
func (p *PTY) prepare() error {
	err := p.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		p.path = fmt.Sprintf("/dev/pts/%d", n)
		return err
	})
	if err != nil {
		return err
	}
	slave, err := os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	return slave.Close()
}

func (p *PTY) control(f func(fd int) error) error {
	raw, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// Serve lets whoever opens the pseudo-terminal be the modem's DTE; closing it
// is DTR going off. It returns nil when ctx ends, an error that wraps
// ErrUnplugged when the modem vanishes, and removes the pseudo-terminal.
func (p *PTY) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.f.Close() })
	defer stop()
	defer p.f.Close()
	for {
		opened, err := p.opened(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("modem %s: %s: %w", p.m.number, p.path, err)
		}
		if !opened {
			continue
		}
		port, err := p.m.Open()
		if errors.Is(err, ErrUnplugged) {
			return err
		}
		if err != nil {
			fmt.Fprintf(p.f, "\r\n%v\r\n", err)
			io.Copy(io.Discard, p.f) // until it is closed again
			continue
		}
		if p.session(port) == io.EOF {
			return fmt.Errorf("modem %s: %w", p.m.number, ErrUnplugged)
		}
	}
}

// opened waits one poll for a program to open the slave, and then makes the
// terminal raw: the kernel resets it at every last close.
func (p *PTY) opened(ctx context.Context) (opened bool, err error) {
	t := time.NewTimer(reopenPoll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false, nil
	case <-t.C:
	}
	err = p.control(func(fd int) error {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 0); err != nil && err != unix.EINTR {
			return err
		}
		if opened = poll[0].Revents&unix.POLLHUP == 0; !opened {
			return nil
		}
		return makeRaw(fd)
	})
	return opened, err
}

// makeRaw turns off echo, line editing and everything else that changes bytes.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	// A program that has made it raw itself keeps its VMIN and VTIME: without
	// its time-out, a read of it would outlive its close.
	if t.Lflag&(unix.ICANON|unix.ECHO) == 0 {
		return nil
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNPAR, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// session carries bytes until the slave is closed or the modem ends, and
// returns io.EOF when it was the modem.
func (p *PTY) session(port *Port) error {
	var down sync.WaitGroup
	var ended error
	down.Go(func() {
		ended = carry(p.f, port)
		if ended == io.EOF {
			p.f.Close() // the program sees a hang-up, as of a USB modem
		}
	})
	carry(port, p.f)
	port.Close()
	p.f.SetWriteDeadline(time.Now()) // a program that reads no more must not hold us
	down.Wait()
	p.f.SetWriteDeadline(time.Time{})
	return ended
}
