package vj

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postern/ppp/internal/corpus"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packet is a 40-octet header and data of a connection from the given port, with a right IP checksum.
type packet struct {
	port          uint16
	id, win, urg  uint16
	seq, ack      uint32
	flags, tos    byte
	options, data string
}

func (p packet) bytes() []byte {
	b := make([]byte, 40, 100)
	b[0], b[1] = 0x45, p.tos
	be.PutUint16(b[ipID:], p.id)
	b[ipTTL], b[ipProto] = 64, protoTCP
	copy(b[ipAddrs:], "\x0a\x00\x00\x02\x0a\x00\x00\x01")
	t := b[20:]
	be.PutUint16(t, p.port)
	be.PutUint16(t[2:], 110)
	be.PutUint32(t[tcpSeq:], p.seq)
	be.PutUint32(t[tcpAck:], p.ack)
	t[tcpOff], t[tcpFlags] = byte(5+len(p.options)/4)<<4, p.flags
	be.PutUint16(t[tcpWin:], p.win)
	be.PutUint16(t[tcpSum:], 0xabcd)
	be.PutUint16(t[tcpUrg:], p.urg)
	b = append(append(b, p.options...), p.data...)
	be.PutUint16(b[ipLen:], uint16(len(b)))
	be.PutUint16(b[ipSum:], ipChecksum(b[:20]))
	return b
}

// base is the packet that each case of TestChangesOnTheWire follows.
var base = packet{port: 1025, id: 100, win: 8000, seq: 1000, ack: 5000, flags: flagACK, data: "12345"}

// The encodings of RFC 1144 §3.2.2, one after the other.
func TestChangesOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*packet)
		kind   Kind
		wire   string // mask, checksum, values; data left out
	}{
		{"one-way data", func(p *packet) { p.id++; p.seq += 5 }, CompressedTCP, "0f abcd"},
		{"echoed data", func(p *packet) { p.id++; p.seq += 5; p.ack += 5 }, CompressedTCP, "0b abcd"},
		{"with push", func(p *packet) { p.id++; p.seq += 5; p.flags |= flagPSH }, CompressedTCP, "1f abcd"},
		{"sequence other than the data", func(p *packet) { p.id++; p.seq += 6 }, CompressedTCP, "08 abcd 06"},
		{"acknowledgement", func(p *packet) { p.id++; p.ack += 255 }, CompressedTCP, "04 abcd ff"},
		{"acknowledgement of 256", func(p *packet) { p.id++; p.ack += 256 }, CompressedTCP, "04 abcd 00 0100"},
		{"acknowledgement of 65535", func(p *packet) { p.id++; p.ack += 65535 }, CompressedTCP, "04 abcd 00 ffff"},
		{"acknowledgement too far", func(p *packet) { p.id++; p.ack += 65536 }, UncompressedTCP, ""},
		{"sequence backwards", func(p *packet) { p.id++; p.seq -= 5 }, UncompressedTCP, ""},
		{"window grows", func(p *packet) { p.id++; p.ack += 1; p.win += 2 }, CompressedTCP, "06 abcd 02 01"},
		{"window shrinks", func(p *packet) { p.id++; p.win-- }, CompressedTCP, "02 abcd 00 ffff"},
		{"identification jumps", func(p *packet) { p.id += 3; p.seq += 5 }, CompressedTCP, "2f abcd 03"},
		{"identification stays", func(p *packet) { p.seq += 5 }, CompressedTCP, "2f abcd 00 0000"},
		{"urgent", func(p *packet) { p.id++; p.urg = 7; p.flags |= flagURG; p.ack++ }, CompressedTCP, "05 abcd 07 01"},
		{"urgent at zero", func(p *packet) { p.id++; p.flags |= flagURG; p.ack++ }, CompressedTCP, "05 abcd 00 0000 01"},
		{"urgent pointer without its flag", func(p *packet) { p.id++; p.urg = 7; p.ack++ }, UncompressedTCP, ""},
		{"what looks like echoed data", func(p *packet) { p.id++; p.seq++; p.win++; p.flags |= flagURG }, UncompressedTCP, ""},
		{"what looks like one-way data", func(p *packet) { p.id++; p.seq++; p.ack++; p.win++; p.flags |= flagURG }, UncompressedTCP, ""},
		{"retransmission", func(p *packet) { p.id++ }, UncompressedTCP, ""},
		{"type of service", func(p *packet) { p.id++; p.seq += 5; p.tos = 8 }, UncompressedTCP, ""},
		{"new options", func(p *packet) { p.id++; p.seq += 5; p.options = "\x01\x01\x01\x00" }, UncompressedTCP, ""},
		{"ECN echo", func(p *packet) { p.id++; p.seq += 5; p.flags |= 0x40 }, UncompressedTCP, ""},
		{"FIN", func(p *packet) { p.id++; p.seq += 5; p.flags |= flagFIN }, IP, ""},
		{"SYN", func(p *packet) { p.flags |= flagSYN }, IP, ""},
		{"RST", func(p *packet) { p.flags |= flagRST }, IP, ""},
		{"no ACK", func(p *packet) { p.flags = 0 }, IP, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			comp, dec := NewCompressor(16, true), NewDecompressor(16)
			first := base.bytes()
			whole, kind := comp.Append(nil, first)
			if kind != UncompressedTCP || whole[ipProto] != 0 {
				t.Fatalf("the first packet went as %04x, slot %d", kind, whole[ipProto])
			}
			wantBack(t, dec, kind, whole, first)
			p := base
			c.change(&p)
			pkt := p.bytes()
			wire, kind := comp.Append(nil, pkt)
			if kind != c.kind {
				t.Fatalf("went as %04x, want %04x", kind, c.kind)
			}
			if kind == CompressedTCP {
				if want := append(unhex(t, c.wire), p.data...); !bytes.Equal(wire, want) {
					t.Errorf("on the wire % x, want % x", wire, want)
				}
			}
			wantBack(t, dec, kind, wire, pkt)
		})
	}
}

func wantBack(t *testing.T, d *Decompressor, kind Kind, wire, want []byte) {
	t.Helper()
	got, err := d.Append([]byte("front"), kind, wire)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, append([]byte("front"), want...)) {
		t.Fatalf("came back as\n% x, want\n% x", got[5:], want)
	}
}

func TestDataAfterABareAcknowledgementIsCompressed(t *testing.T) {
	comp := NewCompressor(16, true)
	p := base
	p.data = ""
	comp.Append(nil, p.bytes())
	p.id++
	p.data = "QUIT\r\n"
	if wire, kind := comp.Append(nil, p.bytes()); kind != CompressedTCP || wire[0] != 0 {
		t.Errorf("went as %04x, % x", kind, wire)
	}
}

func TestSlotIsNamedWhenItChangesOrAlways(t *testing.T) {
	for _, compress := range []bool{true, false} {
		comp, dec := NewCompressor(16, compress), NewDecompressor(16)
		a, b := base, base
		b.port++
		for i := range 40 {
			p := &a
			if i/4%2 == 1 { // four packets of each connection in turn
				p = &b
			}
			pkt := p.bytes()
			wire, kind := comp.Append(nil, pkt)
			if kind == CompressedTCP {
				if named := wire[0]&newC != 0; named != (!compress || i%4 == 0) {
					t.Errorf("compress %v, packet %d: slot named %v", compress, i, named)
				}
			} else if i != 0 && i != 4 {
				t.Errorf("packet %d went as %04x", i, kind)
			}
			wantBack(t, dec, kind, wire, pkt)
			p.id++
			p.seq += 5
		}
	}
}

func TestTheSlotUnusedForLongestIsTaken(t *testing.T) {
	comp, dec := NewCompressor(3, true), NewDecompressor(3)
	send := func(port uint16, id uint16) Kind {
		p := base
		p.port, p.id, p.ack = port, id, base.ack+uint32(id)
		pkt := p.bytes()
		wire, kind := comp.Append(nil, pkt)
		wantBack(t, dec, kind, wire, pkt)
		return kind
	}
	for i, port := range []uint16{1, 2, 3, 1, 4, 1, 3, 2} { // 4 takes 2's slot, and 2 then 4's
		want := UncompressedTCP
		if i == 3 || i == 5 || i == 6 {
			want = CompressedTCP
		}
		if kind := send(port, uint16(i)); kind != want {
			t.Errorf("packet %d of port %d went as %04x, want %04x", i, port, kind, want)
		}
	}
}

func TestOtherPacketsGoAsTheyAre(t *testing.T) {
	whole := base.bytes()
	spoil := func(f func(p []byte)) []byte { p := bytes.Clone(whole); f(p); return p }
	for name, pkt := range map[string][]byte{
		"UDP":             spoil(func(p []byte) { p[ipProto] = 17 }),
		"IPv6":            spoil(func(p []byte) { p[0] = 0x60 }),
		"a fragment":      spoil(func(p []byte) { p[ipFrag+1] = 5 }),
		"more fragments":  spoil(func(p []byte) { p[ipFrag] = 0x20 }),
		"length too long": spoil(func(p []byte) { p[ipLen+1]++ }),
		"bad IHL":         spoil(func(p []byte) { p[0] = 0x44 }),
		"bad data offset": spoil(func(p []byte) { p[20+tcpOff] = 0xf0 }),
		"nothing":         {},
		"a stump":         whole[:39],
	} {
		out, kind := NewCompressor(16, true).Append(nil, pkt)
		if kind != IP || !bytes.Equal(out, pkt) {
			t.Errorf("%s went as %04x", name, kind)
		}
	}
}

func TestAfterALossPacketsWithoutSlotAreTossed(t *testing.T) {
	comp, dec := NewCompressor(16, true), NewDecompressor(16)
	p := base
	step := func() ([]byte, Kind) {
		wire, kind := comp.Append(nil, p.bytes())
		p.id++
		p.seq += 5
		return wire, kind
	}
	wire, kind := step()
	wantBack(t, dec, kind, wire, base.bytes())
	step() // lost on the line
	dec.Lost()
	for range 3 {
		wire, kind := step()
		if _, err := dec.Append(nil, kind, wire); !errors.Is(err, ErrTossed) {
			t.Fatalf("a packet after the loss: %v", err)
		}
	}
	p.seq -= 15 // TCP sends again, and that heals it
	pkt := p.bytes()
	wire, kind = step()
	wantBack(t, dec, kind, wire, pkt)
	pkt = p.bytes()
	wire, kind = step()
	wantBack(t, dec, kind, wire, pkt)
}

func TestHostilePacketsAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		kind Kind
		wire []byte
		want error
	}{
		"empty":                 {CompressedTCP, nil, ErrMalformed},
		"mask only":             {CompressedTCP, []byte{0}, ErrMalformed},
		"values missing":        {CompressedTCP, []byte{newC | newS, 0, 1, 2, 0, 1}, ErrMalformed},
		"slot beyond":           {CompressedTCP, []byte{newC, 16, 1, 2}, ErrSlot},
		"slot never set":        {CompressedTCP, []byte{newC, 3, 1, 2}, ErrSlot},
		"whole, slot beyond":    {UncompressedTCP, func() []byte { p := base.bytes(); p[ipProto] = 16; return p }(), ErrSlot},
		"whole, short":          {UncompressedTCP, base.bytes()[:39], ErrMalformed},
		"too long for IP":       {CompressedTCP, append([]byte{newC, 0, 1, 2}, make([]byte, 65500)...), ErrMalformed},
		"no kind of Jacobson's": {0xc021, base.bytes(), ErrMalformed},
	} {
		d := NewDecompressor(16)
		p := base.bytes()
		p[ipProto] = 0
		if _, err := d.Append(nil, UncompressedTCP, p); err != nil {
			t.Fatal(err)
		}
		got, err := d.Append([]byte("kept"), c.kind, c.wire)
		if !errors.Is(err, c.want) || string(got) != "kept" {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

func TestAPOP3SessionComesBackAndShrinks(t *testing.T) {
	for _, compressSlot := range []bool{true, false} {
		headers, wire, n := sessionHeaders(t, compressSlot)
		perPacket := float64(wire) / float64(n)
		t.Logf("slot ids compressed %v: %d packets, headers %d -> %d octets, %.1f a packet", compressSlot, n, headers, wire, perPacket)
		if limit := 12.0; perPacket > limit {
			t.Errorf("%.1f octets of header a packet", perPacket)
		}
	}
}

func sessionHeaders(t testing.TB, compressSlot bool) (headers, wire, n int) {
	var comp [2]*Compressor
	var dec [2]*Decompressor
	for i := range 2 {
		comp[i], dec[i] = NewCompressor(16, compressSlot), NewDecompressor(16)
	}
	for _, p := range corpus.Session(536, corpus.All()) {
		dir := 0
		if p.FromCaller {
			dir = 1
		}
		out, kind := comp[dir].Append(nil, p.Data)
		got, err := dec[dir].Append(nil, kind, out)
		if err != nil || !bytes.Equal(got, p.Data) {
			t.Fatalf("packet %d: %v\n% x, want\n% x", n, err, got, p.Data)
		}
		n++
		headers += 40
		wire += len(out) - (len(p.Data) - 40)
	}
	return headers, wire, n
}

// The digests are of what ppp 2.4.9 (modules/vjcompress.c) made of the same packets, of
// 20 connections in 16 slots: the PPP protocol number and the packet.
func TestTheWireIsThatOfPPP249(t *testing.T) {
	for compressSlot, want := range map[bool]string{
		true:  "ddb1d7ec60f039860be830b9f90cc646c13d6c2427eb467695ffdb1452889e5c",
		false: "9a5236fc4dc8fc1303a9102959581f914d3f416523dc67d13e423ae414ae3a68",
	} {
		c := NewCompressor(16, compressSlot)
		h := sha256.New()
		for _, p := range workload() {
			wire, kind := c.Append([]byte{0, 0}, p)
			be.PutUint16(wire, uint16(kind))
			h.Write(wire)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("slot ids compressed %v: %s, want %s", compressSlot, got, want)
		}
	}
}

// workload is what servers send in a POP3 session, and then 20 connections to whose headers
// everything happens.
func workload() (packets [][]byte) {
	for _, p := range corpus.Session(536, corpus.All()) {
		if !p.FromCaller {
			packets = append(packets, p.Data)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	conns := make([]packet, 20)
	for i := range conns {
		conns[i] = base
		conns[i].port += uint16(i)
	}
	for range 5000 {
		p, v := &conns[rnd.IntN(1+rnd.IntN(len(conns)))], uint16(rnd.Uint32())
		switch rnd.IntN(14) {
		case 0, 1, 2:
			p.seq += uint32(len(p.data))
		case 3:
			p.seq, p.ack = p.seq+uint32(len(p.data)), p.ack+uint32(len(p.data))
		case 4:
			p.seq += uint32(v)
		case 5:
			p.ack += uint32(v)
		case 6:
			p.win = v
		case 7:
			p.urg, p.flags = v, p.flags^flagURG
		case 8:
			p.flags ^= flagPSH
		case 9:
			p.id += v
		case 10:
			p.data = fmt.Sprintf("%*d", v%50+1, v)
		case 11:
			p.data = ""
		case 12:
			p.options = strings.Repeat("\x01", int(v%3)*4)
		case 13:
			p.tos = byte(v % 2)
		}
		if rnd.IntN(5) != 0 {
			p.id++
		}
		packets = append(packets, p.bytes())
	}
	return packets
}

func TestCompressionAllocatesNothing(t *testing.T) {
	comp, dec := NewCompressor(16, true), NewDecompressor(16)
	session := corpus.Session(536, corpus.Text())
	wire, back := make([]byte, 0, 2000), make([]byte, 0, 2000)
	if n := testing.AllocsPerRun(10, func() {
		for _, p := range session {
			var kind Kind
			wire, kind = comp.Append(wire[:0], p.Data)
			var err error
			if back, err = dec.Append(back[:0], kind, wire); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations a session", n)
	}
}

// FuzzRoundTrip: whatever a script does to the headers of some connections, each packet comes back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07 some connections"), uint8(2), true)
	f.Add(bytes.Repeat([]byte{0, 16, 0, 16, 32}, 20), uint8(1), false)
	f.Fuzz(func(t *testing.T, script []byte, slots uint8, compressSlot bool) {
		comp, dec := NewCompressor(int(slots), compressSlot), NewDecompressor(int(slots))
		conns := make([]packet, 4)
		for i := range conns {
			conns[i] = base
			conns[i].port += uint16(i)
		}
		for i := 0; i+2 < len(script); i += 3 {
			op, v, p := script[i], uint16(script[i+1])<<8|uint16(script[i+2]), &conns[script[i]>>6]
			switch op & 0x0f {
			case 0:
				p.seq += uint32(len(p.data))
			case 1:
				p.seq, p.ack = p.seq+uint32(len(p.data)), p.ack+uint32(len(p.data))
			case 2:
				p.seq += uint32(v)
			case 3:
				p.ack += uint32(v)
			case 4:
				p.win = v
			case 5:
				p.urg, p.flags = v, p.flags^flagURG
			case 6:
				p.flags ^= flagPSH
			case 7:
				p.id += v
			case 8:
				p.data = fmt.Sprintf("%*d", v%50, v)
			case 9:
				p.data = ""
			case 10:
				p.options = strings.Repeat("\x01", int(v%11)*4)
			case 11:
				p.flags = byte(v)
			case 12:
				p.tos = byte(v)
			case 13:
				p.ack -= uint32(v)
			}
			p.id++
			pkt := p.bytes()
			wire, kind := comp.Append(nil, pkt)
			if len(wire) > len(pkt) {
				t.Fatalf("%d octets became %d", len(pkt), len(wire))
			}
			got, err := dec.Append(nil, kind, wire)
			if err != nil || !bytes.Equal(got, pkt) {
				t.Fatalf("%v: % x came back as % x", err, pkt, got)
			}
		}
	})
}

// FuzzDecompressor: no packet panics, and what comes out is an IP packet of bounded size.
func FuzzDecompressor(f *testing.F) {
	f.Add(base.bytes(), []byte{newC | specialD, 6, 1, 2, 'x'}, []byte{newI | newU | newW | newA | newS, 1, 2, 0, 0, 0, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, whole, first, second []byte) {
		d := NewDecompressor(8)
		d.Append(nil, UncompressedTCP, whole)
		for _, wire := range [][]byte{first, second, first} {
			got, err := d.Append(nil, CompressedTCP, wire)
			if err != nil {
				continue
			}
			if len(got) > len(wire)+maxHeader || len(got) > 0xffff || int(binary.BigEndian.Uint16(got[ipLen:])) != len(got) {
				t.Fatalf("% x gave % x", wire, got)
			}
		}
	})
}

func BenchmarkSession(b *testing.B) {
	session := corpus.Session(536, corpus.All())
	var octets int64
	for _, p := range session {
		octets += int64(len(p.Data))
	}
	comp, dec := NewCompressor(16, true), NewDecompressor(16)
	wire, back := make([]byte, 0, 2000), make([]byte, 0, 2000)
	b.SetBytes(octets)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range session {
			var kind Kind
			wire, kind = comp.Append(wire[:0], p.Data)
			back, _ = dec.Append(back[:0], kind, wire)
		}
	}
	headers, onWire, n := sessionHeaders(b, true)
	b.ReportMetric(float64(onWire)/float64(n), "header-octets/packet")
	b.ReportMetric(float64(onWire)/float64(headers), "header-ratio")
}

// Seeded noise: a tenth of the packets is lost, and Lost called for each.
func TestNothingWrongComesOutWhenEveryLossIsTold(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	comp, dec := NewCompressor(4, true), NewDecompressor(4)
	right, wrong := 0, 0
	p := base
	for range 5000 {
		p.id++
		p.seq += 5
		if rnd.IntN(20) == 0 {
			p.seq -= 50 // sent again
		}
		pkt := p.bytes()
		wire, kind := comp.Append(nil, pkt)
		if rnd.IntN(10) == 0 {
			dec.Lost()
			continue
		}
		got, err := dec.Append(nil, kind, wire)
		switch {
		case err != nil:
		case bytes.Equal(got, pkt):
			right++
		default:
			wrong++
		}
	}
	if wrong != 0 {
		t.Errorf("%d packets came out wrong", wrong)
	}
	if right < 500 {
		t.Errorf("only %d packets came through", right)
	}
}
