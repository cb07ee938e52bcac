package deflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"postern/ppp/internal/corpus"
)

const ip = 0x0021

func pair(t testing.TB) (*Sender, *Receiver) {
	t.Helper()
	s, err := NewSender()
	if err != nil {
		t.Fatal(err)
	}
	return s, NewReceiver(1502)
}

// pass sends one packet over a clean line and reports the octets that it took.
func pass(t testing.TB, s *Sender, r *Receiver, protocol uint16, data []byte) int {
	t.Helper()
	wire, ok := s.Append([]byte("front"), protocol, data)
	wire = wire[5:]
	if !ok {
		if len(wire) != 0 {
			t.Fatal("dst was changed")
		}
		r.Native(protocol, data)
		return len(data) + 1
	}
	if len(wire) > len(data)+1 {
		t.Fatalf("%d octets became %d", len(data), len(wire))
	}
	want := append([]byte{byte(protocol)}, data...)
	if protocol >= 0x100 {
		want = append([]byte{byte(protocol >> 8)}, want...)
	}
	got, err := r.Open([]byte("front"), wire)
	if err != nil || !bytes.Equal(got[5:], want) {
		t.Fatalf("packet of %d octets: %v, %d octets", len(data), err, len(got))
	}
	return len(wire)
}

func TestMailComesBack(t *testing.T) {
	for _, m := range corpus.Mails() {
		s, r := pair(t)
		in, out := 0, 0
		for _, p := range corpus.Session(1460, m.Body) {
			if !p.FromCaller {
				in, out = in+len(p.Data)+1, out+pass(t, s, r, ip, p.Data)
			}
		}
		t.Logf("%s: %d -> %d, %.2f", m.Name, in, out, float64(out)/float64(in))
		if out > in*85/100 {
			t.Errorf("%s did not shrink", m.Name)
		}
	}
}

// The files are what zlib 1.2.13 makes of the corpus in packets of 1,000 octets, each ended by Z_SYNC_FLUSH
// without its last four octets: what a pppd sends.
func TestZlibsPacketsAreRead(t *testing.T) {
	plain := append(corpus.Text(), corpus.HTML()...)
	files, err := filepath.Glob("testdata/zlib-*.hex")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := NewReceiver(1502)
		var got []byte
		lines := bufio.NewScanner(file)
		for seq := byte(0); lines.Scan(); seq++ {
			wire, err := hex.DecodeString(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			if got, err = r.Open(got, append([]byte{0, seq}, wire...)); err != nil {
				t.Fatalf("%s, packet %d: %v", name, seq, err)
			}
		}
		if !bytes.Equal(got, plain) {
			t.Errorf("%s gave something else, %d octets", name, len(got))
		}
	}
}

// A pppd reads our packets with zlib; here the standard library stands in for it.
func TestOurPacketsAreOneDeflateStream(t *testing.T) {
	s, _ := pair(t)
	var stream, want []byte
	for _, p := range corpus.Session(536, corpus.All()) {
		want = append(append(want, ip), p.Data...)
		wire, ok := s.Append(nil, ip, p.Data)
		if ok {
			stream = append(append(stream, wire[seqLen:]...), 0, 0, 0xff, 0xff)
			continue
		}
		// RFC 1979 §2: an uncompressed packet is a stored block.
		n := len(p.Data) + 1
		stream = append(stream, 0, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8), ip)
		stream = append(stream, p.Data...)
	}
	got, err := io.ReadAll(flate.NewReader(bytes.NewReader(stream)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, want) {
		t.Errorf("%v; %d octets of %d", err, len(got), len(want))
	}
}

func TestEveryPacketTakesASequenceNumber(t *testing.T) {
	s, r := pair(t)
	rnd := rand.New(rand.NewPCG(1, 9))
	text := corpus.All()
	native := 0
	for i := range 3000 {
		data := text[i : i+rnd.IntN(1500)]
		protocol := uint16(ip)
		switch rnd.IntN(4) {
		case 0:
			noise := make([]byte, rnd.IntN(1500))
			for j := range noise {
				noise[j] = byte(rnd.Uint32())
			}
			data = noise
			native++
		case 1:
			protocol = 0x0281 // two octets
		}
		pass(t, s, r, protocol, data)
		pass(t, s, r, 0x8021, data) // no part of the stream
	}
	if native < 500 {
		t.Errorf("%d native packets", native)
	}
}

func TestSequenceNumberWraps(t *testing.T) {
	s, r := pair(t)
	s.seq, r.seq = 0xfffa, 0xfffa
	for range 12 {
		pass(t, s, r, ip, []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	}
}

func TestALostPacketNeedsAResetAndTheResetAckHeals(t *testing.T) {
	s, r := pair(t)
	text := corpus.Text()[:1000]
	pass(t, s, r, ip, text)
	s.Append(nil, ip, text) // lost
	asked, dropped := 0, 0
	for range 1 + 2*resetEvery {
		wire, ok := s.Append(nil, ip, text)
		if !ok {
			t.Fatal("text did not shrink")
		}
		_, err := r.Open(nil, wire)
		switch {
		case errors.Is(err, ErrNeedReset):
			asked++
		case errors.Is(err, ErrDropped):
			dropped++
		default:
			t.Fatal(err)
		}
		r.Native(ip, text) // counts for nothing while deaf
	}
	if asked != 3 || dropped != 2*resetEvery-2 {
		t.Errorf("asked %d times, dropped %d", asked, dropped)
	}
	s.Reset()
	r.Reset()
	for range 10 {
		pass(t, s, r, ip, text)
	}
}

func TestALostNativePacketIsNoticed(t *testing.T) {
	s, r := pair(t)
	if _, ok := s.Append(nil, ip, []byte{1, 2, 3}); ok {
		t.Fatal("three octets shrank")
	}
	wire, _ := s.Append(nil, ip, corpus.Text()[:1000])
	if _, err := r.Open(nil, wire); !errors.Is(err, ErrNeedReset) {
		t.Errorf("%v", err)
	}
}

func TestHostilePackets(t *testing.T) {
	bomb := func(n int) []byte {
		s, _ := pair(t)
		wire, _ := s.Append(nil, ip, bytes.Repeat([]byte("x"), n))
		return wire
	}
	for name, wire := range map[string][]byte{
		"empty":                {},
		"sequence only":        {0, 0},
		"nothing in it":        {0, 0, 0},
		"block type 3":         {0, 0, 0x06},
		"distance before all":  {0, 0, 0x4b, 0x04, 0x42}, // fixed codes: a literal, then a match far back
		"one octet too many":   bomb(1502),
		"a bomb":               bomb(60000),
		"stored, bad check":    {0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5},
		"stored, cut":          {0, 0, 0, 5, 0, 0xfa, 0xff, 1, 2},
		"dynamic, too many":    {0, 0, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff},
		"dynamic, cut":         {0, 0, 0x04, 0x00},
		"code never completed": {0, 0, 0xff},
	} {
		got, err := NewReceiver(1502).Open([]byte("kept"), wire)
		if !errors.Is(err, ErrNeedReset) || string(got) != "kept" {
			t.Errorf("%s: %v, %d octets", name, err, len(got))
		}
	}
	if got, err := NewReceiver(1502).Open(nil, bomb(1501)); err != nil || len(got) != 1502 {
		t.Errorf("the longest packet: %v, %d octets", err, len(got))
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	s, r := pair(t)
	text := corpus.All()
	wire, back := make([]byte, 0, 4000), make([]byte, 0, 4000)
	at := 0
	if n := testing.AllocsPerRun(100, func() {
		at = (at + 997) % (len(text) - 1000)
		out, ok := s.Append(wire, ip, text[at:at+1000])
		if !ok {
			r.Native(ip, text[at:at+1000])
			return
		}
		if _, err := r.Open(back, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// FuzzReceiver: no packets panic or give more than was agreed; and what the standard library reads as the stream's
// first packet, we read likewise.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0x4b, 0x4c, 0x4a, 0x4e, 0x01, 0}, []byte{4, 5, 6})
	f.Add([]byte("\x00\x05\x00\xfa\xffhello\x00"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := NewReceiver(1502)
		got, err := r.Open(nil, append([]byte{0, 0}, first...))
		if len(got) > 1502 || err != nil && got != nil {
			t.Fatalf("%d octets, %v", len(got), err)
		}
		if err == nil && !bytes.ContainsRune(first, 0xff) {
			// Bit 0 of a block's header, final, means an end to the library.
			std := flate.NewReader(bytes.NewReader(append(bytes.Clone(first), 0, 0, 0xff, 0xff)))
			if want, _ := io.ReadAll(std); !bytes.HasPrefix(got, want) {
				t.Fatalf("%x gave %x, the standard library %x", first, got, want)
			}
		}
		if got, _ := r.Open(nil, append([]byte{0, 1}, second...)); len(got) > 1502 {
			t.Fatalf("%d octets", len(got))
		}
	})
}

// FuzzRoundTrip: any data in packets of any size come back.
func FuzzRoundTrip(f *testing.F) {
	f.Add(corpus.HTML(), uint16(100))
	f.Add([]byte{1, 2, 3, 1, 2, 3, 1, 2, 3}, uint16(4))
	s, r := pair(f)
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		s.Reset()
		r.Reset()
		step := int(size)%1500 + 1
		data = data[:min(len(data), 50*step)]
		for i := 0; i < len(data); i += step {
			pass(t, s, r, ip, data[i:min(i+step, len(data))])
		}
	})
}

func BenchmarkSender(b *testing.B) {
	for _, m := range corpus.Mails() {
		b.Run(m.Name, func(b *testing.B) {
			s, _ := pair(b)
			buf := make([]byte, 0, 4000)
			in, out := 0, 0
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset()
				for p := m.Body; len(p) > 0; {
					n := min(1460, len(p))
					wire, ok := s.Append(buf, ip, p[:n])
					if in, out = in+n, out+len(wire); !ok {
						out += n
					}
					p = p[n:]
				}
			}
			b.ReportMetric(float64(out)/float64(in), "ratio")
		})
	}
}

func BenchmarkReceiver(b *testing.B) {
	for _, m := range corpus.Mails() {
		b.Run(m.Name, func(b *testing.B) {
			s, r := pair(b)
			var wire [][]byte
			for p := m.Body; len(p) > 0; {
				n := min(1460, len(p))
				packet, ok := s.Append(nil, ip, p[:n])
				if !ok {
					b.Fatal("did not shrink")
				}
				wire = append(wire, packet)
				p = p[n:]
			}
			buf := make([]byte, 0, 4000)
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				for _, p := range wire {
					if _, err := r.Open(buf, p); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
