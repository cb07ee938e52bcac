package capture

import (
	"fmt"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// ipDecoder puts IPv4 packets in words. Its layers are used again for each packet.
type ipDecoder struct {
	*ipLayers
	parser *gopacket.DecodingLayerParser
	dns    *gopacket.DecodingLayerParser
	found  []gopacket.LayerType
}

type ipLayers struct {
	ip   layers.IPv4
	tcp  layers.TCP
	udp  layers.UDP
	icmp layers.ICMPv4
	dns  layers.DNS
}

func newIPDecoder() ipDecoder {
	l := &ipLayers{}
	d := ipDecoder{ipLayers: l}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &l.ip, &l.tcp, &l.udp, &l.icmp)
	d.parser.IgnoreUnsupported = true
	d.dns = gopacket.NewDecodingLayerParser(layers.LayerTypeDNS, &l.dns)
	return d
}

// describe puts a packet in words, of which only headers and DNS may be there. size is its
// whole length in octets.
func (d *ipDecoder) describe(pkt []byte, size int) string {
	// The error only says that the rest is not there.
	_ = d.parser.DecodeLayers(pkt, &d.found)
	if len(d.found) == 0 {
		return fmt.Sprintf("IP malformed, %d octets", size)
	}
	// What is not there counts too, so lengths are taken from the headers.
	data := min(int(d.ip.Length), size) - int(d.ip.IHL)*4
	hosts := fmt.Sprintf("%v > %v", d.ip.SrcIP, d.ip.DstIP)
	if d.ip.FragOffset != 0 {
		return fmt.Sprintf("IP %s fragment at %d, %d octets", hosts, int(d.ip.FragOffset)*8, data)
	}
	switch d.found[len(d.found)-1] {
	case layers.LayerTypeTCP:
		return d.describeTCP(data)
	case layers.LayerTypeUDP:
		return d.describeUDP()
	case layers.LayerTypeICMPv4:
		return fmt.Sprintf("ICMP %s %v id %d seq %d", hosts, d.icmp.TypeCode, d.icmp.Id, d.icmp.Seq)
	}
	if d.ip.Flags&layers.IPv4MoreFragments != 0 {
		return fmt.Sprintf("IP %s first fragment, protocol %v, %d octets", hosts, d.ip.Protocol, data)
	}
	return fmt.Sprintf("IP %s protocol %v, %d octets", hosts, d.ip.Protocol, data)
}

func (d *ipDecoder) describeTCP(data int) string {
	t := &d.tcp
	var flags []string
	for _, f := range []struct {
		set  bool
		name string
	}{{t.SYN, "SYN"}, {t.FIN, "FIN"}, {t.RST, "RST"}, {t.PSH, "PSH"}, {t.ACK, "ACK"}, {t.URG, "URG"}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	s := fmt.Sprintf("TCP %d > %d [%s] seq %d", t.SrcPort, t.DstPort, strings.Join(flags, " "), t.Seq)
	if t.ACK {
		s += fmt.Sprintf(" ack %d", t.Ack)
	}
	s += fmt.Sprintf(" win %d", t.Window)
	for _, o := range t.Options {
		if o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2 {
			s += fmt.Sprintf(" mss %d", uint16(o.OptionData[0])<<8|uint16(o.OptionData[1]))
		}
	}
	return s + fmt.Sprintf(" len %d", max(data-int(t.DataOffset)*4, 0))
}

func (d *ipDecoder) describeUDP() string {
	u := &d.udp
	s := fmt.Sprintf("UDP %d > %d len %d", u.SrcPort, u.DstPort, max(int(u.Length)-8, 0))
	if u.SrcPort != portDNS && u.DstPort != portDNS {
		return s
	}
	if words, ok := d.describeDNS(u.Payload); ok {
		return words
	}
	return s + " malformed DNS"
}

// describeDNS says what was asked and how it was answered. Only the first question is
// decoded: pointers in a hostile packet's records could make hundreds of kilobytes of names
// each.
func (d *ipDecoder) describeDNS(b []byte) (string, bool) {
	if len(b) < 12 {
		return "", false
	}
	b = append([]byte(nil), b...)
	answers := int(b[6])<<8 | int(b[7])
	asked := b[4] != 0 || b[5] != 0
	clear(b[4:12])
	if asked {
		b[5] = 1
	}
	if err := d.dns.DecodeLayers(b, &d.found); err != nil {
		return "", false
	}
	q := "nothing"
	if len(d.ipLayers.dns.Questions) == 1 {
		first := d.ipLayers.dns.Questions[0]
		q = fmt.Sprintf("%v %s", first.Type, text(first.Name))
	}
	if !d.ipLayers.dns.QR {
		return fmt.Sprintf("DNS query id=%d %s", d.ipLayers.dns.ID, q), true
	}
	return fmt.Sprintf("DNS answer id=%d %s: %v, %d records", d.ipLayers.dns.ID, q, d.ipLayers.dns.ResponseCode, answers), true
}
