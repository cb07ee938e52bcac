package netstack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

var (
	boxAddr    = netip.MustParseAddr("10.64.64.1")
	callerAddr = netip.MustParseAddr("10.64.64.2")
)

// wire joins two stacks and shows every packet to see before it arrives.
func wire(t *testing.T, see func(pkt []byte)) (box, caller *Stack) {
	t.Helper()
	var err error
	if box, err = New(Config{Local: boxAddr, Peer: callerAddr}); err != nil {
		t.Fatal(err)
	}
	if caller, err = New(Config{Local: callerAddr, Peer: boxAddr}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var pumps sync.WaitGroup
	pump := func(from, to *Stack) {
		buf := make([]byte, 0, 2000)
		for {
			select {
			case <-stop:
				return
			case <-from.Wake():
			}
			for {
				pkt, ok := from.Next(buf[:0])
				if !ok {
					break
				}
				if see != nil {
					see(pkt)
				}
				to.Deliver(pkt)
			}
		}
	}
	pumps.Go(func() { pump(box, caller) })
	pumps.Go(func() { pump(caller, box) })
	t.Cleanup(func() {
		close(stop)
		pumps.Wait()
		box.Close()
		caller.Close()
	})
	return box, caller
}

func TestBytesCrossACallUnchangedAndOnce(t *testing.T) {
	box, caller := wire(t, nil)
	l, err := box.Listen(110)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 300_000)
	rand.Read(want)
	var served sync.WaitGroup
	defer served.Wait()
	served.Go(func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write(want); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	c, err := caller.Dial(t.Context(), netip.AddrPortFrom(boxAddr, 110))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d octets that differ from the %d sent", len(got), len(want))
	}
	if n := box.Retransmits(); n != 0 {
		t.Errorf("%d segments were sent twice on a clean line", n)
	}
}

func TestAPortNobodyOpenedIsRefusedAtOnce(t *testing.T) {
	_, caller := wire(t, nil)
	_, err := caller.Dial(t.Context(), netip.AddrPortFrom(boxAddr, 22))
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dialling a closed port: %v, want a refusal", err)
	}
}

func TestDialRefusesAddressesBeyondTheCall(t *testing.T) {
	_, caller := wire(t, nil)
	if _, err := caller.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:25")); err == nil {
		t.Error("dialled an address that is not at the other end")
	}
}

func TestPacketsForTheInternetAreProhibitedInWords(t *testing.T) {
	box, err := New(Config{Local: boxAddr, Peer: callerAddr})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	syn := tcpPacket(callerAddr, netip.MustParseAddr("192.0.2.80"), header.TCPFlagSyn, nil)
	for range 50 {
		box.Deliver(bytes.Clone(syn))
	}
	replies := 0
	for {
		pkt, ok := box.Next(nil)
		if !ok {
			break
		}
		replies++
		ip := header.IPv4(pkt)
		if !ip.IsValid(len(pkt)) || !ip.IsChecksumValid() {
			t.Fatalf("the answer is no valid IPv4: %x", pkt)
		}
		msg := header.ICMPv4(ip.Payload())
		if msg.Type() != header.ICMPv4DstUnreachable || msg.Code() != header.ICMPv4AdminProhibited {
			t.Errorf("answered with ICMP type %d code %d", msg.Type(), msg.Code())
		}
		if checksum.Checksum(msg, 0) != 0xffff {
			t.Error("the ICMP checksum is wrong")
		}
		if !bytes.Equal(msg.Payload(), syn[:28]) {
			t.Errorf("the answer is about %x, want the head of the SYN", msg.Payload())
		}
	}
	if replies == 0 || replies > maxRefusals {
		t.Errorf("%d answers to 50 packets, want 1 to %d", replies, maxRefusals)
	}
}

func TestBroadcastsAndForgedSourcesGetNoAnswer(t *testing.T) {
	box, err := New(Config{Local: boxAddr, Peer: callerAddr})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	box.Deliver(tcpPacket(callerAddr, netip.MustParseAddr("255.255.255.255"), header.TCPFlagSyn, nil))
	box.Deliver(tcpPacket(callerAddr, netip.MustParseAddr("10.255.255.255"), header.TCPFlagSyn, nil))
	box.Deliver(tcpPacket(callerAddr, netip.MustParseAddr("224.0.0.22"), header.TCPFlagSyn, nil))
	box.Deliver(tcpPacket(netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.80"), header.TCPFlagSyn, nil))
	if pkt, ok := box.Next(nil); ok {
		t.Errorf("answered with %x", pkt)
	}
}

func TestNoSegmentCarriesATimestamp(t *testing.T) {
	var mu sync.Mutex
	syns := 0
	box, caller := wire(t, func(pkt []byte) {
		mu.Lock()
		defer mu.Unlock()
		ip := header.IPv4(pkt)
		seg := header.TCP(ip.Payload())
		if seg.Flags().Contains(header.TCPFlagSyn) {
			syns++
		}
		if bytes.Contains(seg[header.TCPMinimumSize:seg.DataOffset()], []byte{optTimestamp, 10}) {
			t.Errorf("a segment with flags %v carries a timestamp", seg.Flags())
		}
	})
	l, err := box.Listen(25)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	defer served.Wait()
	served.Go(func() {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte("220 hello\r\n"))
			c.Close()
		}
	})
	c, err := caller.Dial(t.Context(), netip.AddrPortFrom(boxAddr, 25))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if syns < 2 {
		t.Errorf("saw %d SYNs, want both", syns)
	}
}

func TestStrippingKeepsGoodChecksumsGoodAndBadOnesBad(t *testing.T) {
	// Options as Linux sends them, and shifted by one so that the timestamp
	// begins on an odd octet.
	linux := []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}
	shifted := []byte{2, 4, 5, 0xb4, 1, 4, 2, 8, 10, 0xff, 2, 3, 4, 9, 0, 0, 0, 3, 3, 7}
	for _, options := range [][]byte{linux, shifted} {
		pkt := tcpPacket(callerAddr, boxAddr, header.TCPFlagSyn, options)
		stripTimestamps(pkt)
		if bytes.Contains(pkt[40:], []byte{optTimestamp, 10}) {
			t.Errorf("timestamp still there: %x", pkt[40:])
		}
		if !tcpChecksumValid(pkt) {
			t.Errorf("checksum spoiled: %x", pkt)
		}
		bad := tcpPacket(callerAddr, boxAddr, header.TCPFlagSyn, options)
		bad[len(bad)-1] ^= 0x40
		stripTimestamps(bad)
		if tcpChecksumValid(bad) {
			t.Error("a damaged segment became valid")
		}
	}
}

func TestCloseEndsEverythingThatTheCallStarted(t *testing.T) {
	before := runtime.NumGoroutine()
	box, err := New(Config{Local: boxAddr, Peer: callerAddr})
	if err != nil {
		t.Fatal(err)
	}
	l, err := box.Listen(110)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	dialled := make(chan error, 1)
	go func() {
		_, err := box.Dial(context.Background(), netip.AddrPortFrom(callerAddr, 9))
		dialled <- err
	}()
	box.Close()
	l.Close()
	if err := <-ended; err == nil {
		t.Error("Accept returned a connection from a closed stack")
	}
	if err := <-dialled; err == nil {
		t.Error("Dial succeeded on a closed stack")
	}
	// The runtime needs a moment to retire goroutines that have returned.
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i > 1e6 {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

func TestAddressesMustBeTwoOfIPv4(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Local: boxAddr, Peer: boxAddr},
		{Local: boxAddr, Peer: netip.MustParseAddr("::1")},
	} {
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("New(%+v) succeeded", cfg)
		}
	}
}

func TestTheTimerOutlastsAFullQueueOnEveryRate(t *testing.T) {
	for _, rate := range []int{0, 300, 1200, 2400, 9600, 33600, 56000} {
		rto := rtoFor(1500, rate)
		if rto < minRTO || rto > maxRTO/2 {
			t.Errorf("rate %d: timeout %v is out of bounds", rate, rto)
		}
	}
	if slow, fast := rtoFor(1500, 9600), rtoFor(1500, 33600); slow <= fast {
		t.Errorf("9,600 bit/s has timeout %v, 33,600 has %v", slow, fast)
	}
}

func FuzzDeliver(f *testing.F) {
	f.Add([]byte{})
	f.Add(tcpPacket(callerAddr, boxAddr, header.TCPFlagSyn, []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1}))
	f.Add(tcpPacket(callerAddr, netip.MustParseAddr("192.0.2.1"), header.TCPFlagSyn, []byte{8, 0, 0, 0}))
	f.Add([]byte{0x4f, 0, 0, 60, 0, 0, 0, 0, 64, 6})
	box, err := New(Config{Local: boxAddr, Peer: callerAddr})
	if err != nil {
		f.Fatal(err)
	}
	defer box.Close()
	if _, err := box.Listen(110); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		box.Deliver(pkt)
		for ok := true; ok; {
			_, ok = box.Next(nil)
		}
	})
}

// tcpPacket builds a TCP segment with right checksums; options are padded.
func tcpPacket(from, to netip.Addr, flags header.TCPFlags, options []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	total := header.IPv4MinimumSize + header.TCPMinimumSize + len(options)
	pkt := make([]byte, total)
	pkt[0] = 0x45
	binary.BigEndian.PutUint16(pkt[2:], uint16(total))
	pkt[8], pkt[9] = 64, byte(header.TCPProtocolNumber)
	copy(pkt[12:], from.AsSlice())
	copy(pkt[16:], to.AsSlice())
	ip := header.IPv4(pkt)
	ip.SetChecksum(^ip.CalculateChecksum())
	seg := header.TCP(pkt[20:])
	seg.Encode(&header.TCPFields{SrcPort: 1024, DstPort: 110, SeqNum: 7, DataOffset: uint8(header.TCPMinimumSize + len(options)), Flags: flags, WindowSize: 8192})
	copy(seg[header.TCPMinimumSize:], options)
	seg.SetChecksum(^checksum.Checksum(seg, pseudo(ip)))
	return pkt
}

func pseudo(ip header.IPv4) uint16 {
	return header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(ip.Payload())))
}

func tcpChecksumValid(pkt []byte) bool {
	ip := header.IPv4(pkt)
	return checksum.Checksum(ip.Payload(), pseudo(ip)) == 0xffff
}
