package capture_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"postern/dialup/capture"
	"postern/ppp/hdlc"
)

// An exchange is a frame of a transcript, and what is to be said of it.
type exchange struct {
	sent bool
	hex  string
	want string
}

// transcript reads testdata/trace.txt: sections of exchanges.
func transcript(t testing.TB) (sections [][]exchange) {
	t.Helper()
	b, err := os.ReadFile("testdata/trace.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", "")) {
		line = strings.TrimRight(line, "\n")
		last := len(sections) - 1
		switch {
		case strings.HasPrefix(line, "#"):
			if last < 0 || len(sections[last]) > 0 {
				sections = append(sections, nil)
			}
		case strings.HasPrefix(line, "<-"), strings.HasPrefix(line, "->"):
			sections[last] = append(sections[last], exchange{sent: line[:2] == "->", hex: line[2:]})
		case strings.HasPrefix(line, "   = "):
			sections[last][len(sections[last])-1].want = line[5:]
		case line != "":
			t.Fatalf("not a line of a transcript: %q", line)
		}
	}
	return sections
}

func (e exchange) wire(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(e.hex, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return hdlc.AppendFrame(nil, 0xffffffff, nil, b)
}

func TestTraceSaysWhatTheTranscriptSays(t *testing.T) {
	lines := 0
	for _, section := range transcript(t) {
		var out bytes.Buffer
		trace := capture.NewTrace(&out, "line1")
		now := epoch
		for _, e := range section {
			out.Reset()
			arrow := " <- "
			if e.sent {
				arrow = " -> "
				trace.Sent(now, e.wire(t))
			} else {
				trace.Received(now, e.wire(t))
			}
			if got := strings.TrimSuffix(out.String(), "\n"); !strings.HasPrefix(got, "line1 ") || got[strings.Index(got, arrow):] != arrow+e.want {
				t.Errorf("%s\n got %q\nwant ... %q", e.hex, got, arrow+e.want)
			}
			now = now.Add(time.Second / 4)
			lines++
		}
	}
	if lines < 40 {
		t.Errorf("only %d lines of the transcript were read", lines)
	}
}

func TestTraceTellsTheTimeSinceTheFirstFrame(t *testing.T) {
	var out bytes.Buffer
	trace := capture.NewTrace(&out, "")
	trace.Sent(epoch, echo(1))
	trace.Received(epoch.Add(1234*time.Millisecond), echo(1))
	trace.Close("the caller\x1b hung up")
	want := "    0.000 -> LCP EchoReq id=1\n    1.234 <- LCP EchoReq id=1\n    1.234 ended: the caller? hung up\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func TestTraceReportsLineNoise(t *testing.T) {
	var out bytes.Buffer
	trace := capture.NewTrace(&out, "")
	spoiled := echo(1)
	spoiled[6] ^= 0x55
	trace.Received(epoch, spoiled)
	if !strings.Contains(out.String(), "<- 1 spoiled") {
		t.Errorf("trace %q", &out)
	}
}

// What a technician sees live and what comes out of the saved capture must not differ.
func TestSavedCaptureTracesAsTheCallDid(t *testing.T) {
	ended := regexp.MustCompile(`ended: .*`)
	for _, p := range profiles {
		pcapng, live, _ := record(t, p, capture.Config{})
		var again bytes.Buffer
		if err := capture.Print(&again, "line1", bytes.NewReader(pcapng)); err != nil {
			t.Fatal(err)
		}
		if got := ended.ReplaceAllString(again.String(), ""); got != ended.ReplaceAllString(live, "") {
			t.Errorf("%s: live\n%s\nsaved\n%s", p.name, live, got)
		}
	}
}

func TestSavedTranscriptTracesAsItDid(t *testing.T) {
	for i, section := range transcript(t) {
		rec := capture.NewRecorder(capture.Config{})
		var live, file, again bytes.Buffer
		o := capture.Tee(rec.Start(1, "line1", epoch), capture.NewTrace(&live, ""))
		for _, e := range section {
			if e.sent {
				o.Sent(epoch, e.wire(t))
			} else {
				o.Received(epoch, e.wire(t))
			}
		}
		if err := rec.Write(&file, 1); err != nil {
			t.Fatal(err)
		}
		if err := capture.Print(&again, "", &file); err != nil {
			t.Fatal(err)
		}
		if got := again.String(); !strings.HasPrefix(got, live.String()) {
			t.Errorf("section %d: live\n%s\nsaved\n%s", i, &live, got)
		}
	}
}

func TestPrintNeverShowsWhatAClearCaptureHolds(t *testing.T) {
	pcapng, _, _ := record(t, profiles[1], capture.Config{Clear: true})
	if !bytes.Contains(pcapng, []byte(password)) {
		t.Fatal("the capture is not a clear one")
	}
	var out bytes.Buffer
	if err := capture.Print(&out, "", bytes.NewReader(pcapng)); err != nil {
		t.Fatal(err)
	}
	if shows(out.Bytes(), []byte(password)) || shows(out.Bytes(), []byte(mailText)) {
		t.Errorf("a secret is printed:\n%s", &out)
	}
}

func TestMailCallTracesItsTCP(t *testing.T) {
	_, lines, _ := record(t, profiles[0], capture.Config{})
	at := 0
	for _, want := range []string{
		"-> LCP ConfReq", "<- PAP Request id=1 from alice", "-> PAP Ack", "-> IPCP ConfNak id=1 addr 10.64.64.2 dns 10.64.64.1",
		"<- DNS query id=7 A mail.postern.lan", "-> DNS answer id=7 A mail.postern.lan: No Error, 1 records",
		"<- ICMP 10.64.64.2 > 10.64.64.1 EchoRequest id 1 seq 9",
		"<- TCP 1034 > 110 [SYN] seq 1000 win 8760 mss 1460 len 0",
		"-> VJ TCP 110 > 1034 [PSH ACK] seq 5040 ack 1043 win 8760 len 925",
		"<- LCP TermReq", "ended: the caller hung up",
	} {
		i := strings.Index(lines[at:], want)
		if i < 0 {
			t.Fatalf("no %q in its place in\n%s", want, lines)
		}
		at += i
	}
}

var errFull = errors.New("the disk is full")

type fullDisk struct{ writes int }

func (d *fullDisk) Write([]byte) (int, error) {
	d.writes++
	return 0, errFull
}

func TestTraceThatCannotBeWrittenStopsAlone(t *testing.T) {
	disk := &fullDisk{}
	trace := capture.NewTrace(disk, "")
	for n := range 10 {
		trace.Received(epoch, echo(n))
	}
	trace.Close("done")
	if disk.writes != 1 {
		t.Errorf("%d writes to a disk that is full", disk.writes)
	}
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	tap.Received(epoch, echo(1))
	if err := rec.Write(disk, 1); !errors.Is(err, errFull) {
		t.Errorf("Write's error is %v", err)
	}
}

// FuzzFrames shows frames of any content, which a fuzzer would not get past the FCS, to
// everything.
func FuzzFrames(f *testing.F) {
	for _, section := range transcript(f) {
		for _, e := range section {
			b, err := hex.DecodeString(strings.ReplaceAll(e.hex, " ", ""))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, []byte{0xff, 3, 0xc0, 0x21})
		}
	}
	for _, p := range places {
		f.Add(p.info([]byte("0123456789abcdef")), []byte{byte(p.proto >> 8), byte(p.proto)})
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > hdlc.DefaultMax || len(b) > hdlc.DefaultMax {
			return
		}
		both := append(hdlc.AppendFrame(nil, 0xffffffff, nil, a), hdlc.AppendFrame(nil, 0xffffffff, b, a[:min(len(a), hdlc.DefaultMax-len(b))])...)
		observe(t, both)
	})
}

// FuzzWire shows any bytes to everything.
func FuzzWire(f *testing.F) {
	for _, section := range transcript(f) {
		for _, e := range section {
			f.Add(e.wire(f))
		}
	}
	f.Fuzz(observe)
}

func observe(t *testing.T, wire []byte) {
	for _, blank := range []bool{true, false} {
		rec := capture.NewRecorder(capture.Config{Clear: !blank})
		var lines, again bytes.Buffer
		o := capture.Tee(rec.Start(1, "line1", epoch), capture.NewTrace(&lines, "line1"))
		before := bytes.Clone(wire)
		for rest := wire; len(rest) > 0; {
			n := min(len(rest), 100)
			o.Received(epoch, rest[:n])
			o.Sent(epoch, rest[:n])
			rest = rest[n:]
		}
		o.Close("done")
		if !bytes.Equal(wire, before) {
			t.Fatal("the wire's bytes were changed")
		}
		packets := readPackets(t, rec, 1)
		c := rec.Calls()[0]
		if len(packets) != int(c.Frames-c.Dropped) {
			t.Fatalf("%d packets, %+v", len(packets), c)
		}
		for _, p := range packets {
			if len(p.data) > p.size {
				t.Fatalf("%d octets kept of %d", len(p.data), p.size)
			}
		}
		var file bytes.Buffer
		if err := rec.Write(&file, 1); err != nil {
			t.Fatal(err)
		}
		if err := capture.Print(&again, "line1", &file); err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{lines.String(), again.String()} {
			for line := range strings.Lines(out) {
				line = strings.TrimSuffix(line, "\n")
				if len(line) > 500 || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
					t.Fatalf("line %q", line)
				}
			}
		}
	}
}

// FuzzPrint reads any file.
func FuzzPrint(f *testing.F) {
	var file bytes.Buffer
	rec := capture.NewRecorder(capture.Config{})
	rec.Start(1, "line1", epoch).Sent(epoch, echo(1))
	if err := rec.Write(&file, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = capture.Print(&bytes.Buffer{}, "", bytes.NewReader(b)) // an error is a right answer
	})
}

// RFC 1144 section 4.1: after a loss it is not known which connection a packet without a slot
// belongs to, and a guess would show a technician numbers that never were.
func TestTraceDoesNotGuessVJAfterLineNoise(t *testing.T) {
	var out bytes.Buffer
	trace := capture.NewTrace(&out, "")
	whole := inTCP(1034, 110)([]byte("hello"))
	whole[9] = 0
	next := onWire(0x2d, []byte{0x1f, 0xab, 0xcd, 'x'})
	trace.Received(epoch, onWire(0x2f, whole))
	trace.Received(epoch, next)
	spoiled := bytes.Clone(next)
	spoiled[6] ^= 0x55
	trace.Received(epoch, spoiled)
	out.Reset()
	trace.Received(epoch, next)
	if !strings.Contains(out.String(), "VJ 4 octets of an unknown connection") {
		t.Errorf("after noise: %s", &out)
	}
	trace.Received(epoch, onWire(0x2f, whole))
	out.Reset()
	trace.Received(epoch, next)
	if !strings.Contains(out.String(), "VJ TCP 1034 > 110 [PSH ACK] seq 6 ack 1 win 8760 len 1") {
		t.Errorf("after the next whole packet: %s", &out)
	}
}
