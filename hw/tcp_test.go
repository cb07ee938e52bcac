package hw

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestASocketModemTakesOnlyWhatItReads(t *testing.T) {
	// A modem server with a small buffer; the kernel lets one segment of half
	// the peer's window wait whatever our own buffer is.
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := DialTCP(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	modem, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer modem.Close()

	const offered = 1 << 20
	conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // it is to block
	n, err := conn.Write(make([]byte, offered))
	if err == nil {
		t.Fatalf("%d bytes went to a modem that reads nothing", n)
	}
	if waiting, known := conn.OutputWaiting(); !known || waiting == 0 || waiting > 4*sendBuffer {
		t.Errorf("OutputWaiting = %d, %v", waiting, known)
	}
	conn.SetWriteDeadline(time.Time{})
	conn.CloseWrite()
	got, err := io.ReadAll(modem)
	if err != nil || !bytes.Equal(got, make([]byte, n)) {
		t.Errorf("the modem read %d bytes of %d, %v", len(got), n, err)
	}
}

func TestNobodyBehindTheSocketIsToldInWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if _, err := DialTCP(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "is the emulator or modem server running?") {
		t.Errorf("DialTCP = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DialTCP(ctx, addr); err == nil {
		t.Error("DialTCP went on after its context had ended")
	}
}
