package netstack

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// window is how many full packets a connection may have in flight: the
	// pipe of a 33,600 bit/s call with 120 ms round trip holds 1.3 packets of
	// 1,500 octets, and the third and fourth keep it full while one ack is
	// under way. gVisor's initial window of 10 segments is a constant; the send
	// buffer is what holds it down to this.
	window = 4
	// recvBuffer bounds what a caller can make the box hold per connection.
	recvBuffer = 32 << 10
	// minRTO and maxRTO bound the retransmission timer. The round trips of
	// satellite calls are 2-3 s, and a 1,500-octet packet is 0.45 s at
	// 33,600 bit/s: gVisor's 200 ms would send everything twice.
	minRTO = 3 * time.Second
	maxRTO = 60 * time.Second
)

// tune sets the stack's TCP for a slow line whose rate is in bit/s, 0 if unknown.
func tune(s *stack.Stack, mtu, rate int) error {
	sack := tcpip.TCPSACKEnabled(true)
	// RACK's tail loss probe fires after two smoothed round trips, which
	// on a line that queues for a second is a needless retransmission.
	rack := tcpip.TCPRecovery(0)
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	size := window * (mtu - header.IPv4MinimumSize - header.TCPMinimumSize)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: size, Max: size}
	recv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: recvBuffer, Max: recvBuffer}
	lowest := tcpip.TCPMinRTOOption(rtoFor(mtu, rate))
	highest := tcpip.TCPMaxRTOOption(maxRTO)
	for _, opt := range []tcpip.SettableTransportProtocolOption{&sack, &rack, &moderate, &send, &recv, &lowest, &highest} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			return fmt.Errorf("netstack: set %T: %v", opt, err)
		}
	}
	return nil
}

// rtoFor is the shortest retransmission timeout that a full window, queued at
// the modem before the first round trip is measured, cannot outlast: two
// windows' time on the line, since another connection may share it.
func rtoFor(mtu, rate int) time.Duration {
	if rate <= 0 {
		return minRTO
	}
	// An asynchronous line carries an octet in ten bits.
	full := time.Duration(2*window*mtu*10) * time.Second / time.Duration(rate)
	return min(max(full, minRTO), maxRTO/2)
}
