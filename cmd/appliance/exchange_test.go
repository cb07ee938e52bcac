package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startNetwork runs the exchange command as main would and returns what it
// says of itself, and a function that stops it as SIGTERM does.
func startNetwork(t *testing.T, args ...string) (said string, stop func() int) {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		exit <- run(ctx, append([]string{"exchange"}, args...), w, &stderr)
		w.Close()
	}()
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		said += line
		if err != nil {
			t.Fatalf("exit status %d: %s%s", <-exit, said, stderr.String())
		}
		if strings.Contains(line, "one way") {
			break
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, in)
	}()
	stopped := false
	stop = func() int {
		stopped = true
		cancel()
		code := <-exit
		<-drained
		return code
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return said, stop
}

// tcpModem is the address of the modem in what the exchange has said.
func tcpModem(t *testing.T, said string) string {
	t.Helper()
	found := regexp.MustCompile(`tcp://(\S+)`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("there is no modem on TCP in:\n%s", said)
	}
	return found[1]
}

// chat is a person at a modem. It fails the test when what is expected does
// not come.
type chat struct {
	t    *testing.T
	rw   io.ReadWriter
	seen strings.Builder
}

func (c *chat) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.rw, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chat) expect(want string) {
	c.t.Helper()
	b := make([]byte, 256)
	for !strings.Contains(c.seen.String(), want) {
		n, err := c.rw.Read(b)
		c.seen.Write(b[:n])
		if err != nil {
			c.t.Fatalf("waiting for %q, have %q: %v", want, c.seen.String(), err)
		}
	}
	_, rest, _ := strings.Cut(c.seen.String(), want)
	c.seen.Reset()
	c.seen.WriteString(rest)
}

func dialModem(t *testing.T, address string) *chat {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &chat{t: t, rw: conn}
}

func TestTheExchangeJoinsAPtyAndASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "modem")
	said, stop := startNetwork(t, "--train", "0s",
		"--number", "5550101", "--name", "Ship", "--link", path,
		"--number", "5550199", "--tcp", "127.0.0.1:0", "--rate", "33600",
		"--group", "5550100=5550101", "--group", "5550177=")
	tty, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	box := &chat{t: t, rw: tty}
	pc := dialModem(t, tcpModem(t, said))
	// The exchange looks for a program at the pty 20 times a second, and what is
	// written before waits there.
	box.send("ATE0+VCID=1\r")
	box.expect("OK")
	pc.send("ATS11=50DT5550177\r")
	pc.expect("BUSY")
	pc.send("ATDT5550100\r")
	box.expect("RING")
	box.expect("NMBR = 5550199")
	box.send("ATA\r")
	box.expect("CONNECT 33600")
	pc.expect("CONNECT 33600")
	pc.send("ahoy")
	box.expect("ahoy")
	box.send("aye")
	pc.expect("aye")
	if code := stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the link to the pty is left over: %v", err)
	}
}

func TestTheExchangeReadsAFileAndFlagsHaveTheLastWord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "exchange.toml")
	if err := os.WriteFile(file, []byte(`
rate = 9600
latency = "60ms"
drop_after = "90s"
noise = 0.001
[[modem]]
number = "5550101"
tcp = "127.0.0.1:0"
name = "Ship"
[[group]]
number = "5550100"
members = ["5550101"]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	said, stop := startNetwork(t, "--rate", "2400", "--config", file, "--number", "5550102")
	for _, want := range []string{"5550101  Ship", "5550102         nobody", "whichever is free of 5550101", "2400 bit/s, 60ms one way, one byte in 1000 spoiled, every carrier lost after 1m30s"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in:\n%s", want, said)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestAnExchangeThatCannotBeIsExplained(t *testing.T) {
	dir := t.TempDir()
	unknown := filepath.Join(dir, "unknown.toml")
	if err := os.WriteFile(unknown, []byte("rate = 9600\nspeed = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "for example"},
		{"--tcp 127.0.0.1:0", 2, "put --number before it"},
		{"--pty", 2, "put --number before it"},
		{"--number 555-01x", 2, "not a telephone number"},
		{"--number 5550101 --number 5550101", 2, "there twice"},
		{"--number 5550101 --group 5550101=5550101", 2, "there twice"},
		{"--number 5550101 --group 5550100=5550102", 2, "no modem 5550102"},
		{"--number 5550101 --group 5550100", 2, "5550100=5550101"},
		{"--number 5550101 --tcp nowhere", 2, "not host:port"},
		{"--number 5550101 --noise 2", 2, "0 to 1"},
		{"--number 5550101 --rate 1", 2, "300 to 921600"},
		{"--number 5550101 --latency 1h", 2, "0s to 10s"},
		{"--number 5550101 --latency fast", 2, "latency"},
		{"--config " + filepath.Join(dir, "none"), 1, "no such file"},
		{"--config " + unknown, 1, "line 2: speed"},
		{"--number 5550101 --link " + precious, 1, "file exists"},
		{"--number 5550101 --tcp 192.0.2.1:1", 1, "cannot assign"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"exchange"}, strings.Fields(tc.args)...), &stdout, &stderr)
		if code != tc.code || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%s: exit status %d, want %d, with %q in: %s", tc.args, code, tc.code, tc.want, stderr.String())
		}
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "keep me" {
		t.Errorf("a file in the place of the link now holds %q, %v", text, err)
	}
}

func TestALinkLeftByAKilledExchangeIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "modem")
	if err := os.Symlink("/dev/pts/4000", path); err != nil {
		t.Fatal(err)
	}
	_, stop := startNetwork(t, "--number", "5550101", "--link", path)
	target, err := os.Readlink(path)
	if err != nil || target == "/dev/pts/4000" {
		t.Errorf("the link leads to %s, %v", target, err)
	}
	stop()
}
