package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"postern/dialup/capture"
)

// captured is a packet of a capture file.
type captured struct {
	at   time.Time
	data []byte // with the direction in front
	size int    // with the direction
}

func readPackets(t testing.TB, rec *capture.Recorder, id uint64) (all []captured) {
	t.Helper()
	var file bytes.Buffer
	if err := rec.Write(&file, id); err != nil {
		t.Fatal(err)
	}
	return parsePackets(t, file.Bytes())
}

func parsePackets(t testing.TB, pcapng []byte) (all []captured) {
	t.Helper()
	ng, err := pcapgo.NewNgReader(bytes.NewReader(pcapng), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if ng.LinkType() != 204 {
		t.Fatalf("link type %d, want 204", ng.LinkType())
	}
	for {
		data, info, err := ng.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, captured{info.Timestamp, data, info.Length})
	}
}

// echo is an LCP Echo-Request that carries a number.
func echo(n int) []byte {
	return onWire(0xc021, []byte{9, byte(n), 0, 8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func echoNumber(p captured) int {
	d := p.data[len(p.data)-4:]
	return int(d[0])<<24 | int(d[1])<<16 | int(d[2])<<8 | int(d[3])
}

func TestCaptureNamesTheCallAndItsDirections(t *testing.T) {
	pcapng, _, _ := record(t, profiles[0], capture.Config{})
	ng, err := pcapgo.NewNgReader(bytes.NewReader(pcapng), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	comment := ng.SectionInfo().Comment
	for _, want := range []string{"call 17", "line1", "alice", "the caller hung up"} {
		if !strings.Contains(comment, want) {
			t.Errorf("comment %q does not say %q", comment, want)
		}
	}
	packets := parsePackets(t, pcapng)
	if first := packets[0]; first.data[0] != 1 || !first.at.Equal(epoch) {
		t.Errorf("the first packet goes %d at %v; the box speaks first, at %v", first.data[0], first.at, epoch)
	}
	if second := packets[1]; second.data[0] != 0 || !second.at.Equal(epoch.Add(100*time.Millisecond)) {
		t.Errorf("the second packet goes %d at %v", second.data[0], second.at)
	}
}

func TestBeginningAndEndOfALongCallAreKept(t *testing.T) {
	const octets, frames = 64 << 10, 20000
	rec := capture.NewRecorder(capture.Config{Octets: octets})
	tap := rec.Start(1, "line1", epoch)
	for n := range frames {
		tap.Received(epoch.Add(time.Duration(n)*time.Millisecond), echo(n))
	}
	packets := readPackets(t, rec, 1)
	dropped := int(rec.Calls()[0].Dropped)
	if len(packets)+dropped != frames {
		t.Errorf("%d kept and %d dropped of %d", len(packets), dropped, frames)
	}
	if kept := len(packets) * 12; kept > octets || kept < octets/4 {
		t.Errorf("%d octets are kept of at most %d", kept, octets)
	}
	gaps := 0
	for i, p := range packets {
		if i > 0 && echoNumber(p) != echoNumber(packets[i-1])+1 {
			gaps++
			if i < 500 {
				t.Errorf("the first gap comes after %d frames", i)
			}
		}
	}
	if echoNumber(packets[0]) != 0 || echoNumber(packets[len(packets)-1]) != frames-1 || gaps != 1 {
		t.Errorf("kept from %d to %d with %d gaps", echoNumber(packets[0]), echoNumber(packets[len(packets)-1]), gaps)
	}
}

func TestOldestEndedCallGoesFirst(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{Calls: 3})
	running := rec.Start(1, "line1", epoch)
	for id := uint64(2); id <= 5; id++ {
		rec.Start(id, "line2", epoch).Close("done")
	}
	running.Received(epoch, echo(1))
	var ids []uint64
	for _, c := range rec.Calls() {
		ids = append(ids, c.ID)
	}
	if fmt.Sprint(ids) != "[5 4 1]" {
		t.Errorf("kept %v, want the running call and the two newest", ids)
	}
	if err := rec.Write(io.Discard, 2); !errors.Is(err, capture.ErrNoCall) {
		t.Errorf("error %v for a call that was forgotten", err)
	}
	if n := len(readPackets(t, rec, 1)); n != 1 {
		t.Errorf("%d packets of the running call, want 1", n)
	}
}

func TestMoreRunningCallsThanAreKeptAreCarriedUnrecorded(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{Calls: 1})
	rec.Start(1, "line1", epoch)
	tap := rec.Start(2, "line2", epoch)
	tap.Received(epoch, echo(1))
	tap.Sent(epoch, echo(1))
	tap.Close("done")
	if calls := rec.Calls(); len(calls) != 1 || calls[0].ID != 1 {
		t.Errorf("calls %v", calls)
	}
}

func TestNothingIsRecordedAfterClose(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	tap.Received(epoch, echo(1))
	tap.Close("done")
	tap.Received(epoch, echo(2))
	tap.Close("done twice")
	if n := len(readPackets(t, rec, 1)); n != 1 || rec.Calls()[0].Verdict != "done" {
		t.Errorf("%d packets, %v", n, rec.Calls()[0])
	}
}

func TestSpoiledFramesAreCountedNotKept(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	spoiled := echo(1)
	spoiled[5] ^= 0x55
	tap.Received(epoch, spoiled)
	tap.Received(epoch, echo(2))
	if c := rec.Calls()[0]; c.Frames != 1 || c.Spoiled != 1 {
		t.Errorf("%v", c)
	}
}

// A line that adds XON and XOFF is why a map of control characters is agreed on.
func TestControlCharactersOfTheLineSpoilNoFrame(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	xon := func(b []byte) []byte { return append([]byte{b[0], 0x11}, b[1:]...) }
	tap.Received(epoch, xon(echo(1)))
	tap.Received(epoch, xon(onWire(0xc021, []byte{2, 1, 0, 10, 2, 6, 0, 0x0a, 0, 0})))
	tap.Received(epoch, xon(echo(2)))
	tap.Received(epoch, onWire(0xc021, []byte{2, 1, 0, 10, 2, 6, 0, 0, 0, 0}))
	if c := rec.Calls()[0]; c.Frames != 4 || c.Spoiled != 0 {
		t.Errorf("%v", c)
	}
	tap.Received(epoch, xon(echo(3))) // with an empty map it is a part of the frame
	if c := rec.Calls()[0]; c.Frames != 4 || c.Spoiled != 1 {
		t.Errorf("with an empty map: %v", c)
	}
}

func TestRunningCallsCanBeReadMeanwhile(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{Calls: 2, Octets: 64 << 10})
	var all sync.WaitGroup
	for line := range uint64(2) {
		all.Go(func() {
			for id := range uint64(20) {
				tap := rec.Start(line*100+id, "line", epoch)
				for n := range 200 {
					tap.Received(epoch, echo(n))
				}
				tap.Close("done")
			}
		})
	}
	for range 50 {
		for _, c := range rec.Calls() {
			if err := rec.Write(io.Discard, c.ID); err != nil && !errors.Is(err, capture.ErrNoCall) {
				t.Error(err)
			}
		}
	}
	all.Wait()
	if n := len(rec.Calls()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestVerdictAndNamesCannotDamageTheCapture(t *testing.T) {
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line\x1b[2J1", epoch)
	tap.Received(epoch, onWire(0xc023, control(1, counted([]byte("ev\x1bil\nname")), counted([]byte("x")))))
	tap.Close(strings.Repeat("long\x00 ", 100000))
	c := rec.Calls()[0]
	if strings.ContainsAny(c.String(), "\x1b\n\x00") || len(c.String()) > 700 {
		t.Errorf("%.800q", c.String())
	}
	if n := len(readPackets(t, rec, 1)); n != 1 {
		t.Errorf("%d packets", n)
	}
}

func BenchmarkTap(b *testing.B) {
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	frame := onWire(0x21, inTCP(110, 1034)(bytes.Repeat([]byte(mailText), 34)))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		tap.Sent(epoch, frame)
	}
}
