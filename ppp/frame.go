package ppp

import (
	"encoding/binary"
	"time"

	"postern/ppp/hdlc"
	"postern/ppp/mppe"
	"postern/ppp/vj"
)

// allControls is the Async-Control-Character-Map before LCP has agreed on one
// (RFC 1662 section 7.1).
const allControls uint32 = 0xffffffff

// The first two octets of a frame, unless compressed away (RFC 1662 section 3.1).
const (
	allStations = 0xff
	unnumbered  = 0x03
)

// frame takes one good frame.
func (s *Session) frame(f []byte) {
	if len(f) >= 2 && f[0] == allStations && f[1] == unnumbered {
		f = f[2:]
	}
	proto, info, ok := protocol(f)
	if !ok {
		s.counts.Ignored++
		return
	}
	if proto == protoLCP {
		if p, err := parsePacket(info); err != nil || s.link.ours(p) {
			s.counts.Ignored++
			return
		}
		s.alive()
		s.lcp.input(info)
		return
	}
	s.alive()
	// Only LCP is heard before it is open, and only it and the authentication before that is
	// done (RFC 1661 sections 3.4 and 3.5).
	switch {
	case s.phase < phaseAuthenticate || s.phase > phaseNetwork:
		s.counts.Ignored++
	case proto == protoLQR && s.quality.on(): // which RFC 1661 section 3.5 lets in from here on
		s.quality.input(info)
	case s.auth != nil && proto == s.auth.protocol():
		s.auth.input(info)
	case s.callback != nil && proto == protoCBCP:
		s.callback.input(info)
	case proto == protoPAP || proto == protoCHAP || s.phase != phaseNetwork:
		s.counts.Ignored++
	default:
		s.network(proto, info)
	}
}

// network takes a packet of the network phase.
func (s *Session) network(proto uint16, info []byte) {
	if s.crypt.rx != nil && proto != protoCompressed {
		s.crypt.rx.native(proto, info)
	}
	switch proto {
	case protoIP, protoIPv6:
		if proto == protoIPv6 && s.ipv6cp.state == initial {
			s.rejectProtocol(proto, info)
			return
		}
		s.clear(proto, info)
	case protoVJ, protoVJWhole:
		if s.ipcp.state == opened && s.net.rx == nil {
			s.rejectProtocol(proto, info)
			return
		}
		s.clear(proto, info)
	case protoCompressed:
		// Never Protocol-Reject this: a peer takes it for the end of encryption.
		s.encrypted(info)
	case protoCCP:
		if s.ccp.state == initial {
			s.rejectProtocol(proto, info)
			return
		}
		s.ccp.input(info)
	case protoIPCP:
		if s.ipcp.state == starting {
			// It waits for encryption. The peer would ask again, but only in 3 s.
			s.heldIPCP = append(s.heldIPCP[:0], info...)
			return
		}
		s.ipcp.input(info)
	case protoIPv6CP:
		if s.ipv6cp.state == initial {
			s.rejectProtocol(proto, info)
			return
		}
		s.ipv6cp.input(info)
	default:
		// At once: Windows 95 waits for NetBEUI and IPX to answer (Q130079).
		s.rejectProtocol(proto, info)
	}
}

// protocol takes the protocol field off a frame; compressed or not, since a peer may do
// either once PFC is agreed on and it cannot be mistaken (RFC 1661 section 6.5).
func protocol(f []byte) (proto uint16, info []byte, ok bool) {
	switch {
	case len(f) >= 1 && f[0]&1 == 1:
		return uint16(f[0]), f[1:], true
	case len(f) >= 2 && f[1]&1 == 1:
		return binary.BigEndian.Uint16(f), f[2:], true
	}
	return 0, nil, false
}

// clear takes an IP packet that came in clear.
func (s *Session) clear(proto uint16, pkt []byte) {
	if s.crypt.mustEncrypt() {
		// Windows sends a few before CCP is open: no reason to hang up.
		s.counts.Unencrypted++
		return
	}
	n := len(s.rx)
	s.rx = append(s.rx, pkt...)
	s.deliver(proto, s.rx[n:])
}

func (s *Session) encrypted(info []byte) {
	if s.crypt.rx == nil {
		s.counts.Undecrypted++
		return
	}
	n := len(s.rx)
	var result mppe.Result
	s.rx, result = s.crypt.rx.open(s.rx, info)
	if result != mppe.Opened {
		s.counts.Undecrypted++
		s.net.lost()
		s.crypt.lost(result)
		return
	}
	s.crypt.found()
	proto, pkt, ok := protocol(s.rx[n:])
	if !ok || proto != protoIP && proto != protoIPv6 && proto != protoVJ && proto != protoVJWhole {
		s.counts.Ignored++
		return
	}
	s.deliver(proto, pkt)
}

// deliver hands an IP packet, which lies at the end of s.rx, to the owner.
func (s *Session) deliver(proto uint16, pkt []byte) {
	up := s.ipcp.state == opened
	if proto == protoIPv6 {
		up = s.ipv6cp.state == opened
	}
	if !up || len(pkt) == 0 {
		s.counts.Ignored++
		return
	}
	if s.net.rx != nil && proto != protoIP && proto != protoIPv6 {
		n := len(s.rx)
		var err error
		if s.rx, err = s.net.rx.Append(s.rx, vj.Kind(proto), pkt); err != nil {
			s.counts.Ignored++
			return
		}
		pkt = s.rx[n:]
	}
	s.emit(Event{Kind: EventPacket, Packet: pkt[:len(pkt):len(pkt)]})
}

// SendIP puts one IP packet into the output, encrypted if that is agreed on. It returns
// false if the link may not carry it: IP is not up, encryption is required and not
// up, the packet is longer than the peer takes, or too much waits for the line.
func (s *Session) SendIP(now time.Time, pkt []byte) bool {
	s.now = now
	if s.phase != phaseNetwork || len(pkt) == 0 || !s.carries(pkt[0]) || len(s.out) > maxOut || len(pkt) > s.link.mtu() {
		return false
	}
	tx := s.crypt.tx
	if s.crypt.mustEncrypt() && !s.crypt.encrypts() {
		return false
	}
	proto := protoIP
	s.scratch = append(s.scratch[:0], 0, 0)
	if pkt[0]>>4 == 6 {
		proto = protoIPv6
		s.scratch = append(s.scratch, pkt...)
	} else if s.net.tx != nil {
		var kind vj.Kind
		s.scratch, kind = s.net.tx.Append(s.scratch, pkt)
		proto = uint16(kind)
	} else {
		s.scratch = append(s.scratch, pkt...)
	}
	if tx != nil {
		var ok bool
		binary.BigEndian.PutUint16(s.scratch, proto)
		if s.sealed, ok = tx.seal(s.sealed[:0], s.scratch); ok {
			s.transmit(protoCompressed, s.sealed)
			return true
		}
	}
	s.transmit(proto, s.scratch[2:])
	return true
}

// transmit frames what is not LCP, as the peer asked in its LCP options.
func (s *Session) transmit(proto uint16, info []byte) {
	h := s.headerFor(proto)
	s.quality.out.count(len(h) + len(info))
	s.out = hdlc.AppendFrame(s.out, s.link.peer.accm, h, info)
}

// headerFor is what goes before the information in a frame.
func (s *Session) headerFor(proto uint16) []byte {
	h := s.header[:0]
	if !s.link.peer.acfc {
		h = append(h, allStations, unnumbered)
	}
	if proto > 0xff || !s.link.peer.pfc {
		h = append(h, byte(proto>>8))
	}
	return append(h, byte(proto))
}

// send sends a control packet.
func (s *Session) send(proto uint16, p packet) {
	if len(s.out) > maxReplies {
		s.counts.Overflow++
		return
	}
	s.scratch = p.append(s.scratch[:0])
	if proto == protoLCP {
		// Always in the form that any peer reads, whatever it thinks has been
		// agreed on (RFC 1662 section 7.1, RFC 1661 section 6.5).
		h := append(s.header[:0], allStations, unnumbered, byte(proto>>8), byte(proto&0xff))
		s.quality.out.count(len(h) + len(s.scratch))
		s.out = hdlc.AppendFrame(s.out, allControls, h, s.scratch)
		return
	}
	s.transmit(proto, s.scratch)
}

// rejectProtocol sends Protocol-Reject (RFC 1661 section 5.7).
func (s *Session) rejectProtocol(proto uint16, info []byte) {
	s.counts.Ignored++
	s.rejectID++
	data := binary.BigEndian.AppendUint16(nil, proto)
	s.send(protoLCP, packet{codeProtocolReject, s.rejectID, append(data, clip(info, maxQuoted)...)})
}
