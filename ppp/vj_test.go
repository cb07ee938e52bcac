package ppp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// tcp is a TCP/IP packet with right checksums: one of a transfer that has carried seq octets.
func tcp(seq uint32, data []byte) []byte {
	p := make([]byte, 40, 40+len(data))
	p[0], p[8], p[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[2:], uint16(40+len(data)))
	binary.BigEndian.PutUint16(p[4:], uint16(seq))
	copy(p[12:], []byte{10, 64, 64, 1, 10, 64, 64, 2})
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20], 0))
	binary.BigEndian.PutUint16(p[20:], 110)
	binary.BigEndian.PutUint16(p[22:], 1025)
	binary.BigEndian.PutUint32(p[24:], seq)
	binary.BigEndian.PutUint32(p[28:], 77)
	p[32], p[33] = 0x50, 0x10
	binary.BigEndian.PutUint16(p[34:], 8192)
	p = append(p, data...)
	pseudo := uint32(10<<8|64) + uint32(64<<8|1) + uint32(10<<8|64) + uint32(64<<8|2) + 6 + uint32(20+len(data))
	binary.BigEndian.PutUint16(p[36:], checksum(p[20:], pseudo))
	return p
}

func checksum(b []byte, sum uint32) uint16 {
	for i, c := range b {
		sum += uint32(c) << (8 * uint(1-i&1))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func TestTCPHeadersAreCompressedBothWays(t *testing.T) {
	for _, policy := range []Policy{EncryptionOff, EncryptionRequire} {
		for _, noVJ := range []bool{false, true} {
			a, c := answererConfig(), callerConfig()
			a.Encryption, c.NoVJ = policy, noVJ
			p := newPair(t, a, c)
			p.exchange()
			octets := 0
			p.spoil = func(b []byte) []byte { octets += len(b); return b }
			const n = 50
			for i := range n {
				if pkt := tcp(uint32(1000+10*i), bytes.Repeat([]byte{'x'}, 10)); !p.ping(pkt) {
					t.Fatalf("%v: packet %d came wrong", policy, i)
				}
			}
			per := octets / n / 2
			t.Logf("encryption %v, no VJ %v: 50 octets of IP in %d on the line", policy, noVJ, per)
			if short := per < 35; short == noVJ {
				t.Errorf("encryption %v, no VJ %v: 50 octets of IP in %d on the line", policy, noVJ, per)
			}
		}
	}
}

// A lost frame must not have its successor applied to the wrong header.
func TestHeadersAfterALostFrameAreRight(t *testing.T) {
	p := newPair(t, answererConfig(), callerConfig())
	p.exchange()
	for i := range 200 {
		want := tcp(uint32(1000+10*i), bytes.Repeat([]byte{byte(i)}, 10))
		p.a.SendIP(p.now, want)
		wire := p.a.Output(nil)
		if i%7 == 6 {
			wire[len(wire)/2] ^= 1
		}
		p.c.Input(p.now, wire)
		p.c.drain(p.now)
		for _, got := range p.c.got {
			// What is out of step is for TCP's checksum to see.
			sum := checksum(got[20:], uint32(10<<8|64)+uint32(64<<8|1)+uint32(10<<8|64)+uint32(64<<8|2)+6+uint32(len(got)-20))
			if sum == 0 && !bytes.Equal(got, want) {
				t.Fatalf("packet %d is wrong and its checksum right", i)
			}
		}
		p.c.got = nil
		if i%7 == 6 { // TCP sends it again, which does not compress
			if !p.ping(want) {
				t.Fatalf("packet %d was not healed", i)
			}
			p.c.got, p.a.got = nil, nil
		}
	}
}

// pppd with vj-max-slots 4 novjccomp Naks our 16 slots; that it then asks for VJ
// itself does not mean that it could take it from us.
func TestANakOfVJIsTakenAndVJIsNotSentByWhoDoesNotTakeIt(t *testing.T) {
	p := newPair(t, answererConfig(), callerConfig())
	p.exchange()
	l := p.a.net
	four := option{ipcpCompression, []byte{0x00, 0x2d, 3, 0}}
	l.naked([]option{four})
	if got, ok := find(l.request(), ipcpCompression); !ok || !bytes.Equal(got.data, four.data) {
		t.Errorf("after the Nak we ask for %x", got.data)
	}
	l.down()
	l.slots = 4
	if l.startVJ(); l.tx == nil || l.rx == nil {
		t.Error("VJ was agreed both ways and is not used")
	}
	l.down()
	l.slots = 0
	if l.startVJ(); l.tx != nil || l.rx == nil {
		t.Error("a peer that only sends VJ is not understood")
	}
	l.down()
	l.slots = 4
	l.naked([]option{{ipcpCompression, []byte{0x00, 0x37, 1, 2}}}) // RFC 1144 is not what it wants
	if _, ok := find(l.request(), ipcpCompression); ok {
		t.Error("VJ is asked for again though the peer wants another compression")
	}
	if l.startVJ(); l.tx != nil || l.rx != nil {
		t.Error("VJ is used though only one end agreed")
	}
}
