package capture_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"postern/dialup/capture"
	"postern/ppp/hdlc"
)

// A place is where a secret can stand in a frame.
type place struct {
	name  string
	proto uint16
	info  func(secret []byte) []byte
	lies  bool // the packet is malformed as it came, before anything was blanked
}

// control makes a control packet.
func control(code byte, data ...[]byte) []byte {
	d := slices.Concat(data...)
	return slices.Concat([]byte{code, 9, byte((len(d) + 4) >> 8), byte(len(d) + 4)}, d)
}

// counted puts a length octet in front.
func counted(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

// inTCP is a segment with the data, between these ports.
func inTCP(from, to layers.TCPPort) func([]byte) []byte {
	return func(data []byte) []byte {
		t := &layers.TCP{SrcPort: from, DstPort: to, Seq: 1, Ack: 1, ACK: true, PSH: true, Window: 8760}
		return ip(callerIP, boxIP, layers.IPProtocolTCP, t, gopacket.Payload(data))
	}
}

func inUDP(from, to layers.UDPPort) func([]byte) []byte {
	return func(data []byte) []byte {
		return ip(callerIP, boxIP, layers.IPProtocolUDP, udp(from, to), gopacket.Payload(data))
	}
}

func inIP(proto layers.IPProtocol, head ...byte) func([]byte) []byte {
	return func(data []byte) []byte {
		return ip(callerIP, boxIP, proto, gopacket.Payload(slices.Concat(head, data)))
	}
}

func inIPv6(next byte, head ...byte) func([]byte) []byte {
	return func(data []byte) []byte {
		p := make([]byte, 40)
		p[0], p[6], p[7] = 0x60, next, 64
		p[8], p[24], p[23], p[39] = 0xfe, 0xfe, 1, 2
		p[9], p[25] = 0x80, 0x80
		binary.BigEndian.PutUint16(p[4:], uint16(len(head)+len(data)))
		return slices.Concat(p, head, data)
	}
}

func after(head ...byte) func([]byte) []byte {
	return func(s []byte) []byte { return slices.Concat(head, s) }
}

func inControl(code byte, head ...byte) func([]byte) []byte {
	return func(s []byte) []byte { return control(code, head, s) }
}

// value is the secret in the middle of a response value of n octets.
func value(n int, s []byte) []byte {
	v := make([]byte, max(n, len(s)))
	copy(v[(len(v)-len(s))/2:], s)
	return v
}

var places = []place{
	{name: "PAP password", proto: 0xc023, info: func(s []byte) []byte { return control(1, counted([]byte(user)), counted(s)) }},
	{name: "PAP password behind a wrong length", lies: true, proto: 0xc023, info: func(s []byte) []byte { return control(1, []byte{200}, s) }},
	{name: "PAP password longer than the packet", lies: true, proto: 0xc023, info: func(s []byte) []byte { return control(1, []byte{1, 'a', 250}, s) }},
	{name: "PAP password behind the packet's length", lies: true, proto: 0xc023, info: func(s []byte) []byte { return append([]byte{1, 9, 0, 6, 0, 0}, s...) }},
	{name: "CHAP-MD5 response", proto: 0xc223, info: func(s []byte) []byte { return control(2, counted(value(16, s)), []byte(user)) }},
	{name: "MS-CHAP response", proto: 0xc223, info: func(s []byte) []byte { return control(2, counted(value(49, s)), []byte(user)) }},
	{name: "CHAP response longer than the packet", lies: true, proto: 0xc223, info: func(s []byte) []byte { return control(2, []byte{250}, s) }},
	{name: "MS-CHAPv2 proof", proto: 0xc223, info: func(s []byte) []byte {
		return control(3, []byte("S="+strings.ToUpper(hex.EncodeToString(value(20, s)))[:40]+" M=welcome"))
	}},
	{name: "MS-CHAP change password 1", proto: 0xc223, info: func(s []byte) []byte { return control(5, value(68, s)) }},
	{name: "MS-CHAP change password 2", proto: 0xc223, info: func(s []byte) []byte { return control(6, value(1070, s)) }},
	{name: "MS-CHAPv2 change password", proto: 0xc223, info: func(s []byte) []byte { return control(7, value(582, s)) }},
	{name: "EAP-MD5 response", proto: 0xc227, info: func(s []byte) []byte { return control(2, []byte{4}, counted(value(16, s))) }},
	{name: "EAP-TLS response", proto: 0xc227, info: func(s []byte) []byte { return control(2, []byte{13, 0}, s) }},
	{name: "EAP-MSCHAPv2 request", proto: 0xc227, info: func(s []byte) []byte { return control(1, []byte{26, 3, 9, 0, 60}, s) }},
	{name: "expanded EAP", proto: 0xc227, info: func(s []byte) []byte { return control(2, []byte{254, 0, 0, 1, 0, 0, 0, 1}, s) }},
	{name: "SPAP", proto: 0xc027, info: inControl(1)},
	{name: "unknown authentication", proto: 0xc281, info: inControl(1)},
	{name: "mail in a Protocol-Reject", proto: 0xc021, info: func(s []byte) []byte { return control(8, []byte{0, 0x21}, inTCP(1034, 110)(s)) }},
	{name: "packet in a Code-Reject", proto: 0xc021, info: func(s []byte) []byte { return control(7, control(20, s)) }},
	{name: "data in an LCP Echo-Request", proto: 0xc021, info: inControl(9, 1, 2, 3, 4)},
	{name: "LCP code unknown", proto: 0xc021, info: inControl(77)},
	{name: "LCP padding", proto: 0xc021, info: after(9, 9, 0, 8, 1, 2, 3, 4)},
	{name: "LCP length that lies", lies: true, proto: 0xc021, info: after(1, 9, 1, 0)},
	{name: "packet in an IPCP Code-Reject", proto: 0x8021, info: func(s []byte) []byte { return control(7, control(20, s)) }},
	{name: "data in a CCP Reset-Request", proto: 0x80fd, info: inControl(14)},
	{name: "CCP code unknown", proto: 0x80fd, info: inControl(99)},
	{name: "POP3", proto: 0x21, info: inTCP(1034, 110)},
	{name: "POP3 down", proto: 0x21, info: inTCP(110, 1034)},
	{name: "SMTP", proto: 0x21, info: inTCP(1034, 25)},
	{name: "IMAP", proto: 0x21, info: inTCP(143, 1034)},
	{name: "HTTP", proto: 0x21, info: inTCP(1034, 80)},
	{name: "HTTPS", proto: 0x21, info: inTCP(1034, 443)},
	{name: "NetBIOS session", proto: 0x21, info: inTCP(1034, 139)},
	{name: "PPTP", proto: 0x21, info: inTCP(1034, 1723)},
	{name: "DNS over TCP", proto: 0x21, info: inTCP(1034, 53)},
	{name: "unknown TCP", proto: 0x21, info: inTCP(1034, 40000)},
	{name: "NetBIOS name", proto: 0x21, info: inUDP(137, 137)},
	{name: "DHCP", proto: 0x21, info: inUDP(68, 67)},
	{name: "SNMP", proto: 0x21, info: inUDP(1034, 161)},
	{name: "NTP", proto: 0x21, info: inUDP(123, 123)},
	{name: "Kerberos", proto: 0x21, info: inUDP(1034, 88)},
	{name: "RADIUS", proto: 0x21, info: inUDP(1034, 1812)},
	{name: "L2TP", proto: 0x21, info: inUDP(1701, 1701)},
	{name: "unknown UDP", proto: 0x21, info: inUDP(1034, 40000)},
	{name: "behind UDP's length", lies: true, proto: 0x21, info: inIP(layers.IPProtocolUDP, 4, 10, 0, 53, 0, 8, 0, 0)},
	{name: "IP padding", lies: true, proto: 0x21, info: func(s []byte) []byte { return append(inTCP(1034, 110)(nil), s...) }},
	{name: "IP fragment", proto: 0x21, info: func(s []byte) []byte {
		p := inTCP(1034, 110)(append(make([]byte, 24), s...))
		p[7] = 3 // offset 24
		return p
	}},
	{name: "TCP with a wrong header length", lies: true, proto: 0x21, info: func(s []byte) []byte {
		p := inTCP(1034, 110)(s)
		p[20+12] = 0xf0
		return p
	}},
	{name: "ping", proto: 0x21, info: inIP(layers.IPProtocolICMPv4, 8, 0, 0, 0, 0, 1, 0, 2)},
	{name: "ICMP error", proto: 0x21, info: func(s []byte) []byte {
		return inIP(layers.IPProtocolICMPv4, 3, 3, 0, 0, 0, 0, 0, 0)(inTCP(110, 1034)(s))
	}},
	{name: "GRE", proto: 0x21, info: inIP(layers.IPProtocolGRE, 0x30, 1, 0x88, 0x0b, 0, 20, 0, 1, 0, 0, 0, 1)},
	{name: "IGMP", proto: 0x21, info: inIP(layers.IPProtocolIGMP)},
	{name: "unknown IP", proto: 0x21, info: inIP(99)},
	{name: "no IP", lies: true, proto: 0x21, info: after()},
	{name: "IPv6 TCP", proto: 0x57, info: inIPv6(6, 4, 10, 0, 110, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 10, 0, 0, 0, 0, 0)},
	{name: "IPv6 ping", proto: 0x57, info: inIPv6(58, 128, 0, 0, 0, 0, 1, 0, 2)},
	{name: "IPv6 hop by hop", proto: 0x57, info: inIPv6(0)},
	{name: "VJ uncompressed", proto: 0x2f, info: func(s []byte) []byte {
		p := inTCP(1034, 110)(s)
		p[9] = 3
		return p
	}},
	{name: "VJ compressed", proto: 0x2d, info: after(0x7c, 3, 0xab, 0xcd, 0, 2, 1, 1, 7)},
	{name: "VJ compressed, special", proto: 0x2d, info: after(0x0f, 0xab, 0xcd)},
	{name: "VJ compressed, plain", proto: 0x2d, info: after(0x0c, 0xab, 0xcd, 5, 0, 1, 0)},
	{name: "MPPE", proto: 0xfd, info: after(0x90, 7)},
	{name: "MPPC", proto: 0xfd, info: after(0x20, 7)},
	{name: "individual link compression", proto: 0xfb, info: after(0, 7)},
	{name: "ECP", proto: 0x53, info: after(0, 7)},
	{name: "multilink", proto: 0x3d, info: after(0xc0, 0, 0, 1)},
	{name: "IPX", proto: 0x2b, info: after(0xff, 0xff)},
	{name: "NetBEUI", proto: 0x3f, info: after()},
	{name: "AppleTalk", proto: 0x29, info: after()},
	{name: "unknown network protocol", proto: 0x4001, info: after()},
	{name: "unknown control protocol's code", proto: 0x8fff, info: inControl(33)},
}

// frames gives the place's frame in each form that a header may have.
func (p place) frames(secret []byte) (all [][]byte) {
	short := []byte{byte(p.proto >> 8), byte(p.proto)}
	headers := [][]byte{{0xff, 0x03, short[0], short[1]}, short}
	if short[0] == 0 {
		headers = append(headers, []byte{0xff, 0x03, short[1]}, short[1:])
	}
	info := p.info(secret)
	for _, h := range headers {
		all = append(all, hdlc.AppendFrame(nil, 0xffffffff, h, info))
	}
	return all
}

// shows reports whether b holds eight octets in a row of the secret, as they are or in
// hexadecimal.
func shows(b, secret []byte) bool {
	for i := 0; i+8 <= len(secret); i++ {
		part := secret[i : i+8]
		digits := []byte(hex.EncodeToString(part))
		if bytes.Contains(b, part) || bytes.Contains(b, digits) || bytes.Contains(b, bytes.ToUpper(digits)) {
			return true
		}
	}
	return false
}

// random is a secret that stands nowhere by chance.
func random(r *rand.ChaCha8) []byte {
	s := make([]byte, 16+r.Uint64()%4)
	r.Read(s)
	return s
}

func TestNoSecretIsRecordedOrTraced(t *testing.T) {
	r := seeded(7)
	for range 20 {
		for _, p := range places {
			secret := random(r)
			for form, frame := range p.frames(secret) {
				rec := capture.NewRecorder(capture.Config{})
				open := capture.NewRecorder(capture.Config{Clear: true})
				var trace, file, whole bytes.Buffer
				o := capture.Tee(rec.Start(1, "line1", epoch), open.Start(1, "line1", epoch), capture.NewTrace(&trace, ""))
				o.Received(epoch, frame)
				o.Sent(epoch, frame)
				o.Close("done")
				if err := rec.Write(&file, 1); err != nil {
					t.Fatal(err)
				}
				if err := open.Write(&whole, 1); err != nil {
					t.Fatal(err)
				}
				if rec.Calls()[0].Frames != 2 || strings.Count(trace.String(), "\n") != 3 {
					t.Fatalf("%s, form %d: not recorded: %v\n%s", p.name, form, rec.Calls(), &trace)
				}
				if !shows(whole.Bytes(), secret) {
					t.Fatalf("%s, form %d: the test's secret is not in the frame", p.name, form)
				}
				if shows(file.Bytes(), secret) {
					t.Errorf("%s, form %d: the secret %x is in the capture", p.name, form, secret)
				}
				if shows(trace.Bytes(), secret) {
					t.Errorf("%s, form %d: the secret %x is in the trace:\n%s", p.name, form, secret, &trace)
				}
			}
		}
	}
}

func TestBlankingKeepsHeadersAndLengths(t *testing.T) {
	secret := []byte("0123456789abcdef")
	for _, tt := range []struct {
		place string
		kept  string // with the direction and a protocol of one octet, if it has one
	}{
		{"PAP password", "00 c023 0109001b 05616c696365 10 00000000000000000000000000000000"},
		{"CHAP-MD5 response", "00 c223 0209001a 10 00000000000000000000000000000000 616c696365"},
		{"MPPE", "00 fd 9007"},
		{"VJ compressed", "00 2d 7c 03 abcd 000201 01 07"},
		{"mail in a Protocol-Reject", "00 c021 0809003e 0021"},
		{"data in an LCP Echo-Request", "00 c021 09090018 01020304"},
	} {
		i := slices.IndexFunc(places, func(p place) bool { return p.name == tt.place })
		forms := places[i].frames(secret)
		rec := capture.NewRecorder(capture.Config{})
		rec.Start(1, "line1", epoch).Received(epoch, forms[len(forms)-1])
		packets := readPackets(t, rec, 1)
		want, err := hex.DecodeString(strings.ReplaceAll(tt.kept, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if len(packets) != 1 || !bytes.Equal(packets[0].data, want) {
			t.Fatalf("%s: kept %v, want %v", tt.place, packets, want)
		}
		header := 1
		if places[i].proto > 0xff {
			header = 2
		}
		if size := 1 + header + len(places[i].info(secret)); packets[0].size != size {
			t.Errorf("%s: the length in the capture is %d, on the wire it was %d", tt.place, packets[0].size, size)
		}
	}
}
