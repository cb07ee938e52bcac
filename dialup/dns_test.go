package dialup

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var ourNames = newNames(netip.MustParseAddr("10.64.64.1"), []string{"mail.postern.lan", "Postern."})

func query(t testing.TB, name string, typ dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestDNSAnswersForTheBoxAloneAndAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		typ   dnsmessage.Type
		rcode dnsmessage.RCode
		want  string
	}{
		{"mail.postern.lan.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.64.64.1"},
		{"MAIL.Postern.LAN.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.64.64.1"},
		{"postern.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.64.64.1"},
		{"postern.", dnsmessage.TypeALL, dnsmessage.RCodeSuccess, "10.64.64.1"},
		{"mail.postern.lan.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, ""},
		{"mail.postern.lan.", dnsmessage.TypeMX, dnsmessage.RCodeSuccess, ""},
		{"1.64.64.10.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeSuccess, "mail.postern.lan."},
		{"2.64.64.10.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.RCodeNameError, ""},
		{"www.example.org.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{".", dnsmessage.TypeNS, dnsmessage.RCodeNameError, ""},
	} {
		var m dnsmessage.Message
		if err := m.Unpack(ourNames.answer(query(t, test.name, test.typ))); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got := ""
		if len(m.Answers) > 0 {
			switch body := m.Answers[0].Body.(type) {
			case *dnsmessage.AResource:
				got = netip.AddrFrom4(body.A).String()
			case *dnsmessage.PTRResource:
				got = body.PTR.String()
			}
		}
		if m.RCode != test.rcode || got != test.want || m.ID != 77 || !m.Response || len(m.Questions) != 1 {
			t.Errorf("%s %v: %v %q in %+v, want %v %q", test.name, test.typ, m.RCode, got, m.Header, test.rcode, test.want)
		}
	}
}

func TestDNSGivesNoAnswerToAnAnswer(t *testing.T) {
	if again := ourNames.answer(ourNames.answer(query(t, "postern.", dnsmessage.TypeA))); again != nil {
		t.Fatalf("two boxes would talk for ever: %x", again)
	}
}

// loopNetwork is a Network on the loopback interface.
type loopNetwork struct {
	packets net.PacketConn
	streams net.Listener
}

func (n *loopNetwork) Listen(uint16) (l net.Listener, err error) {
	n.streams, err = net.Listen("tcp", "127.0.0.1:0")
	return n.streams, err
}

func (n *loopNetwork) ListenPacket(uint16) (l net.PacketConn, err error) {
	n.packets, err = net.ListenPacket("udp", "127.0.0.1:0")
	return n.packets, err
}

func TestDNSServesUDPAndTCPAndEndsWithTheCall(t *testing.T) {
	var network loopNetwork
	serve, err := ourNames.open(&network)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- serve(ctx) }()
	q := query(t, "postern.", dnsmessage.TypeA)
	reply := make([]byte, 512)

	u, err := net.Dial("udp", network.packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.SetDeadline(time.Now().Add(10 * time.Second))
	u.Write([]byte("nonsense"))
	u.Write(q)
	if n, err := u.Read(reply); err != nil || reply[3]&0xf != 0 || n <= len(q) {
		t.Fatalf("UDP: %x, %v", reply[:n], err)
	}

	c, err := net.Dial("tcp", network.streams.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for range 2 {
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply[:binary.BigEndian.Uint16(size[:])]); err != nil {
			t.Fatal(err)
		}
	}
	cancel() // with the TCP connection still open
	<-done
	if _, err := network.streams.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("DNS is still there after the call: %v", err)
	}
}

func FuzzDNS(f *testing.F) {
	f.Add(query(f, "postern.", dnsmessage.TypeA))
	f.Add(query(f, "1.64.64.10.in-addr.arpa.", dnsmessage.TypePTR))
	f.Add(query(f, strings.Repeat("a.", 100), dnsmessage.TypeALL))
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01")) // a name that points to itself
	f.Fuzz(func(t *testing.T, p []byte) {
		reply := ourNames.answer(p)
		if len(reply) > len(p)+64 || len(reply) > 2*dnsMax {
			t.Fatalf("%d octets answer %d", len(reply), len(p))
		}
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || !m.Response {
			t.Fatalf("%x: %v", reply, err)
		}
	})
}
