package netstack

import (
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// maxRefusals bounds the refusals that wait for the line. A caller that tries
// the whole internet is told so a few times; the rest is silence.
const maxRefusals = 4

// refusals answers packets for anyone but this end with ICMP "communication
// administratively prohibited" (RFC 1812 section 5.2.7.1), so that a program on
// the caller's side that looks for the internet fails at once and in words
// instead of waiting minutes on a costly line. gVisor drops such packets.
type refusals struct {
	mu      sync.Mutex
	waiting [][]byte
}

// refuse reports whether pkt is for somebody else, and is therefore not to be
// delivered. It prepares the answer if one is due.
func (r *refusals) refuse(pkt []byte, local, peer netip.Addr) bool {
	ip := header.IPv4(pkt)
	if !ip.IsValid(len(pkt)) {
		return false // the stack counts and drops it
	}
	dst, src := ip.DestinationAddress(), ip.SourceAddress()
	if dst == tcpip.AddrFrom4(local.As4()) {
		return false
	}
	// Windows broadcasts its NetBIOS name without end, to 10.255.255.255 with an
	// address out of 10.64.64.0/24, for it takes the mask of the address's class;
	// never answer those, nor packets with a false source, nor errors about errors
	// (RFC 1122 section 3.2.2).
	to := netip.AddrFrom4(dst.As4())
	if dst.As4()[3] == 255 || to.IsMulticast() || to.IsUnspecified() ||
		src != tcpip.AddrFrom4(peer.As4()) || ip.FragmentOffset() != 0 || isICMPError(ip) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) < maxRefusals {
		r.waiting = append(r.waiting, prohibited(pkt[:min(len(pkt), int(ip.HeaderLength())+8)], local, peer))
	}
	return true
}

func (r *refusals) next() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return nil
	}
	first := r.waiting[0]
	r.waiting = r.waiting[1:]
	return first
}

func isICMPError(ip header.IPv4) bool {
	if ip.Protocol() != uint8(header.ICMPv4ProtocolNumber) || len(ip.Payload()) < header.ICMPv4MinimumSize {
		return false
	}
	t := header.ICMPv4(ip.Payload()).Type()
	return t != header.ICMPv4Echo
}

// prohibited builds the ICMP message: type 3, code 13, with the head of the
// packet it is about.
func prohibited(about []byte, local, peer netip.Addr) []byte {
	total := header.IPv4MinimumSize + header.ICMPv4MinimumSize + len(about)
	out := make([]byte, total)
	ip := header.IPv4(out)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(total),
		TTL:         64,
		Protocol:    uint8(header.ICMPv4ProtocolNumber),
		SrcAddr:     tcpip.AddrFrom4(local.As4()),
		DstAddr:     tcpip.AddrFrom4(peer.As4()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	msg := header.ICMPv4(out[header.IPv4MinimumSize:])
	msg.SetType(header.ICMPv4DstUnreachable)
	msg.SetCode(header.ICMPv4AdminProhibited)
	copy(msg[header.ICMPv4MinimumSize:], about)
	msg.SetChecksum(^checksum.Checksum(msg, 0))
	return out
}
