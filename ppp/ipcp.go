package ppp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"postern/ppp/vj"
)

// IPCP's Configuration Options. Types not named here are rejected: among them the
// old IP-Addresses (1).
const (
	ipcpCompression byte = 2   // RFC 1332 section 3.2
	ipcpAddress     byte = 3   // RFC 1332 section 3.3
	ipcpDNS1        byte = 129 // RFC 1877 section 1.1
	ipcpNBNS1       byte = 130 // RFC 1877 section 1.2
	ipcpDNS2        byte = 131 // RFC 1877 section 1.3
	ipcpNBNS2       byte = 132 // RFC 1877 section 1.4
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

	vj      option // our request for VJ after the peer's Nak; zero: vjOption
	slots   int    // for TCP headers that the peer will have compressed; zero: not
	noSlots bool   // their numbers may be left out
	tx      *vj.Compressor
	rx      *vj.Decompressor
}

// vjOption is VJ compression with RFC 1144's 16 slots, whose numbers may be left out.
var vjOption = option{ipcpCompression, []byte{byte(protoVJ >> 8), byte(protoVJ & 0xff), vj.DefaultSlots - 1, 1}}

// isVJ reports whether an option is VJ compression in RFC 1332's form.
func isVJ(o option) bool {
	return o.kind == ipcpCompression && len(o.data) == 4 && binary.BigEndian.Uint16(o.data) == protoVJ
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
	if !l.refused[ipcpCompression] && !l.s.cfg.NoVJ {
		opts = append(opts, l.askVJ())
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
	l.peer, l.slots = netip.Addr{}, 0
	want := l.s.peerIP
	for _, o := range opts {
		a := o.addr()
		server := l.server(o.kind)
		switch {
		case o.kind == ipcpAddress && isSet(want):
			if a != want {
				nak = append(nak, v4(ipcpAddress, want))
				l.insistence = a
			}
			l.peer = want
		case o.kind == ipcpAddress && isSet(a):
			l.peer = a // whatever it says is as good
		case isSet(server):
			if a != server {
				nak = append(nak, v4(o.kind, server))
			}
		case isVJ(o) && !l.s.cfg.NoVJ:
			l.slots, l.noSlots = int(o.data[2])+1, o.data[3] != 0
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

// server returns the address that an option of RFC 1877 asks for; zero if there is none.
// Where there is one server, it is the second too, which spares the round trip of a Reject.
func (l *ipcpLayer) server(kind byte) netip.Addr {
	pair, i := l.s.cfg.DNS, 0
	switch kind {
	case ipcpDNS1:
	case ipcpDNS2:
		i = 1
	case ipcpNBNS1:
		pair = l.s.cfg.NBNS
	case ipcpNBNS2:
		pair, i = l.s.cfg.NBNS, 1
	default:
		return netip.Addr{}
	}
	if !isSet(pair[i]) {
		i = 0
	}
	return pair[i]
}

func (l *ipcpLayer) naked(opts []option) {
	for _, o := range opts {
		a := o.addr()
		switch {
		case isVJ(o) && o.data[2] < vj.DefaultSlots:
			l.vj = option{o.kind, slices.Clone(o.data)} // fewer slots, or all numbered
		case o.kind == ipcpCompression:
			l.refused[o.kind] = true
		case !isSet(a):
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
	l.startVJ()
	e := Event{Kind: EventIPUp, Local: l.local, Peer: l.peer, DNS: l.dns, MTU: l.s.mtu()}
	l.s.setupDone()
	l.s.emit(e)
}

// askVJ is the compression that we ask to be sent.
func (l *ipcpLayer) askVJ() option {
	if l.vj.data == nil {
		return vjOption
	}
	return l.vj
}

// startVJ makes what header compression was agreed on. We send it only if we
// take it too: Linux makes room for the headers of both directions only if it
// may send it itself.
func (l *ipcpLayer) startVJ() {
	if l.refused[ipcpCompression] || l.s.cfg.NoVJ {
		return
	}
	l.rx = vj.NewDecompressor(vj.DefaultSlots)
	if l.slots > 0 {
		l.tx = vj.NewCompressor(l.slots, l.noSlots)
	}
}

// lost says that the line has lost a packet.
func (l *ipcpLayer) lost() {
	if l.rx != nil {
		l.rx.Lost()
	}
}

func (l *ipcpLayer) down() {
	l.askedPeer = false
	l.tx, l.rx = nil, nil
	if l.s.phase < phaseTerminate {
		l.s.emit(Event{Kind: EventIPDown})
	}
}

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
