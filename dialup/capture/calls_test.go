package capture_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"postern/dialup/capture"
	"postern/ppp"
	"postern/ppp/hdlc"
)

var (
	epoch    = time.Date(1999, 12, 31, 23, 59, 0, 0, time.UTC)
	boxIP    = netip.MustParseAddr("10.64.64.1")
	callerIP = netip.MustParseAddr("10.64.64.2")
)

const (
	user     = "alice"
	password = "clientPass-7f3a"
	mailText = "Dear Bob, the secret of the soup is lovage."
)

// seeded is randomness that a test can repeat.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// A call is two engines back to back; what passes is shown to an observer at the
// answering end.
type call struct {
	t           *testing.T
	now         time.Time
	box, caller *ppp.Session
	o           capture.Observer
	ups, ended  int
}

// profile is one way to make a call.
type profile struct {
	name       string
	auth       ppp.AuthMethod
	encryption ppp.Policy
	mode       ppp.MPPEMode
	pack       []ppp.Compression
	noVJ       bool
}

var profiles = []profile{
	{name: "pap", auth: ppp.PAP},
	{name: "pap plain IP", auth: ppp.PAP, noVJ: true},
	{name: "chap deflate", auth: ppp.CHAPMD5, pack: []ppp.Compression{ppp.Deflate}},
	{name: "chap bsd", auth: ppp.CHAPMD5, pack: []ppp.Compression{ppp.BSDCompress}},
	{name: "mschap mppc", auth: ppp.MSCHAP, pack: []ppp.Compression{ppp.MPPC}},
	{name: "mschap mppe stateful", auth: ppp.MSCHAP, encryption: ppp.EncryptionRequire, mode: ppp.StatefulOnly},
	{name: "mschapv2 mppe", auth: ppp.MSCHAPv2, encryption: ppp.EncryptionRequire},
	{name: "mschapv2 mppe mppc", auth: ppp.MSCHAPv2, encryption: ppp.EncryptionRequire, pack: []ppp.Compression{ppp.MPPC}},
}

func newCall(t *testing.T, p profile, o capture.Observer) *call {
	box := ppp.Config{Role: ppp.Answerer, Rand: seeded(1), Hostname: "mail.postern.lan",
		Auth: []ppp.AuthMethod{p.auth}, Encryption: p.encryption, MPPEMode: p.mode, Compression: p.pack, NoVJ: p.noVJ,
		LocalIP: boxIP, PeerIP: callerIP, DNS: [2]netip.Addr{boxIP, {}}}
	caller := ppp.Config{Role: ppp.Caller, Rand: seeded(2), Name: user, Password: password,
		Auth: box.Auth, Encryption: p.encryption, MPPEMode: p.mode, Compression: p.pack, NoVJ: p.noVJ}
	return &call{t: t, now: epoch, o: o, box: ppp.New(box, epoch), caller: ppp.New(caller, epoch)}
}

// talk lets both ends speak until neither has anything to say.
func (c *call) talk() {
	c.t.Helper()
	for range 1000 {
		c.drain(c.box)
		c.drain(c.caller)
		down, up := c.box.Output(nil), c.caller.Output(nil)
		if len(down)+len(up) == 0 {
			return
		}
		if len(down) > 0 {
			c.o.Sent(c.now, down)
		}
		c.now = c.now.Add(100 * time.Millisecond)
		c.box.Input(c.now, up)
		c.caller.Input(c.now, down)
		// In pieces, as a serial port gives them.
		for len(up) > 0 {
			n := min(len(up), 7)
			c.o.Received(c.now, up[:n])
			up = up[n:]
		}
	}
	c.t.Fatal("the two ends never stop talking")
}

func (c *call) drain(s *ppp.Session) {
	for {
		ev := s.NextEvent()
		switch ev.Kind {
		case ppp.NoEvent:
			return
		case ppp.EventAuth:
			s.Authenticate(c.now, ppp.Check(ev.Auth, password))
		case ppp.EventIPUp:
			c.ups++
		case ppp.EventEnded:
			c.ended++
		}
	}
}

// mail lets the caller look up a name and fetch a letter, and hang up.
func (c *call) mail() {
	c.t.Helper()
	c.talk()
	if c.ups != 2 {
		c.t.Fatalf("%d ends of 2 are up", c.ups)
	}
	for i, pkt := range letter() {
		from := c.caller
		if pkt.down {
			from = c.box
		}
		if !from.SendIP(c.now, pkt.b) {
			c.t.Fatalf("packet %d was not taken", i)
		}
		c.talk()
	}
	c.caller.Close(c.now, ppp.Reason{Side: ppp.Us, Code: ppp.CodeAdmin, Text: "mail is done"})
	c.talk()
	if c.ended == 0 {
		c.t.Fatal("the call does not end")
	}
}

type ipPacket struct {
	down bool // from the box
	b    []byte
}

// letter is a POP3 visit in short.
func letter() []ipPacket {
	query := &layers.DNS{ID: 7, RD: true, QDCount: 1,
		Questions: []layers.DNSQuestion{{Name: []byte("mail.postern.lan"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}}
	answer := *query
	answer.QR, answer.ANCount = true, 1
	answer.Answers = []layers.DNSResourceRecord{{Name: []byte("mail.postern.lan"), Type: layers.DNSTypeA, Class: layers.DNSClassIN, IP: boxIP.AsSlice()}}
	ping := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 1, Seq: 9}
	packets := []ipPacket{
		{false, ip(callerIP, boxIP, layers.IPProtocolUDP, udp(1030, 53), query)},
		{true, ip(boxIP, callerIP, layers.IPProtocolUDP, udp(53, 1030), &answer)},
		{false, ip(callerIP, boxIP, layers.IPProtocolICMPv4, ping, gopacket.Payload(mailText))},
	}
	up, down := uint32(1000), uint32(5000)
	add := func(fromBox bool, flags, data string) {
		t := &layers.TCP{Seq: up, Ack: down, Window: 8760, ACK: true, PSH: data != ""}
		src, dst := callerIP, boxIP
		t.SrcPort, t.DstPort = 1034, 110
		if fromBox {
			t.Seq, t.Ack, src, dst = down, up, boxIP, callerIP
			t.SrcPort, t.DstPort = 110, 1034
		}
		n := uint32(len(data))
		switch flags {
		case "SYN":
			t.SYN, t.ACK = true, fromBox
			t.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
			n++
		case "FIN":
			t.FIN = true
			n++
		}
		if fromBox {
			down += n
		} else {
			up += n
		}
		packets = append(packets, ipPacket{fromBox, ip(src, dst, layers.IPProtocolTCP, t, gopacket.Payload(data))})
	}
	add(false, "SYN", "")
	add(true, "SYN", "")
	add(false, "", "")
	add(true, "", "+OK Postern ready\r\n")
	add(false, "", "USER alice\r\n")
	add(true, "", "+OK\r\n")
	add(false, "", "PASS "+password+"\r\n")
	add(true, "", "+OK 1 message\r\n")
	add(false, "", "RETR 1\r\n")
	add(true, "", "+OK\r\nSubject: soup\r\n\r\n"+string(bytes.Repeat([]byte(mailText+"\r\n"), 20))+".\r\n")
	add(false, "", "QUIT\r\n")
	add(true, "FIN", "+OK bye\r\n")
	add(false, "FIN", "")
	return packets
}

func udp(from, to layers.UDPPort) *layers.UDP { return &layers.UDP{SrcPort: from, DstPort: to} }

// ip makes a whole packet, with checksums.
func ip(src, dst netip.Addr, proto layers.IPProtocol, inner ...gopacket.SerializableLayer) []byte {
	header := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(dst.AsSlice())}
	for _, l := range inner {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(header); err != nil {
				panic(err)
			}
		}
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append([]gopacket.SerializableLayer{header}, inner...)...); err != nil {
		panic(err)
	}
	return bytes.Clone(b.Bytes())
}

// onWire frames a packet with address, control and a protocol of two octets.
func onWire(proto uint16, info []byte) []byte {
	return hdlc.AppendFrame(nil, 0xffffffff, []byte{0xff, 0x03, byte(proto >> 8), byte(proto)}, info)
}

// record makes the profile's call with a Recorder and a Trace on it, and returns the
// capture and the lines.
func record(t *testing.T, p profile, cfg capture.Config) (pcapng []byte, lines string, rec *capture.Recorder) {
	t.Helper()
	rec = capture.NewRecorder(cfg)
	var trace, file bytes.Buffer
	o := capture.Tee(rec.Start(17, "line1", epoch), nil, capture.NewTrace(&trace, "line1"))
	newCall(t, p, o).mail()
	o.Close("the caller hung up")
	if err := rec.Write(&file, 17); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), trace.String(), rec
}
