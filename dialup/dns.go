package dialup

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsPort    = 53
	dnsTTL     = 60 // seconds: the box's address may change with the configuration
	dnsMax     = 512
	dnsTCPIdle = 10 * time.Second
)

// names answers DNS for the box's own names and nothing else. Every other
// name does not exist, and that is said at once: resolvers of the time ask for
// their domain's servers first and hang for a minute without an answer.
type names struct {
	local netip.Addr
	known map[string]bool // lower case, with the final dot
}

func newNames(local netip.Addr, own []string) *names {
	n := &names{local: local, known: make(map[string]bool)}
	for _, name := range own {
		n.known[strings.ToLower(strings.TrimSuffix(name, "."))+"."] = true
	}
	return n
}

// answer returns the response to a query (RFC 1035), nil for what deserves
// none: responses, and messages whose header cannot be read.
func (n *names) answer(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Header{
		ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired,
		Authoritative: true, RecursionAvailable: true,
	}
	if h.OpCode != 0 {
		reply.RCode = dnsmessage.RCodeNotImplemented
		return pack(reply, nil, nil)
	}
	q, err := p.Question()
	if err != nil {
		reply.RCode = dnsmessage.RCodeFormatError
		return pack(reply, nil, nil)
	}
	body, exists := n.lookUp(q)
	if !exists {
		reply.RCode = dnsmessage.RCodeNameError
	}
	return pack(reply, &q, body)
}

// lookUp returns the record that answers q, nil when the name exists without
// such a record.
func (n *names) lookUp(q dnsmessage.Question) (body dnsmessage.ResourceBody, exists bool) {
	all := q.Type == dnsmessage.TypeALL
	name := strings.ToLower(q.Name.String())
	switch {
	case n.known[name]:
		if q.Type == dnsmessage.TypeA || all {
			return &dnsmessage.AResource{A: n.local.As4()}, true
		}
	case name == reverseName(n.local):
		if first := n.first(); first != "" && (q.Type == dnsmessage.TypePTR || all) {
			target, err := dnsmessage.NewName(first)
			if err != nil {
				return nil, true // a configured name longer than DNS allows
			}
			return &dnsmessage.PTRResource{PTR: target}, true
		}
	default:
		return nil, false
	}
	return nil, true
}

// first is the name that the address maps back to: the least, to be the same
// on every call.
func (n *names) first() string {
	least := ""
	for name := range n.known {
		if least == "" || name < least {
			least = name
		}
	}
	return least
}

// reverseName is the in-addr.arpa name of an IPv4 address (RFC 1035 section 3.5).
func reverseName(a netip.Addr) string {
	b := a.As4()
	return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String() + ".in-addr.arpa."
}

func pack(h dnsmessage.Header, q *dnsmessage.Question, body dnsmessage.ResourceBody) []byte {
	m := dnsmessage.Message{Header: h}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	if body != nil {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: dnsTTL}, Body: body}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// open listens on the network's UDP and TCP ports 53 and returns what serves
// them until ctx ends.
func (n *names) open(network Network) (serve func(context.Context) error, err error) {
	packets, err := network.ListenPacket(dnsPort)
	if err != nil {
		return nil, err
	}
	streams, err := network.Listen(dnsPort)
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() {
			packets.Close()
			streams.Close()
		})
		defer stop()
		var joined sync.WaitGroup
		joined.Go(func() { n.serveStreams(ctx, streams) })
		n.servePackets(packets)
		joined.Wait()
		return ctx.Err()
	}, nil
}

// servePackets answers until the socket is closed.
func (n *names) servePackets(l net.PacketConn) {
	buf := make([]byte, dnsMax)
	for {
		size, from, err := l.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := n.answer(buf[:size]); reply != nil {
			l.WriteTo(reply, from) // lost: the resolver asks again
		}
	}
}

// serveStreams answers one connection after another; a resolver that holds
// its own open makes the others wait for dnsTCPIdle.
func (n *names) serveStreams(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		n.serveStream(c)
		stop()
		c.Close()
	}
}

// serveStream answers the queries of one connection (RFC 1035 section 4.2.2).
func (n *names) serveStream(c net.Conn) {
	for {
		if c.SetDeadline(time.Now().Add(dnsTCPIdle)) != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if len(query) > dnsMax {
			return
		}
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := n.answer(query)
		if reply == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
