package netstack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"golang.org/x/net/netutil"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nicID = 1
	// defaultMTU is PPP's (RFC 1661 section 6.1).
	defaultMTU = 1500
	// outQueue bounds the packets that wait for the modem. channel.Endpoint
	// drops silently when it is full, so it holds more than maxConns
	// connections can have in flight with their small send buffers.
	outQueue = 256
	// maxConns bounds the connections that a caller may hold open to one
	// port. The busiest mail program of the time opens two or three.
	maxConns = 16
)

// Config describes the two ends of a call.
type Config struct {
	Local netip.Addr // ours, IPv4
	Peer  netip.Addr // the other end's, IPv4
	MTU   int        // octets of the largest IP packet sent; 0 is 1500
	Rate  int        // bit/s of the line, for the TCP timers; 0 is unknown
}

// Stack is the TCP/IP stack of one call. Its methods may be called from any
// goroutine; Next has one caller at a time.
type Stack struct {
	cfg  Config
	ip   *stack.Stack
	link *channel.Endpoint
	wake chan struct{}
	deny refusals

	life context.Context // ends with Close
	end  context.CancelFunc
}

// New returns a running stack that owns cfg.Local and can reach cfg.Peer.
func New(cfg Config) (*Stack, error) {
	if !cfg.Local.Is4() || !cfg.Peer.Is4() || cfg.Local == cfg.Peer {
		return nil, fmt.Errorf("netstack: the two ends need different IPv4 addresses, not %v and %v", cfg.Local, cfg.Peer)
	}
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	s := &Stack{
		cfg:  cfg,
		link: channel.New(outQueue, uint32(cfg.MTU), ""),
		wake: make(chan struct{}, 1),
		ip: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
			// What gVisor would make by itself is 22 KiB a call, for a packet
			// filter that nobody sets rules in and a generator of its own.
			IPTables:   &stack.IPTables{},
			RandSource: randomSource{},
		}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.configure(); err != nil {
		s.end()
		s.ip.Destroy()
		return nil, err
	}
	s.link.AddNotify(s)
	return s, nil
}

func (s *Stack) configure() error {
	if err := tune(s.ip, s.cfg.MTU, s.cfg.Rate); err != nil {
		return err
	}
	if err := s.ip.CreateNIC(nicID, s.link); err != nil {
		return fmt.Errorf("netstack: create the interface: %v", err)
	}
	addr := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFrom4(s.cfg.Local.As4()).WithPrefix(),
	}
	if err := s.ip.AddProtocolAddress(nicID, addr, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("netstack: set the address %v: %v", s.cfg.Local, err)
	}
	// A point-to-point link has one neighbour; nothing else is reachable.
	peer := tcpip.AddrFrom4(s.cfg.Peer.As4()).WithPrefix().Subnet()
	s.ip.SetRouteTable([]tcpip.Route{{Destination: peer, NIC: nicID}})
	return nil
}

// WriteNotify is called by gVisor, with its locks held, whenever a packet was
// queued. It must not block, so it only leaves a mark.
func (s *Stack) WriteNotify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wake is signalled after Next may have a packet.
func (s *Stack) Wake() <-chan struct{} { return s.wake }

// Deliver hands the stack an IP packet from the line. It may be anything at all;
// what is not valid IPv4 for this end is dropped or refused. pkt is not kept,
// but the options of a SYN in it are rewritten in place.
func (s *Stack) Deliver(pkt []byte) {
	if s.deny.refuse(pkt, s.cfg.Local, s.cfg.Peer) {
		s.WriteNotify()
		return
	}
	stripTimestamps(pkt)
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(pkt)})
	defer p.DecRef()
	s.link.InjectInbound(header.IPv4ProtocolNumber, p)
}

// Next appends the next IP packet for the line to dst. It reports false, with
// dst as it was, when none waits.
func (s *Stack) Next(dst []byte) ([]byte, bool) {
	if reply := s.deny.next(); reply != nil {
		return append(dst, reply...), true
	}
	p := s.link.Read()
	if p == nil {
		return dst, false
	}
	defer p.DecRef()
	at := len(dst)
	for _, part := range p.AsSlices() {
		dst = append(dst, part...)
	}
	stripTimestamps(dst[at:])
	return dst, true
}

// Listen opens a TCP port to the caller, who may hold at most 16 connections to
// it at a time; further ones wait.
func (s *Stack) Listen(port uint16) (net.Listener, error) {
	l, err := gonet.ListenTCP(s.ip, s.local(port), ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("netstack: listen on TCP port %d: %w", port, err)
	}
	return netutil.LimitListener(l, maxConns), nil
}

// ListenPacket opens a UDP port to the caller.
func (s *Stack) ListenPacket(port uint16) (net.PacketConn, error) {
	addr := s.local(port)
	c, err := gonet.DialUDP(s.ip, &addr, nil, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("netstack: listen on UDP port %d: %w", port, err)
	}
	return c, nil
}

// Dial opens a TCP connection to a port of the other end.
func (s *Stack) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if to.Addr() != s.cfg.Peer {
		return nil, fmt.Errorf("netstack: %v is not at the other end of this call (%v is)", to.Addr(), s.cfg.Peer)
	}
	remote := tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()}
	// A SYN that was sent into a closed stack would be repeated for two minutes.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	c, err := gonet.DialContextTCP(ctx, s.ip, remote, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("netstack: connect to %v: %w", to, err)
	}
	return c, nil
}

func (s *Stack) local(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(s.cfg.Local.As4()), Port: port}
}

// Retransmits returns the TCP segments that were sent more than once.
func (s *Stack) Retransmits() uint64 {
	return s.ip.Stats().TCP.Retransmits.Value()
}

// Close aborts every connection and listener and returns when the stack's
// goroutines have ended.
func (s *Stack) Close() {
	s.end()
	s.ip.Close()
	s.link.Close()
	s.ip.Wait()
}

// randomSource is the process's random generator as gVisor wants it.
type randomSource struct{}

func (randomSource) Int63() int64   { return rand.Int64() }
func (randomSource) Uint64() uint64 { return rand.Uint64() }
func (randomSource) Seed(int64)     {}
