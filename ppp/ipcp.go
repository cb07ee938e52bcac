package ppp

import (
	"fmt"
	"net/netip"
)

// IPCP's Configuration Options. Types not named here are rejected: among them the
// old IP-Addresses (1), VJ compression (2) and the NBNS servers (130, 132).
const (
	ipcpAddress byte = 3   // RFC 1332 section 3.3
	ipcpDNS1    byte = 129 // RFC 1877 section 1.1
	ipcpDNS2    byte = 131 // RFC 1877 section 1.3
)

// ipcpLayer is the IP Control Protocol, RFC 1332.
type ipcpLayer struct {
	s *Session

	local   netip.Addr // ours; zero: the peer is to say
	dns     [2]netip.Addr
	refused [256]bool // options of ours, by type, that the peer rejected

	peer       netip.Addr // what the peer asked for last
	askedPeer  bool       // we have asked it for its address
	insistence netip.Addr // the address that the peer would rather have
	told       Event      // the last EventIPUp
}

// v4 makes an option of an address; a zero one is 0.0.0.0, please tell me.
func v4(kind byte, a netip.Addr) option {
	if !a.Is4() {
		a = netip.IPv4Unspecified()
	}
	b := a.As4()
	return option{kind, b[:]}
}

// addr returns the address in an option, zero if it holds none.
func (o option) addr() netip.Addr {
	if len(o.data) != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(o.data))
}

func isSet(a netip.Addr) bool { return a.Is4() && !a.IsUnspecified() }

func (l *ipcpLayer) request() []option {
	opts := []option{v4(ipcpAddress, l.local)}
	if l.refused[ipcpAddress] {
		opts = opts[:0]
	}
	if l.s.cfg.Role == Caller {
		for i, kind := range [...]byte{ipcpDNS1, ipcpDNS2} {
			if !l.refused[kind] {
				opts = append(opts, v4(kind, l.dns[i]))
			}
		}
	}
	return opts
}

func (l *ipcpLayer) judge(opts []option) (reject, nak []option) {
	l.peer = netip.Addr{}
	want := l.s.peerIP
	dns := l.s.cfg.DNS
	if !isSet(dns[1]) {
		dns[1] = dns[0] // which spares the round trip of a Reject
	}
	for _, o := range opts {
		a := o.addr()
		switch {
		case o.kind == ipcpAddress && isSet(want):
			if a != want {
				nak = append(nak, v4(ipcpAddress, want))
				l.insistence = a
			}
			l.peer = want
		case o.kind == ipcpAddress && isSet(a):
			l.peer = a // whatever it says is as good
		case o.kind == ipcpDNS1 && isSet(dns[0]):
			if a != dns[0] {
				nak = append(nak, v4(ipcpDNS1, dns[0]))
			}
		case o.kind == ipcpDNS2 && isSet(dns[1]):
			if a != dns[1] {
				nak = append(nak, v4(ipcpDNS2, dns[1]))
			}
		default:
			reject = append(reject, o)
		}
	}
	if _, ok := find(opts, ipcpAddress); !ok && isSet(want) {
		if !l.askedPeer {
			l.askedPeer = true
			nak = append(nak, v4(ipcpAddress, want))
		}
		l.peer = want // it was told so, or takes the address for granted
	}
	return reject, nak
}

func (l *ipcpLayer) naked(opts []option) {
	for _, o := range opts {
		a := o.addr()
		if !isSet(a) {
			continue
		}
		switch {
		case o.kind == ipcpAddress && !isSet(l.s.cfg.LocalIP):
			l.local = a
		case o.kind == ipcpAddress:
			// Ours is the one that callers are told to look for; it stays.
		case o.kind == ipcpDNS1:
			l.dns[0] = a
		case o.kind == ipcpDNS2:
			l.dns[1] = a
		}
	}
}

func (l *ipcpLayer) rejected(opts []option) {
	for _, o := range opts {
		l.refused[o.kind] = true
	}
}

func (l *ipcpLayer) control(packet) bool { return false }
func (l *ipcpLayer) terminated([]byte)   {}

func (l *ipcpLayer) up() {
	if !isSet(l.local) {
		l.s.end(Reason{Peer, CodeIPCPFailed, l.s.them() + " gave us no IP address"})
		return
	}
	e := Event{Kind: EventIPUp, Local: l.local, Peer: l.peer, DNS: l.dns, MTU: l.s.mtu()}
	l.s.setupDone()
	if e.Local != l.told.Local || e.Peer != l.told.Peer || e.DNS != l.told.DNS {
		l.told = e
		l.s.emit(e)
	}
}

func (l *ipcpLayer) down() { l.askedPeer = false }

func (l *ipcpLayer) finished() {
	if l.s.phase != phaseNetwork {
		return
	}
	text := l.s.them() + " did not agree on IP addresses"
	if isSet(l.insistence) && isSet(l.s.peerIP) {
		text += fmt.Sprintf(": it wants %v, and %v is its own", l.insistence, l.s.peerIP)
	}
	l.s.end(Reason{Peer, CodeIPCPFailed, text})
}
