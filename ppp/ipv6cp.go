package ppp

import (
	"encoding/binary"
	"net/netip"
)

// ipv6Identifier is IPV6CP's only Configuration Option that is taken (RFC 5072 section 4.1); its
// compression (2) is rejected.
const ipv6Identifier byte = 1

// minIPv6MTU is what a link must carry for IPv6 (RFC 8200 section 5).
const minIPv6MTU = 1280

// ipv6Layer is the IPv6 Control Protocol, RFC 5072: each end gets a link-local address, fe80::/64
// with its interface identifier behind it. A call lives without it.
type ipv6Layer struct {
	s           *Session
	local, peer uint64 // interface identifiers; zero: none
	refused     bool   // the peer does not know the option
	told        bool   // EventIPv6Up is out
}

// identifier draws an interface identifier that looks like no other end's hardware address.
func (l *ipv6Layer) identifier() uint64 {
	var b [8]byte
	for {
		if !l.s.random(b[:]) {
			return 1 // the session is at its end
		}
		b[0] &^= 2 // the universal/local bit: chosen here, RFC 4291 section 2.5.1
		if v := binary.BigEndian.Uint64(b[:]); v != 0 && v != l.peer && v != l.local {
			return v
		}
	}
}

func (l *ipv6Layer) request() []option {
	if l.refused {
		return nil
	}
	return []option{identifierOption(l.local)}
}

func identifierOption(v uint64) option {
	return option{ipv6Identifier, binary.BigEndian.AppendUint64(nil, v)}
}

func (l *ipv6Layer) judge(opts []option) (reject, nak []option) {
	l.peer = 0
	for _, o := range opts {
		switch {
		case o.kind != ipv6Identifier:
			reject = append(reject, o)
		case len(o.data) != 8:
			nak = append(nak, identifierOption(l.identifier()))
		default:
			// Zero asks for one, and two equal ones must not be (section 4.1).
			if l.peer = binary.BigEndian.Uint64(o.data); l.peer == 0 || l.peer == l.local {
				nak = append(nak, identifierOption(l.identifier()))
			}
		}
	}
	return reject, nak
}

func (l *ipv6Layer) naked(opts []option) {
	if o, ok := find(opts, ipv6Identifier); ok && len(o.data) == 8 {
		// The peer's suggestion, unless it is none.
		if v := binary.BigEndian.Uint64(o.data); v != 0 && v != l.peer {
			l.local = v
			return
		}
	}
	l.local = l.identifier()
}

func (l *ipv6Layer) rejected([]option)   { l.refused = true }
func (l *ipv6Layer) control(packet) bool { return false }
func (l *ipv6Layer) terminated([]byte)   {}
func (l *ipv6Layer) finished()           {}

func (l *ipv6Layer) up() {
	if l.refused || l.peer == 0 {
		// Without identifiers there are no addresses to speak from.
		l.s.ipv6cp.close()
		return
	}
	l.told = true
	l.s.emit(Event{Kind: EventIPv6Up, Local: linkLocal(l.local), Peer: linkLocal(l.peer), MTU: l.s.mtu()})
}

func (l *ipv6Layer) down() {
	if l.told && l.s.phase < phaseTerminate {
		l.s.emit(Event{Kind: EventIPv6Down})
	}
	l.told = false
}

func linkLocal(identifier uint64) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80}
	binary.BigEndian.PutUint64(a[8:], identifier)
	return netip.AddrFrom16(a)
}

// prepareIPv6 gets IPV6CP ready to start, if it is configured and the link can carry IPv6. If not,
// the peer's requests are Protocol-Rejected.
func (s *Session) prepareIPv6() {
	s.net6 = &ipv6Layer{s: s}
	s.ipv6cp = s.automaton(protoIPv6CP, s.net6)
	if s.cfg.IPv6 && s.link.mtu()-mppeOverhead >= minIPv6MTU {
		s.net6.local = s.net6.identifier()
		s.ipv6cp.open()
	}
}

// startIPv6 begins IPV6CP, at once or when encryption is up.
func (s *Session) startIPv6() {
	if s.ipv6cp.state == starting {
		s.ipv6cp.on(evUp)
	}
}

// carries reports whether IP packets of the version that a packet's first octet tells may pass.
func (s *Session) carries(version byte) bool {
	if version>>4 == 6 {
		return s.ipv6cp.state == opened
	}
	return s.ipcp.state == opened
}
