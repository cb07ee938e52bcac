package bsdcomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"postern/ppp/internal/corpus"
)

const ip = 0x0021

func pair(t testing.TB, bits int) (*Sender, *Receiver) {
	t.Helper()
	s, err := NewSender(bits)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(bits, 1502)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// state is what both ends must agree on after every packet.
type state struct {
	last                       int
	bits                       uint
	in, out, ratio, checkpoint uint32
}

func (d *dictionary) state() state { return state{d.last, d.bits, d.in, d.out, d.ratio, d.checkpoint} }

// pass sends one packet over a clean line and reports whether it went compressed, and the octets that it took.
func pass(t testing.TB, s *Sender, r *Receiver, data []byte) (octets int, compressed bool) {
	t.Helper()
	wire, ok := s.Append([]byte("front"), ip, data)
	wire = wire[5:]
	if ok {
		if len(wire) > len(data) {
			t.Fatalf("%d octets became %d", len(data), len(wire))
		}
		got, err := r.Open([]byte("front"), wire)
		if want := append([]byte("front\x21"), data...); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("packet of %d octets: %v, %d octets", len(data), err, len(got))
		}
		octets = len(wire)
	} else {
		if len(wire) != 0 {
			t.Fatal("dst was changed")
		}
		r.Native(ip, data)
		octets = len(data) + 1
	}
	if s.dict.state() != r.dict.state() {
		t.Fatalf("after %d octets, compressed %v, the sender has %+v\nand the receiver %+v", len(data), ok, s.dict.state(), r.dict.state())
	}
	return octets, ok
}

// RFC 1977 §A by hand: codes 21, 'a', 257+1 and 'a' of nine bits, then ones.
func TestCodesOnTheWire(t *testing.T) {
	var w bitWriter
	w.limit = 100
	d, err := newDictionary(12)
	if err != nil {
		t.Fatal(err)
	}
	d.encode(&w, ip, []byte("aaaa"))
	if want := []byte{0x10, 0x98, 0x60, 0x46, 0x1f}; !bytes.Equal(w.dst, want) {
		t.Errorf("% x, want % x", w.dst, want)
	}
}

func TestMailComesBack(t *testing.T) {
	for _, bits := range []int{MinBits, 12, MaxBits} {
		for _, m := range corpus.Mails() {
			s, r := pair(t, bits)
			in, out := 0, 0
			for _, p := range corpus.Session(1460, m.Body, m.Body) {
				if !p.FromCaller {
					n, _ := pass(t, s, r, p.Data)
					in, out = in+len(p.Data)+1, out+n
				}
			}
			t.Logf("%d bits, %s: %d -> %d, %.2f", bits, m.Name, in, out, float64(out)/float64(in))
			if out > in {
				t.Errorf("%d bits, %s: grew", bits, m.Name)
			}
		}
	}
}

// Text, noise and text again, long enough to fill every dictionary and to have it cleared, both by a CLEAR in a
// packet and while packets go in their native form.
func TestDictionariesAreClearedTogether(t *testing.T) {
	var clears, nativeClears int
	for _, bits := range []int{9, 12, 13} {
		s, r := pair(t, bits)
		rnd := rand.New(rand.NewPCG(1977, uint64(bits)))
		text := corpus.All()
		before := clears
		for i := range 400 << (bits - MinBits) / 8 {
			data := make([]byte, 200+rnd.IntN(1300))
			if i/100%2 == 0 {
				copy(data, text[rnd.IntN(len(text)-len(data)):])
			} else {
				for j := range data {
					data[j] = byte(rnd.Uint32()) >> (i / 200 % 4)
				}
			}
			last := s.dict.last
			_, compressed := pass(t, s, r, data)
			if s.dict.last < last {
				if clears++; !compressed {
					nativeClears++
				}
			}
		}
		if clears == before {
			t.Errorf("%d bits: never cleared", bits)
		}
	}
	t.Logf("cleared %d times, %d of them in silence", clears, nativeClears)
	if nativeClears == 0 || nativeClears == clears {
		t.Errorf("%d clears of %d were in silence; both kinds are wanted", nativeClears, clears)
	}
}

// A sender whose look-up misses now and then sends two codes where one would do, and so learns a pair twice.
func TestAPairLearntTwiceIsRead(t *testing.T) {
	_, r := pair(t, 12)
	got, err := r.Open(nil, codes(9, 0x21, 'a', 'a', 'a', 'a', 260, 'b'))
	if err != nil || string(got) != "\x21aaaaaab" {
		t.Errorf("%q, %v", got, err)
	}
}

// workload is text and noise by turns; both fill a dictionary and have it cleared.
func workload(bits int) (packets [][]byte) {
	rnd := rand.New(rand.NewPCG(8, uint64(bits)))
	text := corpus.All()
	for i := range 800 {
		data := make([]byte, 1+rnd.IntN(1460))
		if i/100%2 == 0 {
			copy(data, text[rnd.IntN(len(text)-len(data)):])
		} else {
			for j := range data {
				data[j] = byte(rnd.Uint32()) >> (i / 200 % 4)
			}
		}
		packets = append(packets, data)
	}
	return packets
}

// The digests are of what the compressor of ppp 2.4.9 (modules/bsd-comp.c) made of the
// same packets: a 1 and the packet, or a 0 where it would have sent it in its native form.
func TestTheWireIsThatOfPPP249(t *testing.T) {
	for bits, want := range map[int]string{
		9:  "e59967f406a5db7ddb9055c5a33aa65c7826680dcc52942bf04f2d357dc871e1",
		12: "5400b25ed250c8c965b5e7ac69343361d413affefcc5cfbd836d2cfebc96c43c",
		15: "b9c9677be222448ea9cf1251776a8327892b941b2872813a8f24f04349b03859",
	} {
		s, _ := pair(t, bits)
		h := sha256.New()
		for _, p := range workload(bits) {
			wire, ok := s.Append([]byte{1}, ip, p)
			if !ok {
				wire = []byte{0}
			}
			h.Write(wire)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%d bits: %s, want %s", bits, got, want)
		}
	}
}

func TestPacketsOutOfRangeAreNoPartOfIt(t *testing.T) {
	s, r := pair(t, 12)
	before := s.dict.state()
	for _, protocol := range []uint16{0x01, 0xfb, 0xfd, 0x0281, 0x8021, 0xc021} {
		if out, ok := s.Append(nil, protocol, make([]byte, 100)); ok || out != nil {
			t.Errorf("%04x was compressed", protocol)
		}
		r.Native(protocol, make([]byte, 100))
	}
	if s.dict.state() != before || r.dict.state() != before || s.seq != 0 || r.seq != 0 {
		t.Error("they were learnt")
	}
	pass(t, s, r, corpus.Text()[:1000])
}

func TestSequenceNumberWraps(t *testing.T) {
	s, r := pair(t, 12)
	s.seq, r.seq = 0xfffa, 0xfffa
	for range 12 {
		pass(t, s, r, corpus.Text()[:500])
	}
}

func TestALostPacketNeedsAResetAndTheResetAckHeals(t *testing.T) {
	s, r := pair(t, 12)
	text := corpus.Text()[:1000]
	pass(t, s, r, text)
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
		pass(t, s, r, text)
	}
}

func codes(bits uint, codes ...int) []byte {
	w := bitWriter{dst: []byte{0, 0}, limit: 100000}
	for _, c := range codes {
		w.put(c, bits)
	}
	w.pad()
	return w.dst
}

func TestHostilePackets(t *testing.T) {
	s, _ := pair(t, 12)
	long, _ := s.Append(nil, ip, make([]byte, 1502))
	for name, wire := range map[string][]byte{
		"empty":                {},
		"sequence only":        {0, 0},
		"half a code":          {0, 0, 0x10},
		"wrong sequence":       {0, 1, 0x10, 0x80},
		"code never learnt":    codes(9, 0x21, 'a', 300),
		"first code unknown":   codes(9, 257),
		"CLEAR first":          codes(9, codeClear),
		"CLEAR in the middle":  codes(9, 0x21, codeClear, 'a', 'b'),
		"one octet too many":   long,
		"a bomb":               codes(9, bomb(200)...),
		"code one beyond that": codes(9, 0x21, 259),
	} {
		_, r := pair(t, 12)
		got, err := r.Open([]byte("kept"), wire)
		if !errors.Is(err, ErrNeedReset) || string(got) != "kept" {
			t.Errorf("%s: %v, %d octets", name, err, len(got))
		}
	}
	s, r := pair(t, 12)
	if n, ok := pass(t, s, r, make([]byte, 1501)); !ok || n > 100 {
		t.Errorf("the longest packet took %d octets", n)
	}
}

// bomb is codes each of which is an octet longer than the one before.
func bomb(n int) []int {
	c := []int{'x'}
	for i := range n {
		c = append(c, codeFirst+i)
	}
	return c
}

func TestCodeLengthsAreChecked(t *testing.T) {
	for _, bits := range []int{-1, 0, 8, 16, 31} {
		if _, err := NewSender(bits); err == nil {
			t.Errorf("a sender of %d bits", bits)
		}
		if _, err := NewReceiver(bits, 1502); err == nil {
			t.Errorf("a receiver of %d bits", bits)
		}
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	s, r := pair(t, 12)
	text := corpus.All()
	wire, back := make([]byte, 0, 4000), make([]byte, 0, 4000)
	at := 0
	if n := testing.AllocsPerRun(200, func() {
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

// FuzzRoundTrip: any data in packets of any size come back, and both ends stay alike.
func FuzzRoundTrip(f *testing.F) {
	f.Add(corpus.HTML(), uint16(100), uint8(0))
	f.Add(bytes.Repeat([]byte{1, 2, 3, 1, 2, 3, 1}, 3000), uint16(400), uint8(6))
	f.Fuzz(func(t *testing.T, data []byte, size uint16, bits uint8) {
		s, r := pair(t, MinBits+int(bits)%(MaxBits-MinBits+1))
		step := int(size)%1500 + 1
		data = data[:min(len(data), 100*step)]
		for i := 0; i < len(data); i += step {
			pass(t, s, r, data[i:min(i+step, len(data))])
		}
	})
}

// FuzzReceiver: no packets panic or give more than was agreed.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0x10, 0x98, 0x60, 0x46, 0x1f}, []byte("native"), []byte{0x10, 0x98, 0x60, 0x46, 0x1f})
	f.Add(codes(9, bomb(60)...)[2:], []byte{}, codes(9, bomb(10)...)[2:])
	f.Fuzz(func(t *testing.T, first, native, second []byte) {
		_, r := pair(t, MinBits)
		for i := range byte(3) {
			for j, p := range [][]byte{first, second} {
				got, err := r.Open(nil, append([]byte{0, 3*i + byte(2*j)}, p...))
				if len(got) > 1502 || err != nil && got != nil {
					t.Fatalf("%d octets, %v", len(got), err)
				}
				if j == 0 {
					r.Native(ip, native)
				}
			}
		}
	})
}

func BenchmarkSender(b *testing.B) {
	for _, bits := range []int{12, 15} {
		for _, m := range corpus.Mails() {
			b.Run(fmt.Sprintf("%d/%s", bits, m.Name), func(b *testing.B) {
				s, _ := pair(b, bits)
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
}

func BenchmarkReceiver(b *testing.B) {
	for _, m := range corpus.Mails() {
		b.Run(m.Name, func(b *testing.B) {
			s, r := pair(b, 12)
			type packet struct {
				data   []byte
				native bool
			}
			var wire []packet
			for p := m.Body; len(p) > 0; {
				n := min(1460, len(p))
				if data, ok := s.Append(nil, ip, p[:n]); ok {
					wire = append(wire, packet{data, false})
				} else {
					wire = append(wire, packet{p[:n], true})
				}
				p = p[n:]
			}
			buf := make([]byte, 0, 4000)
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				for _, p := range wire {
					if p.native {
						r.Native(ip, p.data)
					} else if _, err := r.Open(buf, p.data); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
