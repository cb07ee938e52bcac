package dialup

import (
	"context"
	"net"
	"net/netip"
)

// Network is where a caller's services listen: the box's address on the call.
type Network interface {
	Listen(port uint16) (net.Listener, error)
	ListenPacket(port uint16) (net.PacketConn, error)
}

// Services is what a caller may reach.
//
// Open is called once a call, after log-in and before the caller's first
// packet is delivered. It opens the listeners, without waiting for anything,
// and returns serve, which runs until ctx ends and has joined all that it
// started when it returns. The listeners die with the call if serve is never
// run. user is who the Authenticator said that the caller is.
type Services interface {
	Open(user string, network Network) (serve func(ctx context.Context) error, err error)
}

// Stack is the TCP/IP of one call, as dialup/netstack makes it.
type Stack interface {
	Network
	// Deliver takes an IP packet from the line, copies it, and never blocks.
	Deliver(packet []byte)
	// Next appends the next packet for the line to dst; false if none waits.
	Next(dst []byte) ([]byte, bool)
	// Wake is signalled when Next may have a packet.
	Wake() <-chan struct{}
	// Dial reaches the other end of the call; the calling role uses it.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Close aborts every connection and joins everything.
	Close()
}

// Link is what a Stack has to know of its call.
type Link struct {
	Local, Peer netip.Addr
	MTU         int // octets; 0 is PPP's default
	Rate        int // bit/s of the line; 0 if the modem did not say
}
