package mailrelay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// maxConns bounds the sessions of one listener. A mail client uses two or
	// three; a caller gone wild must not fill the box.
	maxConns = 32
	// idleTimeout is RFC 1939's autologout timer, and more than the five minutes
	// that RFC 5321 section 4.5.3.2.7 asks of an SMTP server.
	idleTimeout = 10 * time.Minute
)

// serveConns runs handle for every connection that l accepts until ctx ends,
// or l fails for good. It then closes l and all connections and returns when
// all handles have. One connection too many is told the word busy.
// handle need not close its connection.
func serveConns(ctx context.Context, l net.Listener, log *slog.Logger, busy string, handle func(context.Context, net.Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()

	places := make(chan struct{}, maxConns)
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case passing(err):
			log.Warn("mail: a connection could not be accepted; trying on", "err", err)
			wait(ctx, time.Second)
			continue
		case err != nil:
			return err
		}
		conn = &idleConn{Conn: conn, idle: idleTimeout}
		select {
		case places <- struct{}{}:
		default:
			handlers.Go(func() {
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				io.WriteString(conn, busy)
				conn.Close()
			})
			continue
		}
		handlers.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			handle(ctx, conn)
		})
	}
}

// passing errors of Accept are the kernel's and go away by themselves.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// idleConn gives up when nothing at all moves for the time idle. A deadline for
// a whole message would cut the slow ones off: 5 MB take half an hour at
// 33,600 bit/s.
type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c *idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write sends p in pieces that even 2,400 bit/s carries in seconds, each with
// its own deadline.
func (c *idleConn) Write(p []byte) (sent int, err error) {
	for len(p) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(p[:min(len(p), 16<<10)])
		sent += n
		if err != nil {
			return sent, err
		}
		p = p[n:]
	}
	return sent, nil
}
