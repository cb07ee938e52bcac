package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// CCP's options, RFC 1962 section 4 and those who registered them.
const (
	ccpMPPE       = 18 // RFC 3078 and RFC 2118
	ccpBSD        = 21 // RFC 1977
	ccpOldDeflate = 24 // pppd's before RFC 1979 had its number
	ccpDeflate    = 26 // RFC 1979

	// The bits of MPPE's option, RFC 3078 section 2.1.
	mppeStrengths = 0xe0 // in the last octet: 40, 56 and 128 bits
)

const maxOptions = 24 // shown of one packet

func protocolName(proto uint16) string {
	switch proto {
	case 0x0029, 0x8029:
		return "AppleTalk" + ncp(proto)
	case 0x002b, 0x802b:
		return "IPX" + ncp(proto)
	case 0x003d:
		return "Multilink"
	case 0x003f, 0x803f:
		return "NetBEUI" + ncp(proto)
	case 0x0053, 0x8053:
		return "ECP"
	case protoIPv6:
		return "IPv6"
	case 0x80fb:
		return "CCP of the link"
	case protoIPCP:
		return "IPCP"
	case protoIPV6CP:
		return "IPV6CP"
	case protoCCP:
		return "CCP"
	case protoLCP:
		return "LCP"
	case protoPAP:
		return "PAP"
	case protoLQR:
		return "LQR"
	case 0xc027:
		return "SPAP"
	case protoCBCP:
		return "CBCP"
	case protoCHAP:
		return "CHAP"
	case protoEAP:
		return "EAP"
	}
	return fmt.Sprintf("protocol %04x", proto)
}

func ncp(proto uint16) string {
	if proto >= 0x8000 {
		return " control"
	}
	return ""
}

func codeName(proto uint16, code byte) string {
	var names []string
	switch {
	case proto == protoPAP:
		names = []string{"", "Request", "Ack", "Nak"}
	case proto == protoCHAP:
		names = []string{"", "Challenge", "Response", "Success", "Failure", "ChangePassword1", "ChangePassword2", "ChangePassword"}
	case proto == protoEAP:
		names = []string{"", "Request", "Response", "Success", "Failure"}
	case proto == protoCBCP:
		names = []string{"", "Request", "Response", "Ack"}
	case proto < 0xc000 || proto == protoLCP:
		names = []string{"", "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej",
			"ProtRej", "EchoReq", "EchoRep", "DiscReq", "Ident", "TimeRem", "ResetReq", "ResetAck"}
	}
	if int(code) < len(names) && names[code] != "" {
		return names[code]
	}
	return fmt.Sprintf("code %d", code)
}

// detail is the rest of a control packet's line, behind a space if there is any.
func detail(proto uint16, p packet) string {
	switch proto {
	case protoPAP, protoCHAP, protoEAP:
		return authDetail(proto, p)
	case protoCBCP:
		return fmt.Sprintf(" %d octets", p.length-packetHeader)
	}
	if proto >= 0xc000 && proto != protoLCP {
		return ""
	}
	d := p.data
	switch p.code {
	case configureRequest, configureAck, configureNak, configureReject:
		return optionWords(proto, d)
	case terminateRequest, terminateAck:
		return farewell(d)
	case codeReject:
		if len(d) > 0 {
			return " of " + codeName(proto, d[0])
		}
	case protocolReject:
		if proto == protoLCP && len(d) >= 2 {
			return " of " + protocolName(binary.BigEndian.Uint16(d))
		}
	case identification:
		if proto == protoLCP && len(d) >= 4 {
			return " " + text(d[4:])
		}
	case timeRemaining:
		if proto == protoLCP && len(d) >= 8 {
			return fmt.Sprintf(" %d s", binary.BigEndian.Uint32(d[4:]))
		}
	}
	return ""
}

func authDetail(proto uint16, p packet) string {
	if who := name(proto, p); len(who) > 0 {
		return " from " + text(who)
	}
	d := p.data
	switch {
	case proto == protoPAP && (p.code == papAck || p.code == papNak):
		if len(d) > 1 {
			return " " + text(d[1:min(len(d), 1+int(d[0]))])
		}
	case proto == protoCHAP && (p.code == chapSuccess || p.code == chapFailure):
		if words := chapMessage(d); words != "" {
			return " " + words
		}
	case proto == protoEAP && (p.code == eapRequest || p.code == eapResponse):
		if len(d) > 0 {
			return fmt.Sprintf(" type %d", d[0])
		}
	}
	return ""
}

// chapMessage shows a Success or Failure without the parts that are numbers for machines: the
// proof of RFC 2759 section 5 and the new challenge of section 6.
func chapMessage(message []byte) string {
	var words []string
	for w := range strings.FieldsSeq(plain(string(message))) {
		if !strings.HasPrefix(w, "S=") && !strings.HasPrefix(w, "C=") {
			words = append(words, w)
		}
	}
	return clip(strings.Join(words, " "), 2*maxText)
}

// farewell is the data of a Terminate-Request: Windows puts 00 3c cd 74 and its error behind
// its magic number, others words.
func farewell(d []byte) string {
	if len(d) >= 12 && binary.BigEndian.Uint32(d[4:]) == 0x003ccd74 {
		return fmt.Sprintf(" Windows error %d", binary.BigEndian.Uint32(d[8:]))
	}
	if len(d) > 0 {
		return " " + text(d)
	}
	return ""
}

// optionWords puts Configuration Options in words.
func optionWords(proto uint16, b []byte) string {
	var s strings.Builder
	n, used := 0, 0
	for kind, value := range options(b) {
		used += 2 + len(value)
		if n++; n > maxOptions {
			continue
		}
		words := ""
		switch proto {
		case protoLCP:
			words = lcpOption(kind, value)
		case protoIPCP:
			words = ipcpOption(kind, value)
		case protoCCP:
			words = ccpOption(kind, value)
		}
		if words == "" {
			words = fmt.Sprintf("option %d", kind)
			if len(value) > 0 {
				words += fmt.Sprintf(" %x", value[:min(len(value), 16)])
			}
		}
		s.WriteString(" " + words)
	}
	if n > maxOptions {
		fmt.Fprintf(&s, " and %d more", n-maxOptions)
	}
	if used < len(b) {
		s.WriteString(" and options of wrong length")
	}
	return s.String()
}

// lcpOption returns "" for an option whose form it does not know.
func lcpOption(kind byte, v []byte) string {
	switch {
	case kind == lcpMRU && len(v) == 2:
		return fmt.Sprintf("mru %d", binary.BigEndian.Uint16(v))
	case kind == lcpACCM && len(v) == 4:
		return fmt.Sprintf("asyncmap %x", binary.BigEndian.Uint32(v))
	case kind == lcpAuth && len(v) >= 2:
		return "auth " + authName(v)
	case kind == lcpQuality && len(v) >= 2:
		return "quality " + protocolName(binary.BigEndian.Uint16(v))
	case kind == lcpMagic && len(v) == 4:
		return fmt.Sprintf("magic %08x", binary.BigEndian.Uint32(v))
	case kind == lcpPFC && len(v) == 0:
		return "pcomp"
	case kind == lcpACFC && len(v) == 0:
		return "accomp"
	case kind == lcpCallback && len(v) == 1 && v[0] == 6:
		return "callback CBCP"
	case kind == lcpCallback && len(v) >= 1:
		return fmt.Sprintf("callback %d", v[0])
	case kind == lcpMRRU && len(v) == 2:
		return fmt.Sprintf("mrru %d", binary.BigEndian.Uint16(v))
	case kind == lcpSSN && len(v) == 0:
		return "ssnhf"
	case kind == lcpEndpnt && len(v) >= 1:
		return fmt.Sprintf("endpoint class %d %x", v[0], v[1:min(len(v), 21)])
	}
	return ""
}

func authName(v []byte) string {
	switch proto := binary.BigEndian.Uint16(v); {
	case proto != protoCHAP || len(v) != 3:
		return protocolName(proto)
	case v[2] == 5:
		return "CHAP-MD5"
	case v[2] == 0x80:
		return "MS-CHAP"
	case v[2] == 0x81:
		return "MS-CHAPv2"
	default:
		return fmt.Sprintf("CHAP algorithm %d", v[2])
	}
}

func ipcpOption(kind byte, v []byte) string {
	if kind == 2 && len(v) == 4 && binary.BigEndian.Uint16(v) == protoVJ {
		s := fmt.Sprintf("VJ slots %d", int(v[2])+1)
		if v[3] != 0 {
			s += " with slot compression"
		}
		return s
	}
	names := map[byte]string{3: "addr", 129: "dns", 130: "nbns", 131: "dns2", 132: "nbns2"}
	if a, ok := netip.AddrFromSlice(v); ok && a.Is4() && names[kind] != "" {
		return names[kind] + " " + a.String()
	}
	return ""
}

func ccpOption(kind byte, v []byte) string {
	switch {
	case kind == ccpMPPE && len(v) == 4:
		return mppeWords(binary.BigEndian.Uint32(v))
	case kind == ccpBSD && len(v) == 1:
		return fmt.Sprintf("BSD %d bits", v[0]&0x1f)
	case (kind == ccpDeflate || kind == ccpOldDeflate) && len(v) == 2:
		return fmt.Sprintf("Deflate window %d", 1<<(8+v[0]>>4))
	}
	return ""
}

// mppeWords puts the bits of RFC 3078 section 2.1 and RFC 2118 section 2 in words.
func mppeWords(bits uint32) string {
	words := []string{"MPPE"}
	if bits&mppeStrengths == 0 {
		words = nil
	}
	for _, b := range []struct {
		bit  uint32
		name string
	}{{0x40, "128"}, {0x80, "56"}, {0x20, "40"}, {0x01000000, "stateless"}, {0x01, "MPPC"}, {0x10, "obsolete"}} {
		if bits&b.bit != 0 {
			words = append(words, b.name)
		}
	}
	if len(words) == 0 {
		return "MPPE none"
	}
	return strings.Join(words, " ")
}

// text is a text that a peer chose, bounded and safe on a terminal.
func text(b []byte) string {
	if len(b) > maxText {
		return plain(clip(string(b), maxText)) + "..."
	}
	return plain(string(b))
}

// plain takes out what a terminal would obey or could not show.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff {
			return '?'
		}
		return r
	}, s)
}

// clip cuts s to at most n octets, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
