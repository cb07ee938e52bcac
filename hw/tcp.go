package hw

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sendBuffer is small so that what waits for a slow line waits in the caller's
// TCP and not here: the kernel's default holds minutes of 33,600 bit/s. Linux
// still fills the last segment, half the peer's window, so the other end wants
// a small receive buffer too.
const sendBuffer = 4096

// dialTimeout is less than the minutes of SYNs that the kernel has patience for,
// so that an emulator's machine that is off is shown as absent.
const dialTimeout = 15 * time.Second

// TCP is a modem behind a socket: a modem server or an emulator's serial port.
// It has no modem lines; its end is the modem's.
type TCP struct {
	*net.TCPConn
}

// DialTCP connects to the modem at addr (host:port). A peer that vanished
// without a word is noticed within half a minute.
func DialTCP(ctx context.Context, addr string) (*TCP, error) {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
			})
			if err != nil {
				return err
			}
			return failed
		},
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("no modem at tcp://%s: is the emulator or modem server running? %w", addr, err)
	}
	return &TCP{conn.(*net.TCPConn)}, nil // TCP_NODELAY is Go's default
}

// OutputWaiting is how many of the bytes written the other end of the socket
// has not taken.
func (t *TCP) OutputWaiting() (n int, known bool) {
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, false
	}
	var failed error
	err = raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return n, err == nil && failed == nil
}
