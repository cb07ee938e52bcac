package mppc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"postern/ppp/internal/corpus"
)

const bell = "for.whom.the.bell.tolls,.the.bell.tolls.for.thee!"

// The example that RFC 2118 §4 and [MS-RDPBCGR] 3.1.8.2 tell, as literals and <offset,length>.
func TestTheBellTolls(t *testing.T) {
	w := bitWriter{limit: 100}
	literals := func(s string) {
		for _, b := range []byte(s) {
			putLiteral(&w, b)
		}
	}
	literals("for.whom.the.bell.tolls,")
	putMatch(&w, 16, 15)
	literals(".")
	putMatch(&w, 40, 4)
	putMatch(&w, 19, 3)
	literals("e!")
	w.pad()
	got, b := NewCompressor().Append(nil, []byte(bell))
	if !bytes.Equal(got, w.dst) || b != Compressed|AtFront {
		t.Errorf("compressed to %x with bits %04x, want %x", got, b, w.dst)
	}
}

// The same text as another compressor codes it: the vector of FreeRDP's 8 KB MPPC test.
func TestTheBellTollsForFreeRDP(t *testing.T) {
	wire, err := hex.DecodeString("666f722e77686f6d2e7468652e62656c6c2e746f6c6c732cf4372e66fa1f199484")
	if err != nil {
		t.Fatal(err)
	}
	back, err := NewDecompressor().Append(nil, wire, Compressed|AtFront, 1500)
	if err != nil || string(back) != bell {
		t.Errorf("decompressed to %q, %v", back, err)
	}
}

// The examples of the tables of [MS-RDPBCGR] 3.1.8.4.1.2.
func TestCodesOfMatches(t *testing.T) {
	for _, c := range []struct {
		offset, length int
		code           string
	}{
		{44, 3, "1111 101100 0"},
		{63, 4, "1111 111111 1000"},
		{64, 7, "1110 00000000 1011"},
		{255, 15, "1110 10111111 110111"},
		{319, 120, "1110 11111111 111110111000"},
		{320, 3, "110 0000000000000 0"},
		{5000, 4097, "110 1001001001000 111111111110000000000001"},
		{8191, 8191, "110 1111010111111 111111111110111111111111"},
	} {
		w := bitWriter{limit: 100}
		putMatch(&w, c.offset, c.length)
		w.pad()
		want := ""
		for _, r := range c.code {
			if r != ' ' {
				want += string(r)
			}
		}
		var got string
		for _, b := range w.dst {
			got += fmt.Sprintf("%08b", b)
		}
		if len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("<%d,%d> is %s, want %s", c.offset, c.length, got, want)
		}
	}
}

func roundTrip(t testing.TB, c *Compressor, d *Decompressor, packet []byte) (wire []byte, b Bits) {
	t.Helper()
	wire, b = c.Append([]byte("front"), packet)
	wire = wire[5:]
	if len(wire) > len(packet) || b&Compressed != 0 && len(wire) == len(packet) && len(packet) > 0 {
		t.Fatalf("%d octets became %d with bits %04x", len(packet), len(wire), b)
	}
	back, err := d.Append([]byte("front"), wire, b, max(len(packet), 1))
	if err != nil || !bytes.Equal(back[5:], packet) {
		t.Fatalf("packet of %d octets with bits %04x: %v", len(packet), b, err)
	}
	return wire, b
}

func TestMailComesBack(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		for _, m := range corpus.Mails() {
			c, d := NewCompressor(), NewDecompressor()
			in, out := 0, 0
			for _, p := range corpus.Session(1460, m.Body) {
				if p.FromCaller {
					continue
				}
				if stateless {
					c.Reset()
				}
				wire, b := roundTrip(t, c, d, p.Data)
				if stateless && b&Flushed == 0 {
					t.Fatal("a stateless packet is not flushed")
				}
				in, out = in+len(p.Data), out+len(wire)
			}
			t.Logf("%s, stateless %v: %d -> %d, %.2f", m.Name, stateless, in, out, float64(out)/float64(in))
			if m.Name == "html" && !stateless && out*2 > in {
				t.Error("HTML did not go to a half")
			}
		}
	}
}

func TestEverySizeComesBack(t *testing.T) {
	c, d := NewCompressor(), NewDecompressor()
	text := corpus.All()
	for size := 0; size < 3000; size += 1 + size/100 {
		roundTrip(t, c, d, text[size:2*size])
	}
	for _, size := range []int{8190, 8191, 8192} {
		roundTrip(t, c, d, bytes.Repeat([]byte{'x'}, size))
		roundTrip(t, c, d, text[:size])
	}
}

func TestPacketOverTheHistorySizeGoesAsItIs(t *testing.T) {
	_, b := roundTrip(t, NewCompressor(), NewDecompressor(), make([]byte, HistorySize+1))
	if b != Flushed {
		t.Errorf("bits %04x", b)
	}
}

func TestWhatWouldGrowGoesAsItIsAndFlushes(t *testing.T) {
	c, d := NewCompressor(), NewDecompressor()
	text := corpus.Text()[:1000]
	roundTrip(t, c, d, text)
	rnd := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	if wire, b := roundTrip(t, c, d, noise); b != Flushed || !bytes.Equal(wire, noise) {
		t.Errorf("noise has bits %04x", b)
	}
	if _, b := roundTrip(t, c, d, text); b != Flushed|AtFront|Compressed {
		t.Errorf("the packet after it has bits %04x", b)
	}
	if wire, b := roundTrip(t, c, d, text); b != Compressed || len(wire) > 10 {
		t.Errorf("the same again has bits %04x and %d octets", b, len(wire))
	}
}

// A decompressor that takes bit A only when it comes with a compressed packet, as some do, must not be lost.
func TestHistoryIsNeverReferredToAcrossAFlush(t *testing.T) {
	c, d := NewCompressor(), NewDecompressor()
	text := corpus.Text()[:1000]
	roundTrip(t, c, d, text)
	c.Reset()
	fresh := NewDecompressor()
	wire, b := c.Append(nil, text)
	back, err := fresh.Append(nil, wire, b&^Flushed, 1000)
	if err != nil || !bytes.Equal(back, text) {
		t.Error("a flushed packet leans on what was before it")
	}
}

func TestHostileCodesAreErrors(t *testing.T) {
	text := corpus.All()[:8000]
	wire, b := NewCompressor().Append(nil, text)
	for name, c := range map[string]struct {
		data  []byte
		limit int
		want  error
	}{
		"longer than agreed": {wire, 7999, ErrTooLong},
		"offset of zero":     {[]byte{0xf0, 0x00}, 1500, ErrMalformed},
		"offset of 8192":     {[]byte{0b11011110, 0b11000000, 0}, 1500, ErrMalformed},
		"length of 13 bits":  {[]byte{0xf0, 0x7f, 0xff, 0xff, 0xff}, 1500, ErrMalformed},
		"cut short":          {[]byte{0xf0, 0x7f, 0xc0}, 1500, ErrMalformed},
		"match past the end": {[]byte{0xf0, 0x7f, 0xf7, 0xff, 0xff}, 1500, ErrTooLong},
	} {
		got, err := NewDecompressor().Append([]byte("kept"), c.data, b, c.limit)
		if !errors.Is(err, c.want) || string(got) != "kept" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewDecompressor().Append(nil, text, Flushed, 100); !errors.Is(err, ErrTooLong) {
		t.Errorf("uncompressed and too long: %v", err)
	}
}

// After a packet AtFront the rest of the buffer is still there, and a sender may refer to it around the end.
func TestReferencesAroundTheEndOfTheHistory(t *testing.T) {
	d := NewDecompressor()
	c := NewCompressor()
	full, b := c.Append(nil, bytes.Repeat([]byte("ABCDEFGH"), 1024))
	if _, err := d.Append(nil, full, b, HistorySize); err != nil {
		t.Fatal(err)
	}
	w := bitWriter{limit: 100}
	putMatch(&w, 8, 16)
	w.pad()
	got, err := d.Append(nil, w.dst, Compressed|AtFront, 1500)
	if err != nil || string(got) != "ABCDEFGHABCDEFGH" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCompressionAllocatesNothing(t *testing.T) {
	c, d := NewCompressor(), NewDecompressor()
	packet := corpus.HTML()[:1500]
	wire, back := make([]byte, 0, 4000), make([]byte, 0, 4000)
	if n := testing.AllocsPerRun(50, func() {
		var b Bits
		wire, b = c.Append(wire[:0], packet)
		var err error
		if back, err = d.Append(back[:0], wire, b, 1500); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// FuzzRoundTrip: any packets, cut from the input, come back, with resets in between.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("for.whom.the.bell.tolls,.the.bell.tolls.for.thee!"), uint16(10), uint8(3))
	f.Add(bytes.Repeat([]byte{0xff, 0}, 3000), uint16(1500), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, size uint16, reset uint8) {
		c, d := NewCompressor(), NewDecompressor()
		step := int(size)%HistorySize + 1
		data = data[:min(len(data), 50*step)]
		for i := 0; i < len(data); i += step {
			if reset != 0 && i/step%int(reset) == 0 {
				c.Reset()
			}
			roundTrip(t, c, d, data[i:min(i+step, len(data))])
		}
	})
}

// FuzzDecompressor: no data panics, and none gives more than was allowed.
func FuzzDecompressor(f *testing.F) {
	f.Add([]byte("\xf0\x7f\xf7\xff\xff plain"), uint8(0xe0), []byte("more \xdf\xff\xff\xff\xfe"), uint8(0x20))
	f.Fuzz(func(t *testing.T, first []byte, a uint8, second []byte, b uint8) {
		d := NewDecompressor()
		for range 3 {
			for _, p := range []struct {
				data []byte
				b    uint8
			}{{first, a}, {second, b}} {
				got, err := d.Append(nil, p.data, Bits(p.b)<<8, 1500)
				if len(got) > 1500 || err != nil && got != nil {
					t.Fatalf("%d octets, %v", len(got), err)
				}
			}
		}
	})
}

func BenchmarkCompressor(b *testing.B) {
	for _, m := range corpus.Mails() {
		b.Run(m.Name, func(b *testing.B) {
			c := NewCompressor()
			buf := make([]byte, 0, 4000)
			in, out := 0, 0
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			for b.Loop() {
				c.Reset()
				for p := m.Body; len(p) > 0; {
					n := min(1460, len(p))
					buf, _ = c.Append(buf[:0], p[:n])
					in, out = in+n, out+len(buf)
					p = p[n:]
				}
			}
			b.ReportMetric(float64(out)/float64(in), "ratio")
		})
	}
}

func BenchmarkDecompressor(b *testing.B) {
	for _, m := range corpus.Mails() {
		b.Run(m.Name, func(b *testing.B) {
			type packet struct {
				data []byte
				b    Bits
			}
			c := NewCompressor()
			c.Reset() // so that the packets may be given again from the first
			var wire []packet
			for p := m.Body; len(p) > 0; {
				n := min(1460, len(p))
				data, bits := c.Append(nil, p[:n])
				wire = append(wire, packet{data, bits})
				p = p[n:]
			}
			d := NewDecompressor()
			buf := make([]byte, 0, 4000)
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range wire {
					var err error
					if buf, err = d.Append(buf[:0], p.data, p.b, 1500); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
