package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	portDNS  = 53
	dnsTries = 3
	dnsWait  = 4 * time.Second // a satellite's round trip, and some retransmitting in the modems
)

// resolve asks a name server for a host's address over UDP, as an old PC does
// (RFC 1035).
func resolve(ctx context.Context, conn net.PacketConn, server netip.Addr, host string) (netip.Addr, error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no host name", host)
	}
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: randomID(), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := query.Pack()
	if err != nil {
		return netip.Addr{}, err
	}
	for range dnsTries {
		if _, err := conn.WriteTo(packed, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, portDNS))); err != nil {
			return netip.Addr{}, err
		}
		address, err := awaitAddress(conn, query, time.Now().Add(dnsWait))
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			return address, err
		}
	}
	return netip.Addr{}, fmt.Errorf("the name server %v did not answer %d times", server, dnsTries)
}

// awaitAddress reads until the answer to query has come.
func awaitAddress(conn net.PacketConn, query dnsmessage.Message, deadline time.Time) (netip.Addr, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return netip.Addr{}, err
	}
	var buf [512]byte
	for {
		n, _, err := conn.ReadFrom(buf[:])
		if err != nil {
			return netip.Addr{}, err
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || !m.Response || m.ID != query.ID {
			continue // not ours
		}
		if m.RCode == dnsmessage.RCodeNameError {
			return netip.Addr{}, fmt.Errorf("the name server says that there is no %s", query.Questions[0].Name)
		}
		if m.RCode != dnsmessage.RCodeSuccess {
			return netip.Addr{}, fmt.Errorf("the name server answered %v about %s", m.RCode, query.Questions[0].Name)
		}
		for _, a := range m.Answers {
			if a, ok := a.Body.(*dnsmessage.AResource); ok {
				return netip.AddrFrom4(a.A), nil
			}
		}
		return netip.Addr{}, fmt.Errorf("the name server knows no address of %s", query.Questions[0].Name)
	}
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}
