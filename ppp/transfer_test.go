package ppp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/ppp/internal/corpus"
	"postern/ppp/mppe"
)

// TestLongTransferOverANoisyLineIsRight carries mail both ways over a line that spoils a byte in a
// thousand, which is two frames in five, with every compression and encryption, and VJ or
// not. What arrives is all of it, and right. Of the spoiled frames one in 65,536 has the right FCS by
// chance; so the segments are TCP's, and are judged as any receiver's TCP judges them.
func TestLongTransferOverANoisyLineIsRight(t *testing.T) {
	type mode struct {
		list     []Compression
		strength mppe.Strength // None: no encryption
		mppeMode MPPEMode
		noVJ     bool
	}
	var modes []mode
	for _, noVJ := range []bool{false, true} {
		for _, list := range [][]Compression{nil, {MPPC}, {Deflate}, {BSDCompress}} {
			modes = append(modes, mode{list: list, noVJ: noVJ})
		}
		for _, list := range [][]Compression{nil, {MPPC}} {
			for _, st := range allStrengths {
				if noVJ && (st != mppe.Bits128 || list != nil) {
					continue // the strength is no matter to that
				}
				modes = append(modes, mode{list, st, StatelessOnly, noVJ}, mode{list, st, StatefulOnly, noVJ})
			}
		}
	}
	for i, m := range modes {
		a, c := answererConfig(), callerConfig()
		a.NoVJ, c.NoVJ = m.noVJ, m.noVJ
		a.Compression, c.Compression = m.list, m.list
		a.Encryption, c.Encryption = EncryptionOff, EncryptionOff
		if m.strength != mppe.None {
			a.Encryption, c.Encryption = EncryptionRequire, EncryptionRequire
			a.MPPE, a.MPPEMode, c.MPPEMode = []mppe.Strength{m.strength}, m.mppeMode, m.mppeMode
		}
		p := newPair(t, a, c)
		p.exchange()
		name := fmt.Sprintf("%q %q VJ %v", p.a.cipher, p.a.packer, !m.noVJ)
		if !p.bothUp() || (p.a.cipher != "") != (m.strength != mppe.None) || (p.a.packer != "") != (m.list != nil) {
			t.Fatalf("%+v came up as %s: %+v", m, name, p.a.reason)
		}
		p.spoil = spoiler(uint64(i), 1000)
		transfer(p, name)
	}
}

// transfer sends the corpus both ways and compares.
func transfer(p *pair, name string) {
	p.t.Helper()
	data := corpus.All()
	data = bytes.Repeat(data, 1+50000/len(data))
	down := &stream{data: data, from: p.a, to: p.c, src: boxIP, dst: callerIP, sport: 110, dport: 1025}
	up := &stream{data: data, from: p.c, to: p.a, src: callerIP, dst: boxIP, sport: 1026, dport: 25}
	steps, spoiled := 0, 0
	for ; !down.done() || !up.done(); steps++ {
		if steps > 100000 {
			p.t.Fatalf("%s: stuck with %d and %d of %d octets", name, len(down.got), len(up.got), len(data))
		}
		p.now = p.now.Add(100 * time.Millisecond)
		p.a.Advance(p.now)
		p.c.Advance(p.now)
		down.push(p.now)
		up.push(p.now)
		p.exchange()
		for _, e := range []*end{p.a, p.c} {
			for _, pkt := range e.got {
				switch {
				case !soundTCP(pkt):
					spoiled++ // which the receiver's TCP drops
				case down.is(pkt):
					down.take(p.now, e, pkt)
				case up.is(pkt):
					up.take(p.now, e, pkt)
				}
			}
			e.got = nil
			if e.ended > 0 {
				p.t.Fatalf("%s: ended: %+v", name, e.reason)
			}
		}
	}
	if !bytes.Equal(down.got, data) || !bytes.Equal(up.got, data) {
		p.t.Errorf("%s: what was delivered is not what was sent", name)
	}
	p.t.Logf("%-60s %d octets each way in %d steps, %d segments sent; %d packets with good FCS and bad checksum",
		name, len(data), steps, down.sent+up.sent, spoiled)
}

// stream is one direction of a TCP connection, as simple as can be: a window, cumulative
// acknowledgements, and all again from the last one when nothing moves.
type stream struct {
	data         []byte
	from, to     *end
	src, dst     netip.Addr
	sport, dport uint16

	acked, next int // octets
	still       int // steps since something moved
	sent        int
	got         []byte
}

const (
	segment = 512
	window  = 4 * segment
	synAck  = 0x10 // the ACK flag
	push    = 0x18
)

func (s *stream) done() bool { return s.acked == len(s.data) }

func (s *stream) push(now time.Time) {
	if s.still++; s.still > 5 {
		s.next, s.still = s.acked, 0
	}
	for s.next < len(s.data) && s.next < s.acked+window {
		n := min(segment, len(s.data)-s.next)
		s.from.SendIP(now, tcpPacket(s.src, s.dst, s.sport, s.dport, uint32(s.next), 1, push, s.data[s.next:s.next+n]))
		s.next += n
		s.sent++
	}
}

// is reports whether a packet belongs to the stream, in either direction.
func (s *stream) is(pkt []byte) bool {
	a, b := binary.BigEndian.Uint16(pkt[20:]), binary.BigEndian.Uint16(pkt[22:])
	return a == s.sport && b == s.dport || a == s.dport && b == s.sport
}

// take is the receiver's TCP, or the sender's for an acknowledgement.
func (s *stream) take(now time.Time, at *end, pkt []byte) {
	if at == s.from {
		if ack := int(binary.BigEndian.Uint32(pkt[28:])); ack > s.acked && ack <= len(s.data) {
			s.acked, s.still = ack, 0
			s.next = max(s.next, ack)
		}
		return
	}
	if seq := int(binary.BigEndian.Uint32(pkt[24:])); seq == len(s.got) {
		s.got = append(s.got, pkt[40:]...)
	}
	at.SendIP(now, tcpPacket(s.dst, s.src, s.dport, s.sport, 1, uint32(len(s.got)), synAck, nil))
}

// tcpPacket makes an IPv4 packet with a TCP segment, RFC 791 and RFC 9293, with their checksums.
func tcpPacket(src, dst netip.Addr, sport, dport uint16, seq, ack uint32, flags byte, data []byte) []byte {
	b := make([]byte, 40, 40+len(data))
	b = append(b, data...)
	b[0], b[8], b[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	s, d := src.As4(), dst.As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[20:], sport)
	binary.BigEndian.PutUint16(b[22:], dport)
	binary.BigEndian.PutUint32(b[24:], seq)
	binary.BigEndian.PutUint32(b[28:], ack)
	b[32], b[33] = 5<<4, flags
	binary.BigEndian.PutUint16(b[34:], 4096)
	binary.BigEndian.PutUint16(b[10:], ^onesSum(0, b[:20]))
	binary.BigEndian.PutUint16(b[36:], ^tcpSum(b))
	return b
}

// soundTCP is a receiver's judgement of lengths and checksums.
func soundTCP(b []byte) bool {
	return len(b) >= 40 && b[0] == 0x45 && b[9] == 6 && b[32]>>4 == 5 &&
		int(binary.BigEndian.Uint16(b[2:])) == len(b) && onesSum(0, b[:20]) == 0xffff && tcpSum(b) == 0xffff
}

// tcpSum is the sum over the pseudo header and the segment.
func tcpSum(b []byte) uint16 {
	return onesSum(uint32(onesSum(uint32(6+len(b)-20), b[12:20])), b[20:])
}

func onesSum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
