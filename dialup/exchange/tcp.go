package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketBuffer keeps the queue where the DTE's own TCP or UART can see it: the
// kernel's defaults hold minutes of a 33,600 bit/s line. With 4608 in the
// sender and this here a real pppd behind QEMU filled the line without stalls.
const socketBuffer = 4096

// ServeTCP lets clients on l, an emulator with a serial port on a socket, be
// the DTE of m, one at a time; another one is told so and closed. A connection
// that ends is DTR going off: the modem hangs up. ServeTCP closes l and returns
// nil when ctx ends, with every connection closed, or the error of l.
func ServeTCP(ctx context.Context, l net.Listener, m *Modem) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()

	if t, ok := l.(*net.TCPListener); ok {
		if err := smallReceiveBuffer(t); err != nil {
			return fmt.Errorf("modem %s: receive buffer of %s: %w", m.number, l.Addr(), err)
		}
	}
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("modem %s: %w", m.number, err)
		}
		clients.Go(func() {
			defer conn.Close()
			port, err := m.openSoon(ctx)
			if err != nil {
				fmt.Fprintf(conn, "\r\n%v\r\n", err)
				return
			}
			if t, ok := conn.(*net.TCPConn); ok {
				t.SetWriteBuffer(socketBuffer) // on failure only the modem's queue is longer
			}
			join(ctx, conn, port)
		})
	}
}

// Handing over the modem from one client to the next.
const (
	handover     = 500 * time.Millisecond
	handoverPoll = 20 * time.Millisecond
)

// openSoon is Open for a client that may have come before the last one's
// hang-up has been noticed: two sockets are not read in the order in which
// things happened to them.
func (m *Modem) openSoon(ctx context.Context) (*Port, error) {
	poll := time.NewTicker(handoverPoll)
	defer poll.Stop()
	for tries := int(handover / handoverPoll); ; tries-- {
		port, err := m.Open()
		if tries == 0 || !errors.Is(err, ErrInUse) {
			return port, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// smallReceiveBuffer sets the buffer of the connections that l will accept: an
// accepted one has already offered its window.
func smallReceiveBuffer(l syscall.Conn) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	})
	if err != nil {
		return err
	}
	return failed
}

// join carries bytes between a DTE and its modem until either ends or ctx
// does, and closes both.
func join(ctx context.Context, dte io.ReadWriteCloser, port *Port) {
	shut := func() { dte.Close(); port.Close() }
	stop := context.AfterFunc(ctx, shut)
	defer stop()
	var up sync.WaitGroup
	up.Go(func() {
		carry(port, dte)
		shut()
	})
	carry(dte, port)
	shut()
	up.Wait()
}

// carry copies until an error, and returns it. It takes small steps: what it holds in its hand
// is beyond the modem's buffer.
func carry(to io.Writer, from io.Reader) error {
	b := make([]byte, 256)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}
