package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/dialup"
	"postern/dialup/exchange"
	"postern/dialup/netstack"
	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/ppp"
	"postern/ppp/mppe"
)

// benchWorld is the demo's world, ready to be dialled.
func benchWorld(b *testing.B, rate int, latency time.Duration, stack newStack) *demoWorld {
	b.Helper()
	w, err := newDemoWorld(demoOptions{
		auth: ppp.MSCHAPv2, encryption: ppp.EncryptionRequire, strength: mppe.Bits128,
		rate: rate, latency: latency, log: slog.New(slog.DiscardHandler), stack: stack,
	}, newStory(io.Discard))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.provider.Run(ctx) })
	running.Go(func() { w.box.run(ctx) })
	b.Cleanup(func() {
		cancel()
		running.Wait()
		if err := w.close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := w.wait(b.Context(), "ready lines", func(s status.Snapshot) bool { return allReady(s.Lines, 2) }); err != nil {
		b.Fatal(err)
	}
	return w
}

// lastCall waits until the call is over and returns the box's account of it.
func lastCall(b *testing.B, w *demoWorld, calls int) status.Call {
	b.Helper()
	s, err := w.wait(b.Context(), "the end of the call", func(s status.Snapshot) bool {
		return s.Counters.Calls == int64(calls) && len(s.Calls) == 0 && allReady(s.Lines, 2)
	})
	if err != nil {
		b.Fatal(err)
	}
	return s.Ended[0]
}

// From CONNECT to IP, MS-CHAPv2 and MPPE-128. The wide line has no bandwidth
// limit to speak of, so that what it takes is round trips.
func BenchmarkConnectToIPUp(b *testing.B) {
	const oneWay = 60 * time.Millisecond
	for _, line := range []struct {
		name string
		rate int
	}{{"33600", 33600}, {"wide", 100_000_000}} {
		b.Run(line.name, func(b *testing.B) {
			w := benchWorld(b, line.rate, oneWay, gvisor)
			var total time.Duration
			b.ResetTimer()
			for i := range b.N {
				call, err := w.dial(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				call.Close()
				c := lastCall(b, w, i+1)
				total += c.IPUp.Sub(c.Connected)
			}
			mean := total / time.Duration(b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(mean.Milliseconds()), "ms")
			b.ReportMetric(float64(mean)/float64(2*oneWay), "round-trips")
		})
	}
}

// A RETR of 500 KB of random data at 33,600 bit/s, 60 ms each way, encrypted,
// as a share of the 3,360 bytes/s that the line carries.
func BenchmarkRETR500KB(b *testing.B) {
	var boxStack *netstack.Stack
	w := benchWorld(b, 33600, 60*time.Millisecond, func(l dialup.Link) (dialup.Stack, error) {
		s, err := netstack.New(netstack.Config(l))
		boxStack = s
		return s, err
	})
	raw := make([]byte, 500_000*3/4)
	rand.Read(raw)
	w.provider.AddMessage(demoAddress, demoMessage("a@example.net", demoAddress, "random", wrap(base64.StdEncoding.EncodeToString(raw))))
	w.box.upstream.Poke(demoUser)
	if _, err := w.wait(b.Context(), "the message", func(s status.Snapshot) bool { return s.Users[0].Messages == 1 }); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		call, err := w.dial(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		conn, err := call.Dial(b.Context(), netip.AddrPortFrom(call.Peer(), portPOP3))
		if err != nil {
			b.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for _, line := range []string{"", "USER " + demoUser, "PASS " + demoPassword} {
			if line != "" {
				fmt.Fprintf(conn, "%s\r\n", line)
			}
			if got, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(got, "+OK") {
				b.Fatalf("answer %q, %v", got, err)
			}
		}
		began := time.Now()
		fmt.Fprint(conn, "RETR 1\r\n")
		if _, err := r.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		m, err := readDotLines(r)
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		conn.Close()
		again := boxStack.Retransmits()
		call.Close()
		lastCall(b, w, i+1)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(100*float64(len(m))/took.Seconds()/3360, "%line")
		b.ReportMetric(float64(len(m))/took.Seconds(), "bytes/s")
		b.ReportMetric(float64(again), "retransmits")
	}
}

// The resident memory of the real binary: idle, after the first 8 calls, and for
// each of 40 more callers whose mail programs are connected.
func BenchmarkMemory(b *testing.B) {
	const calls, warm = 48, 8
	dir := b.TempDir()
	binary := filepath.Join(dir, "appliance")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	p, err := provider.New(slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	running.Go(func() { p.Run(ctx) })
	x := exchange.New(exchange.Config{Rate: 230_400})
	var text strings.Builder
	fmt.Fprintf(&text, "state_dir = %q\n", dir)
	for i := range calls {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() { exchange.ServeTCP(ctx, l, x.Modem(strconv.Itoa(5550000+i))) })
		fmt.Fprintf(&text, "[[line]]\nname = \"line%d\"\nport = \"tcp://%v\"\n", i, l.Addr())
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), p.CertificatePEM(), 0o600); err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(&text, "[[user]]\nname = %q\ndial_password = %q\naddresses = [%q]\nupstream = \"isp\"\n", demoUser, demoPassword, demoAddress)
	fmt.Fprintf(&text, "[[upstream]]\nname = \"isp\"\nfetch = %q\nsubmit = %q\nusername = %q\npassword = \"x\"\nca_file = \"ca.pem\"\n", p.POP3S(), p.SMTPS(), demoAddress)
	config := filepath.Join(dir, "postern.toml")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--config", config)
	log, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cancel(); cmd.Wait() }()
	waitForLog(b, log, "ready")
	idle := resident(b, cmd.Process.Pid)

	w := &demoWorld{opt: demoOptions{auth: ppp.MSCHAPv2, encryption: ppp.EncryptionRequire, log: slog.New(slog.DiscardHandler)}, tale: newStory(io.Discard), exchange: x}
	var up sync.WaitGroup
	callers := make([]*dialup.Caller, calls)
	bring := func(from, to int) int {
		for i := from; i < to; i++ {
			up.Go(func() { callers[i] = benchCall(b, ctx, w, i) })
		}
		up.Wait()
		return resident(b, cmd.Process.Pid)
	}
	// The first calls page the code in, which is no call's own.
	few := bring(0, warm)
	all := bring(warm, calls)
	for _, c := range callers {
		if c != nil {
			up.Go(func() { c.Close() })
		}
	}
	up.Wait()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(idle)/1024, "idle-MiB")
	b.ReportMetric(float64(few-idle)/1024, "MiB-first-calls")
	b.ReportMetric(float64(all-few)/(calls-warm), "KiB/call")
}

// benchCall calls line i and logs in to POP3.
func benchCall(b *testing.B, ctx context.Context, w *demoWorld, i int) *dialup.Caller {
	number := 5550000 + i
	c, err := dialup.Dial(ctx, dialup.CallerConfig{
		Open: func(context.Context) (dialup.Port, error) {
			return w.exchange.Modem(strconv.Itoa(number + 1000)).Open()
		},
		NewStack: gvisor,
		PPP:      ppp.Config{Rand: rand.Reader, Auth: []ppp.AuthMethod{ppp.MSCHAPv2}, Encryption: ppp.EncryptionRequire, Name: demoUser, Password: demoPassword},
		Log:      w.opt.log,
	}, strconv.Itoa(number))
	if err != nil {
		b.Error(err)
		return nil
	}
	conn, err := c.Dial(ctx, netip.AddrPortFrom(c.Peer(), portPOP3))
	if err != nil {
		b.Error(err)
		return c
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		b.Error(err)
	}
	return c
}

func waitForLog(b *testing.B, r io.Reader, word string) {
	b.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), word) {
			go io.Copy(io.Discard, r)
			return
		}
	}
	b.Fatalf("the box ended without saying %q", word)
}

// resident is a process's resident set in KiB.
func resident(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	kib, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		b.Fatal(err)
	}
	return kib
}

// The size of what goes into the image.
func BenchmarkBinaryArm64(b *testing.B) {
	path := filepath.Join(b.TempDir(), "appliance")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(st.Size())/(1<<20), "MiB")
}
