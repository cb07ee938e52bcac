package ppp

import (
	"crypto/rc4"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/ppp/internal/corpus"
	"postern/ppp/mppe"
)

// benchSize is a full packet, that fits with MPPE's header too.
const benchSize = 1496

// stackMode is a way to carry packets.
type stackMode struct {
	name string
	set  func(*Config)
}

func encrypted(st mppe.Strength, mode MPPEMode, list ...Compression) func(*Config) {
	return func(c *Config) {
		c.Encryption, c.MPPE, c.MPPEMode, c.Compression = EncryptionRequire, []mppe.Strength{st}, mode, list
	}
}

func packed(list ...Compression) func(*Config) {
	return func(c *Config) { c.Encryption, c.Compression = EncryptionOff, list }
}

var stackModes = []stackMode{
	{"clear", packed()},
	{"MPPE128-stateless", encrypted(mppe.Bits128, StatelessOnly)},
	{"MPPE128-stateful", encrypted(mppe.Bits128, StatefulOnly)},
	{"MPPE40-stateless", encrypted(mppe.Bits40, StatelessOnly)},
	{"MPPE40-stateful", encrypted(mppe.Bits40, StatefulOnly)},
	{"MPPC", packed(MPPC)},
	{"Deflate", packed(Deflate)},
	{"BSD", packed(BSDCompress)},
	{"MPPE128-stateless+MPPC", encrypted(mppe.Bits128, StatelessOnly, MPPC)},
	{"MPPE128-stateful+MPPC", encrypted(mppe.Bits128, StatefulOnly, MPPC)},
}

// carrier is a pair of ends that are up in one mode.
func carrier(tb testing.TB, m stackMode) *pair {
	a, c := answererConfig(), callerConfig()
	m.set(&a)
	m.set(&c)
	p := newPair(tb, a, c)
	p.exchange()
	if !p.bothUp() {
		tb.Fatalf("%s does not come up: %+v", m.name, p.a.reason)
	}
	return p
}

// carry sends a packet from one end to the other.
func carry(p *pair, from, to *end, wire, pkt []byte) ([]byte, bool) {
	if !from.SendIP(p.now, pkt) {
		return wire, false
	}
	wire = from.Output(wire[:0])
	to.Input(p.now, wire)
	n := 0
	for e := to.NextEvent(); e.Kind != NoEvent; e = to.NextEvent() {
		n += len(e.Packet)
	}
	return wire, n == len(pkt)
}

func mailPacket() []byte { return append([]byte{0x45}, corpus.All()[:benchSize-1]...) }

// BenchmarkStack carries a full packet of mail each way through both engines: the whole path, at
// both ends. BenchmarkBareRC4 and BenchmarkBareRC4AndCRC do to as many octets, as often, what
// encryption and framing cannot be without, with the standard library.
func BenchmarkStack(b *testing.B) {
	for _, m := range stackModes {
		b.Run(m.name, func(b *testing.B) {
			p := carrier(b, m)
			pkt := mailPacket()
			var wire []byte
			b.SetBytes(2 * int64(len(pkt)))
			b.ReportAllocs()
			for b.Loop() {
				for _, way := range [][2]*end{{p.a, p.c}, {p.c, p.a}} {
					var ok bool
					if wire, ok = carry(p, way[0], way[1], wire, pkt); !ok {
						b.Fatal("not carried")
					}
				}
			}
		})
	}
}

func benchBare(b *testing.B, crc bool) {
	c, err := rc4.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	pkt := mailPacket()
	b.SetBytes(2 * int64(len(pkt)))
	for b.Loop() {
		for range 4 { // two packets, each sealed and opened
			c.XORKeyStream(pkt, pkt)
			if crc {
				crc32.ChecksumIEEE(pkt)
			}
		}
	}
}

func BenchmarkBareRC4(b *testing.B)       { benchBare(b, false) }
func BenchmarkBareRC4AndCRC(b *testing.B) { benchBare(b, true) }

// Full packets of random octets cost the framing most.
func BenchmarkStackRandom(b *testing.B) {
	p := carrier(b, stackModes[0])
	pkt := make([]byte, benchSize)
	rand.NewChaCha8([32]byte{}).Read(pkt)
	pkt[0] = 0x45
	var wire []byte
	b.SetBytes(int64(len(pkt)))
	for b.Loop() {
		wire, _ = carry(p, p.a, p.c, wire, pkt)
	}
}

func TestPacketsCostNoAllocationInAnyMode(t *testing.T) {
	for _, m := range stackModes {
		p := carrier(t, m)
		pkt := mailPacket()
		var wire []byte
		lost := 0
		send := func() {
			var ok bool
			if wire, ok = carry(p, p.a, p.c, wire, pkt); !ok {
				lost++
			}
		}
		for range 20 {
			send()
		}
		if n := testing.AllocsPerRun(200, send); n != 0 || lost > 0 {
			t.Errorf("%s: %v allocations a packet, %d lost", m.name, n, lost)
		}
	}
}

// BenchmarkSetup counts the round trips from CONNECT to IP-up between two of our own ends.
func BenchmarkSetup(b *testing.B) {
	b.ReportAllocs()
	trips := 0
	for b.Loop() {
		p := newPair(b, answererConfig(), callerConfig())
		p.delay = 60 * time.Millisecond
		for !p.bothUp() {
			down, up := p.a.Output(nil), p.c.Output(nil)
			p.now = p.now.Add(p.delay)
			trips++
			p.a.Input(p.now, up)
			p.c.Input(p.now, down)
			p.a.drain(p.now)
			p.c.drain(p.now)
		}
	}
	b.ReportMetric(float64(trips)/float64(b.N)/2, "roundtrips")
}

// BenchmarkCallers counts them for the callers of old, as their transcripts have it: strictly in
// turns, which is the most that it can take.
func BenchmarkCallers(b *testing.B) {
	files, err := filepath.Glob("testdata/callers/*.txt")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		b.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(b *testing.B) {
			trips := 0
			for b.Loop() {
				trips = playTranscript(quiet{b}, f)
			}
			b.ReportMetric(float64(trips), "roundtrips")
		})
	}
}

// quiet is a benchmark without the log of each transcript.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

// TestCallersAreUpInFewRoundTrips holds what the engine's order of events saves: each round trip is
// 0.12 s on a good line and 3 s over a satellite.
func TestCallersAreUpInFewRoundTrips(t *testing.T) {
	for name, most := range map[string]int{
		"windows-95": 11, "windows-98": 10, "windows-nt4": 10, "windows-2000": 10, "windows-2000-callback": 8, "windows-xp": 12, "pppd": 6,
	} {
		if got := playTranscript(t, fmt.Sprintf("testdata/callers/%s.txt", name)); got > most || got == 0 {
			t.Errorf("%s is up after %d round trips, not %d", name, got, most)
		}
	}
}
