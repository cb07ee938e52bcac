package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests are in real time: they meet the kernel's sockets and ptys. The
// deadlines only end a test that has failed.

const patience = 20 * time.Second

// script writes and expects on a DTE that is not a Port.
func script(t *testing.T, dte io.ReadWriter, steps ...string) {
	t.Helper()
	var seen []byte
	b := make([]byte, 256)
	for i := 0; i < len(steps); i += 2 {
		if _, err := dte.Write([]byte(steps[i])); err != nil {
			t.Fatalf("writing %q: %v", steps[i], err)
		}
		for !bytes.Contains(seen, []byte(steps[i+1])) {
			n, err := dte.Read(b)
			seen = append(seen, b[:n]...)
			if err != nil {
				t.Fatalf("after %q, waiting for %q, have %q: %v", steps[i], steps[i+1], seen, err)
			}
		}
		_, seen, _ = bytes.Cut(seen, []byte(steps[i+1]))
	}
}

func serveTCP(t *testing.T, m *Modem) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- ServeTCP(ctx, l, m) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeTCP = %v", err)
		}
	})
	return l.Addr().String()
}

func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAnEmulatorOnASocketCallsAndIsHungUpWhenItCloses(t *testing.T) {
	x := New(Config{Rate: 1_000_000, RingOn: 10 * time.Millisecond})
	b := open(t, x.Modem("100"))
	defer b.Close()
	b.ask("ATS0=1", "OK")
	conn := dialTCP(t, serveTCP(t, x.Modem("200")))
	script(t, conn, "ATE0\r", "OK\r\n", "ATS11=1DT100\r", "CONNECT 1000000\r\n")
	b.expect("CONNECT 1000000\r\n")
	want := randomBytes(50_000)
	go func() {
		conn.Write(want)
		conn.Close()
	}()
	got := make([]byte, len(want)-x.cfg.Buffer-2000) // the modem forgets its buffer at the hang-up
	if _, err := io.ReadFull(b, got); err != nil || !bytes.HasPrefix(want, got) {
		t.Errorf("the bytes have changed, %v", err)
	}
	b.expect("NO CARRIER\r\n")
}

func TestASecondClientIsRefusedInWords(t *testing.T) {
	addr := serveTCP(t, New(Config{}).Modem("200"))
	first := dialTCP(t, addr)
	script(t, first, "AT\r", "OK")
	words, err := io.ReadAll(dialTCP(t, addr))
	if err != nil || !strings.Contains(string(words), ErrInUse.Error()) {
		t.Errorf("the second client reads %q, %v", words, err)
	}
	script(t, first, "AT\r", "OK")
}

func TestAVanishedModemEndsItsSocketAndItsPty(t *testing.T) {
	m := New(Config{}).Modem("200")
	addr := serveTCP(t, m)
	conn := dialTCP(t, addr)
	script(t, conn, "AT\r", "OK")
	m.Vanish()
	if _, err := io.ReadAll(conn); os.IsTimeout(err) {
		t.Error("the socket is still open")
	}
	words, _ := io.ReadAll(dialTCP(t, addr))
	if !strings.Contains(string(words), ErrUnplugged.Error()) {
		t.Errorf("a new client reads %q", words)
	}
	m.Return()
	conn = dialTCP(t, addr)
	script(t, conn, "AT\r", "OK")

	m = m.x.Modem("300")
	p, err := OpenPTY(m)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- p.Serve(t.Context()) }()
	tty := openTTY(t, p.Path())
	script(t, tty, "AT\r", "OK")
	m.Vanish()
	if err := <-done; !errors.Is(err, ErrUnplugged) {
		t.Errorf("Serve = %v", err)
	}
	if _, err := tty.Write([]byte("AT\r")); err == nil {
		t.Error("the pty is still there")
	}
}

func TestServeTCPEndsWithAClientConnected(t *testing.T) {
	m := New(Config{}).Modem("200")
	var conn net.Conn
	t.Run("serve", func(t *testing.T) {
		conn, _ = net.Dial("tcp", serveTCP(t, m))
		script(t, conn, "AT\r", "OK")
	})
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); os.IsTimeout(err) {
		t.Error("the client is still connected")
	}
	conn.Close()
	m.Port().Close()
}

func TestAProgramOnAPtyCallsAndIsHungUpWhenItCloses(t *testing.T) {
	x := New(Config{Rate: 1_000_000, RingOn: 10 * time.Millisecond})
	b := open(t, x.Modem("100"))
	defer b.Close()
	b.ask("ATS0=1", "OK")
	p, err := OpenPTY(x.Modem("200"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Serve(ctx) }()
	for range 2 { // it can be opened again
		tty := openTTY(t, p.Path())
		script(t, tty, "ATE0\r", "OK\r\n", "ATS11=1DT100\r", "CONNECT 1000000\r\n")
		b.expect("CONNECT 1000000\r\n")
		want := randomBytes(20_000)
		go tty.Write(want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("to B: the bytes have changed, %v", err)
		}
		go b.Write(want)
		if _, err := io.ReadFull(tty, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("from B: the bytes have changed, %v", err)
		}
		tty.Close()
		b.expect("NO CARRIER\r\n")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// openTTY opens a serial port as a terminal program does: raw from the start,
// or the kernel would echo what is typed before the modem has looked.
func openTTY(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tty := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { tty.Close() })
	if err := makeRaw(fd); err != nil {
		t.Fatal(err)
	}
	return tty
}

// A program that is started again at once finds the modem free.
func TestTheNextClientIsNotRefusedForTheLastOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ServeTCP(ctx, l, New(Config{}).Modem("5550100")) }()
	for range 50 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "AT\r")
		want := "AT\r\r\nOK\r\n"
		answer := make([]byte, len(want))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != want {
			t.Fatalf("the modem said %q, %v", answer, err)
		}
		conn.Close()
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// The program's own read time-out is what ends its reads.
func TestAProgramOnAPtyKeepsItsTerminalSettings(t *testing.T) {
	p, err := OpenPTY(New(Config{}).Modem("300"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Serve(ctx) }()
	tty := openTTY(t, p.Path())
	fd := int(tty.Fd())
	own, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	own.Iflag, own.Oflag, own.Lflag = 0, 0, 0
	own.Cc[unix.VMIN], own.Cc[unix.VTIME] = 0, 7
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, own); err != nil {
		t.Fatal(err)
	}
	io.WriteString(tty, "AT\r")
	for answer := ""; !strings.Contains(answer, "OK"); {
		b := make([]byte, 64)
		n, _ := unix.Read(fd, b)
		answer += string(b[:max(n, 0)])
	}
	now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil || now.Cc[unix.VMIN] != 0 || now.Cc[unix.VTIME] != 7 {
		t.Errorf("the terminal has VMIN %d, VTIME %d, %v", now.Cc[unix.VMIN], now.Cc[unix.VTIME], err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
