package hdlc

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frames feeds wire whole and returns copies of what comes out.
func frames(d *Deframer, wire []byte) (out [][]byte) {
	for {
		f, rest := d.Next(wire)
		if f == nil {
			return out
		}
		out = append(out, bytes.Clone(f))
		wire = rest
	}
}

func wantFrames(t *testing.T, got [][]byte, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d: %x", len(got), len(want), got)
	}
	for i := range got {
		if w := unhex(t, want[i]); !bytes.Equal(got[i], w) {
			t.Errorf("frame %d = %x, want %x", i, got[i], w)
		}
	}
}

// slowFCS is RFC 1662 §C.2 octet by octet, without a table.
func slowFCS(fcs uint16, p []byte) uint16 {
	for _, b := range p {
		fcs ^= uint16(b)
		for range 8 {
			if fcs&1 != 0 {
				fcs = fcs>>1 ^ 0x8408
			} else {
				fcs >>= 1
			}
		}
	}
	return fcs
}

func TestFCSTableIsRFC1662s(t *testing.T) {
	// The first, some, and the last entries of fcstab, RFC 1662 §C.2.
	for i, v := range map[int]uint16{0: 0x0000, 1: 0x1189, 2: 0x2312, 7: 0x74bf, 8: 0x8c48, 0x80: 0x8408, 0xff: 0x0f78} {
		if fcsTables[0][i] != v {
			t.Errorf("fcstab[%#x] = %#04x, want %#04x", i, fcsTables[0][i], v)
		}
	}
	// The catalogue's check value of CRC-16/X-25, which this FCS is.
	if got := updateFCS(fcsInit, []byte("123456789")) ^ 0xffff; got != 0x906e {
		t.Errorf("FCS of 123456789 = %#04x, want 0x906e", got)
	}
}

func TestFCSInEightsEqualsFCSByBit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 100)
	for n := range p {
		p[n] = byte(rnd.Uint32())
		if updateFCS(fcsInit, p[:n]) != slowFCS(fcsInit, p[:n]) {
			t.Fatalf("differs at length %d", n)
		}
	}
}

// A Configure-Request of an LCP with nothing to say, as RFC 1662 §C would have it on the wire.
func TestFrameOfConfigureRequest(t *testing.T) {
	got := AppendFrame(nil, 0xffffffff, unhex(t, "ff03 c021"), unhex(t, "01 01 0004"))
	if want := unhex(t, "7e ff 7d23 c0 21 7d21 7d21 7d20 7d24 d1 b5 7e"); !bytes.Equal(got, want) {
		t.Errorf("frame = % x, want % x", got, want)
	}
}

func TestOnlyWhatTheMapNamesIsEscaped(t *testing.T) {
	payload := make([]byte, 256)
	for i := range payload {
		payload[i] = byte(i)
	}
	for _, accm := range []uint32{0, 0x000a0000, 0xffffffff, 0x80000001} {
		wire := AppendFrame(nil, accm, nil, payload)
		body := wire[1 : len(wire)-1]
		escapes := 0
		for i, b := range body {
			switch {
			case b == flag, b < 0x20 && accm>>b&1 != 0:
				t.Errorf("map %08x: %02x is bare at %d", accm, b, i)
			case b == escape:
				escapes++
			}
		}
		fcs := slowFCS(fcsInit, payload) ^ 0xffff
		want := 2
		for _, b := range append(payload[:32:32], byte(fcs), byte(fcs>>8)) {
			if special(b, accm) {
				want++
			}
		}
		if escapes != want {
			t.Errorf("map %08x: %d escapes, want %d", accm, escapes, want)
		}
	}
}

func good(payload string) []byte { return AppendFrame(nil, 0, nil, []byte(payload)) }

func TestFramesMayShareOneFlag(t *testing.T) {
	wire := good("first")
	wire = append(wire, good("second")[1:]...)
	var d Deframer
	wantFrames(t, frames(&d, wire), hex.EncodeToString([]byte("first")), hex.EncodeToString([]byte("second")))
	if d.Counts() != (Counts{Good: 2}) {
		t.Errorf("counts %+v", d.Counts())
	}
}

func TestFlagsInARowAreSilent(t *testing.T) {
	var d Deframer
	wire := slices.Concat([]byte{flag, flag, flag}, good("x1"), []byte{flag, flag}, good("x2"), []byte{flag})
	if n := len(frames(&d, wire)); n != 2 || d.Counts() != (Counts{Good: 2}) {
		t.Errorf("%d frames, counts %+v", n, d.Counts())
	}
}

func TestTwoBreaksAreNoFrame(t *testing.T) {
	var d Deframer
	wantFrames(t, frames(&d, []byte{flag, 0, 0, flag}))
	if d.Counts() != (Counts{Runt: 1}) {
		t.Errorf("counts %+v", d.Counts())
	}
}

func TestEscapeBeforeFlagAborts(t *testing.T) {
	wire := good("lost")
	wire = append(wire[:len(wire)-1], escape, flag)
	wire = append(wire, good("kept")[1:]...) // that flag opens the next frame too
	var d Deframer
	wantFrames(t, frames(&d, wire), hex.EncodeToString([]byte("kept")))
	if d.Counts() != (Counts{Good: 1, Aborted: 1}) {
		t.Errorf("counts %+v", d.Counts())
	}
}

func TestEscapedEscapeIsData(t *testing.T) {
	payload := []byte{0x5d, 0x5d, 0x5d}
	wire := AppendFrame(nil, 0, nil, payload)
	// A peer may escape any octet, 5d as well: it then sends 7d 7d.
	wire = bytes.Replace(wire, []byte{0x5d, 0x5d}, []byte{0x7d, 0x7d, 0x7d, 0x7d}, 1)
	var d Deframer
	wantFrames(t, frames(&d, wire), "5d5d5d")
}

func TestControlCharactersOfTheLineAreRemoved(t *testing.T) {
	const accm = 0x000a0000 // XON and XOFF
	payload := []byte{1, 0x11, 2, 0x13, 3}
	wire := AppendFrame(nil, accm, nil, payload)
	var noisy []byte
	for _, b := range wire {
		noisy = append(noisy, 0x13, b, 0x11) // also between an escape and its octet
	}
	d := Deframer{ACCM: accm}
	wantFrames(t, frames(&d, noisy), "0111021303")

	// With an empty map they are data, and the FCS tells.
	d = Deframer{}
	wantFrames(t, frames(&d, noisy))
	if d.Counts().BadFCS == 0 {
		t.Errorf("counts %+v", d.Counts())
	}
}

func TestNoiseBeforeTheFirstFlagIsNoFrame(t *testing.T) {
	var d Deframer
	wantFrames(t, frames(&d, append([]byte("CONNECT 33600\r\n}"), good("hello")...)), hex.EncodeToString([]byte("hello")))
	if d.Counts() != (Counts{Good: 1}) {
		t.Errorf("counts %+v", d.Counts())
	}
}

func TestFrameOverTheMaximumIsDroppedWhole(t *testing.T) {
	d := Deframer{Max: 100}
	exact, over := bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 101)
	wire := slices.Concat(AppendFrame(nil, 0, nil, over), AppendFrame(nil, 0, nil, exact))
	wantFrames(t, frames(&d, wire), hex.EncodeToString(exact))
	if d.Counts() != (Counts{Good: 1, TooLong: 1}) {
		t.Errorf("counts %+v", d.Counts())
	}
	for range 1000 {
		d.Next(bytes.Repeat([]byte("noise without end "), 100))
	}
	if cap(d.buf) > 4*(100+fcsLen) {
		t.Errorf("the buffer grew to %d octets", cap(d.buf))
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	wire := good("every single bit of this frame counts")
	for i := 8; i < 8*(len(wire)-1); i++ {
		bad := bytes.Clone(wire)
		bad[i/8] ^= 1 << (i % 8)
		var d Deframer
		if got := frames(&d, bad); len(got) != 0 {
			t.Errorf("bit %d flipped gave %q", i, got)
		}
	}
}

func TestInFrameFollowsTheWire(t *testing.T) {
	var d Deframer
	wire := good("abc}")
	d.Next([]byte("noise"))
	for i, b := range wire {
		last := i == len(wire)-1
		d.Next([]byte{b})
		if got, want := d.InFrame(), i > 0 && !last; got != want {
			t.Errorf("after octet %d InFrame is %v", i, got)
		}
	}
	d.Next([]byte{'x'})
	if !d.InFrame() {
		t.Error("not in a frame after its first octet")
	}
	d.Reset()
	if d.InFrame() {
		t.Error("in a frame after Reset")
	}
}

func TestFramingAllocatesNothing(t *testing.T) {
	payload := make([]byte, 1500)
	var d Deframer
	wire := AppendFrame(nil, 0, []byte{0x21}, payload)
	d.Next(wire)
	buf := make([]byte, 0, len(wire))
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendFrame(buf[:0], 0, []byte{0x21}, payload)
		if f, _ := d.Next(buf); f == nil {
			t.Fatal("frame lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// FuzzFrameComesBack: whatever is framed comes out again under any map, however the wire is cut.
func FuzzFrameComesBack(f *testing.F) {
	f.Add([]byte("~}\x11\x13\x00 plain"), uint32(0), uint8(3))
	f.Add([]byte{0, 0, 0, 0x7d, 0x7d, 0x7e, 0x5d, 0x5e}, uint32(0xffffffff), uint8(1))
	f.Add(bytes.Repeat([]byte{0x7e}, 40), uint32(0x000a0000), uint8(7))
	f.Fuzz(func(t *testing.T, payload []byte, accm uint32, cut uint8) {
		if len(payload) < 2 || len(payload) > DefaultMax {
			return
		}
		wire := AppendFrame(nil, accm, payload[:1], payload[1:])
		wire = AppendFrame(wire, accm, nil, payload)
		if limit := 2 * (2*(len(payload)+fcsLen) + 2); len(wire) > limit {
			t.Fatalf("%d octets on the wire, the limit is %d", len(wire), limit)
		}
		d := Deframer{ACCM: accm}
		var got [][]byte
		for chunk := range slices.Chunk(wire, int(cut)+1) {
			got = append(got, frames(&d, chunk)...)
		}
		if len(got) != 2 || !bytes.Equal(got[0], payload) || !bytes.Equal(got[1], payload) {
			t.Fatalf("%x came back as %x", payload, got)
		}
	})
}

// FuzzDeframer: any bytes, cut anywhere, give the same frames and counts as uncut, never more than Max.
func FuzzDeframer(f *testing.F) {
	f.Add(good("hello"), uint32(0), uint8(0))
	f.Add([]byte("~}~~}}~\x00\x00~~ab~"), uint32(0xffffffff), uint8(2))
	f.Fuzz(func(t *testing.T, wire []byte, accm uint32, cut uint8) {
		whole, cuts := Deframer{ACCM: accm, Max: 64}, Deframer{ACCM: accm, Max: 64}
		a := frames(&whole, wire)
		var b [][]byte
		for chunk := range slices.Chunk(wire, int(cut)+1) {
			b = append(b, frames(&cuts, chunk)...)
		}
		if !slices.EqualFunc(a, b, bytes.Equal) || whole.Counts() != cuts.Counts() || whole.InFrame() != cuts.InFrame() {
			t.Fatalf("cut by %d: %x %+v, whole: %x %+v", cut, b, cuts.Counts(), a, whole.Counts())
		}
		for _, frame := range a {
			if len(frame) < 2 || len(frame) > 64 {
				t.Fatalf("a frame of %d octets", len(frame))
			}
		}
	})
}
