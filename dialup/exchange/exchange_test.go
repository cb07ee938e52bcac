package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a person at a Port: it types, and reads until it has seen what
// it waits for.
type terminal struct {
	*Port
	t    *testing.T
	seen []byte
}

func open(t *testing.T, m *Modem) *terminal {
	t.Helper()
	p, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{Port: p, t: t}
}

func (d *terminal) send(s string) {
	d.t.Helper()
	if _, err := d.Write([]byte(s)); err != nil {
		d.t.Fatalf("writing %q: %v", s, err)
	}
}

// expect reads up to and including want, and returns what stood before it.
func (d *terminal) expect(want string) string {
	d.t.Helper()
	b := make([]byte, 256)
	for {
		if before, after, ok := strings.Cut(string(d.seen), want); ok {
			d.seen = []byte(after)
			return before
		}
		n, err := d.Read(b)
		d.seen = append(d.seen, b[:n]...)
		if err != nil {
			d.t.Fatalf("waiting for %q, have %q: %v", want, d.seen, err)
		}
	}
}

// ask types a command line and expects the result want.
func (d *terminal) ask(line, want string) string {
	d.t.Helper()
	d.send(line + "\r")
	return d.expect("\r\n" + want + "\r\n")
}

// silent fails if anything comes within the time.
func (d *terminal) silent(within time.Duration) {
	d.t.Helper()
	time.Sleep(within)
	synctest.Wait()
	d.m.x.mu.Lock()
	defer d.m.x.mu.Unlock()
	if len(d.seen)+len(d.m.rx) > 0 {
		d.t.Fatalf("unexpected: %q %q", d.seen, d.m.rx)
	}
}

// pair is two modems and their terminals, A at 555-0101 and B at 555-0100.
func pair(t *testing.T, cfg Config) (a, b *terminal) {
	t.Helper()
	x := New(cfg)
	a, b = open(t, x.Modem("555-0101")), open(t, x.Modem("555-0100"))
	t.Cleanup(func() { a.Close(); b.Close() })
	a.ask("ATE0", "OK")
	b.ask("ATE0", "OK")
	return a, b
}

// dial calls B from A and leaves both online.
func dial(a, b *terminal) {
	a.t.Helper()
	a.send("ATDT5550100\r")
	b.expect("\r\nRING\r\n")
	b.send("ATA\r")
	a.expect("\r\nCONNECT 33600\r\n")
	b.expect("\r\nCONNECT 33600\r\n")
}

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestBytesGoBothWaysAtTheRateOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100_000
		delay := 60 * time.Millisecond
		a, b := pair(t, Config{Delay: delay, Train: 8 * time.Second})
		dial(a, b)
		want := randomBytes(n)
		start := time.Now()
		var both sync.WaitGroup
		for _, way := range [][2]*terminal{{a, b}, {b, a}} {
			both.Go(func() { way[0].send(string(want)) })
			both.Go(func() {
				got := make([]byte, n)
				if _, err := io.ReadFull(way[1], got); err != nil {
					t.Error(err)
				}
				if took, exact := time.Since(start), n*time.Second/3360+delay; took != exact {
					t.Errorf("%d bytes took %v, the line needs %v", n, took, exact)
				}
				if !bytes.Equal(got, want) {
					t.Error("the bytes have changed")
				}
			})
		}
		both.Wait()
	})
}

func TestALoneByteTakesItsTimeAndTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delay := 250 * time.Millisecond
		a, b := pair(t, Config{Rate: 2400, Delay: delay})
		a.send("ATD5550100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		a.expect("CONNECT 2400\r\n")
		b.expect("CONNECT 2400\r\n")
		for range 3 {
			time.Sleep(time.Second)
			start := time.Now()
			a.send("x")
			b.expect("x")
			if took, want := time.Since(start), time.Second/240+delay; took != want {
				t.Errorf("a byte took %v, want %v", took, want)
			}
		}
	})
}

// The queue has to stay where congestion control sees it.
func TestAModemTakesNoMoreThanItsBufferBeyondTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		dial(a, b)
		go io.Copy(io.Discard, b)
		start := time.Now()
		a.send(string(make([]byte, 3360)))
		if took, least := time.Since(start), time.Second*(3360-67)/3360; took < least {
			t.Errorf("3360 bytes were taken in %v, earliest %v", took, least)
		}
		if n, known := a.OutputWaiting(); !known || n == 0 || n > 67 {
			t.Errorf("OutputWaiting = %d, %v, want 1 to 67", n, known)
		}
		time.Sleep(time.Second)
		if n, _ := a.OutputWaiting(); n != 0 {
			t.Errorf("OutputWaiting = %d after a second of rest", n)
		}
	})
}

func TestADTEThatDoesNotReadHoldsTheSenderAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Delay: 50 * time.Millisecond})
		dial(a, b)
		want := randomBytes(20_000)
		var sent sync.WaitGroup
		sent.Go(func() { a.send(string(want)) })
		time.Sleep(time.Minute)
		if n, _ := a.OutputWaiting(); n == 0 {
			t.Error("everything was sent to a DTE that reads nothing")
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the bytes have changed, %v", err)
		}
		sent.Wait()
	})
}

func TestNoiseIsTheSameForTheSameSeed(t *testing.T) {
	receive := func(t *testing.T, seed uint64, chunk int) (got []byte) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, Config{Noise: 0.01, Seed: seed})
			dial(a, b)
			var sent sync.WaitGroup
			sent.Go(func() {
				for range 10_000 / chunk {
					a.send(strings.Repeat("\x55", chunk))
				}
			})
			got = make([]byte, 10_000)
			io.ReadFull(b, got)
			sent.Wait()
		})
		return got
	}
	first := receive(t, 7, 10_000)
	spoiled := 0
	for _, c := range first {
		if c != 0x55 {
			spoiled++
		}
	}
	if spoiled < 60 || spoiled > 140 {
		t.Errorf("%d of 10000 bytes spoiled at 1 %%", spoiled)
	}
	if !bytes.Equal(first, receive(t, 7, 100)) {
		t.Error("the same seed spoiled other bytes when the writer wrote in smaller pieces")
	}
	if bytes.Equal(first, receive(t, 8, 10_000)) {
		t.Error("another seed spoiled the same bytes")
	}
}

func TestNoiseChangesDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Seed: 1})
		dial(a, b)
		a.send("clean")
		b.expect("clean")
		a.m.x.SetNoise(1)
		a.send("noisy")
		got := make([]byte, 5)
		io.ReadFull(b, got)
		for i, c := range got {
			if c == "noisy"[i] {
				t.Errorf("byte %d came through noise of 1: %q", i, got)
			}
		}
	})
}

func TestACallGoesAtTheRateOfTheSlowerModem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		b.m.SetRate(14400)
		a.send("ATD5550100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		a.expect("CONNECT 14400\r\n")
		b.expect("CONNECT 14400\r\n")
		start := time.Now()
		go a.Write(make([]byte, 1440))
		io.ReadFull(b, make([]byte, 1440))
		if took := time.Since(start); took != time.Second {
			t.Errorf("1440 bytes took %v", took)
		}
	})
}

func TestAHuntGroupRingsTheNextFreeLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := New(Config{})
		b1, b2 := open(t, x.Modem("1")), open(t, x.Modem("2"))
		x.Group("100", b1.m, b2.m)
		callers := []*terminal{open(t, x.Modem("11")), open(t, x.Modem("12")), open(t, x.Modem("13"))}
		for i, b := range []*terminal{b1, b2} {
			callers[i].send("ATD100\r")
			b.expect("RING\r\n")
			b.send("ATA\r")
			callers[i].expect("CONNECT 33600\r\n")
		}
		callers[2].send("ATD100\r")
		callers[2].expect("BUSY\r\n")
		for _, d := range append(callers, b1, b2) {
			d.Close()
		}
	})
}

// A goroutine that is left over would be a deadlock when the bubble ends.
func TestAHundredCallsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := New(Config{Delay: 20 * time.Millisecond, Setup: time.Second, Train: 5 * time.Second})
		b := open(t, x.Modem("100"))
		b.ask("ATS0=1", "OK")
		for i := range 100 {
			a := open(t, x.Modem("200"))
			a.send("ATD100\r")
			a.expect("CONNECT 33600\r\n")
			b.expect("CONNECT 33600\r\n")
			a.send("hello")
			b.expect("hello")
			switch i % 4 {
			case 0:
				a.Close()
			case 1:
				a.SetDTR(false)
			case 2:
				a.m.DropCarrier()
			case 3:
				a.m.Vanish()
				a.m.Return()
			}
			b.expect("NO CARRIER\r\n")
			a.Close()
		}
		b.Close()
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, m := range x.lines {
			if m.call != nil || m.in != nil || m.state != idle || m.port != nil {
				t.Errorf("modem %s still has something: %+v", m.number, m)
			}
		}
	})
}

func TestASecondDTEIsRefused(t *testing.T) {
	x := New(Config{})
	p := x.Modem("1").Port()
	if _, err := x.Modem("1").Open(); !errors.Is(err, ErrInUse) {
		t.Errorf("Open = %v", err)
	}
	if _, err := x.Modem("1").Port().Write([]byte("AT\r")); !errors.Is(err, ErrInUse) {
		t.Errorf("Write = %v", err)
	}
	p.Close()
	p, err := x.Modem("1").Open()
	if err != nil {
		t.Errorf("after Close: %v", err)
	}
	p.Close()
}

func TestCloseWakesABlockedReadAndWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		dial(a, b)
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := a.Read(make([]byte, 1)); err != io.ErrClosedPipe {
				t.Errorf("Read = %v", err)
			}
		})
		both.Go(func() {
			if _, err := a.Write(make([]byte, 1e6)); err != io.ErrClosedPipe {
				t.Errorf("Write = %v", err)
			}
		})
		time.Sleep(time.Second)
		a.Close()
		both.Wait()
	})
}

// One operation is a second of 100 calls with both directions full, at the
// rate of a telephone line and in real time. cpu-ms/call is what one such
// second of one call costs.
func BenchmarkCalls(b *testing.B) {
	b.Run("fine", func(b *testing.B) { benchmarkCalls(b, Config{}) })
	b.Run("coarse", func(b *testing.B) { benchmarkCalls(b, Config{Tick: 50 * time.Millisecond, Buffer: 512}) })
}

func benchmarkCalls(bench *testing.B, cfg Config) {
	const calls = 100
	cfg.RingOn = time.Millisecond
	x := New(cfg)
	var ports []*Port
	for i := range calls {
		callee, caller := x.Modem(strconv.Itoa(1000+i)).Port(), x.Modem(strconv.Itoa(2000+i)).Port()
		defer callee.Close()
		defer caller.Close()
		callee.Write([]byte("ATS0=1\r"))
		fmt.Fprintf(caller, "ATE0S11=1D%d\r", 1000+i)
		ports = append(ports, callee, caller)
	}
	for _, p := range ports {
		for said := []byte(nil); !bytes.HasSuffix(said, []byte("33600\r\n")); {
			b := make([]byte, 1)
			if _, err := p.Read(b); err != nil {
				bench.Fatal(err)
			}
			said = append(said, b...)
		}
	}
	second := make([]byte, 3360)
	before := cpuTime(bench)
	for bench.Loop() {
		var all sync.WaitGroup
		for _, p := range ports {
			all.Go(func() { p.Write(second) })
			all.Go(func() { io.ReadFull(p, make([]byte, len(second))) })
		}
		all.Wait()
	}
	bench.ReportMetric(float64(cpuTime(bench)-before)/1e6/float64(bench.N)/calls, "cpu-ms/call")
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
