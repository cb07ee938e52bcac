package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// TLS is what the box's mail servers speak towards mail programs. That is TLS
// 1.2 and newer, except for the old clients that are named here and in [lan].
type TLS struct {
	// OldClients allows TLS 1.0, RSA key exchange, 3DES and RC4 on calls.
	OldClients bool `toml:"old_clients"`
	// OldCertificate is what clients of TLS 1.1 and older are shown.
	OldCertificate OldCertificate `toml:"old_certificate"`
}

// OldCertificate is the kind of a certificate for old clients.
type OldCertificate int

// The kinds.
const (
	SHA256 OldCertificate = iota // RSA 2048: Windows XP SP3 and later
	SHA1                         // RSA 1024: what is older
)

// String is the kind as it is written in the file.
func (c OldCertificate) String() string { return [...]string{"sha256", "sha1"}[c] }

// UnmarshalText parses a kind.
func (c *OldCertificate) UnmarshalText(b []byte) error {
	return choose(c, string(b), "certificate", SHA256, SHA1)
}

// LAN is the office's own network, on which the mail services are offered to
// printers, scanners and old PCs. Without Listen there is none.
type LAN struct {
	Listen   []netip.Addr `toml:"listen"`   // the box's own addresses there
	Networks []Network    `toml:"networks"` // whose connections are taken
	// OldClients are networks among them that are served like [tls] old_clients.
	OldClients []Network `toml:"old_clients"`
	Ports      Ports     `toml:"ports"`
}

// Ports are where the services listen; 0 is nowhere.
type Ports struct {
	POP3       uint16 `toml:"pop3"`
	POP3S      uint16 `toml:"pop3s"`
	IMAP       uint16 `toml:"imap"`
	IMAPS      uint16 `toml:"imaps"`
	SMTP       uint16 `toml:"smtp"`
	Submission uint16 `toml:"submission"`
	SMTPS      uint16 `toml:"smtps"`
	HTTP       uint16 `toml:"http"` // the box's root certificate and how to install it
}

// CallPorts are what a caller finds: the ones of the RFCs.
func CallPorts() Ports {
	return Ports{POP3: 110, POP3S: 995, IMAP: 143, IMAPS: 993, SMTP: 25, Submission: 587, SMTPS: 465, HTTP: 80}
}

// LANPorts are the same but for HTTP: the status page is often there already.
func LANPorts() Ports {
	p := CallPorts()
	p.HTTP = 0
	return p
}

// Network is an IPv4 or IPv6 network, written as 192.168.1.0/24, or one address.
type Network struct{ netip.Prefix }

// UnmarshalText parses a network.
func (n *Network) UnmarshalText(b []byte) error {
	if a, err := netip.ParseAddr(string(b)); err == nil {
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a network; write it as 192.168.1.0/24, or as an address for one device", b)
	}
	n.Prefix = v.Masked()
	return nil
}

// Contain tells whether the address is in one of the networks.
func Contain(networks []Network, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n Network) bool { return n.Contains(a.Unmap().WithZone("")) })
}

func (l *LAN) check(f *Faults) {
	if len(l.Listen) == 0 {
		if len(l.Networks)+len(l.OldClients) > 0 {
			f.add("[lan] has networks but no listen; set listen to the box's own addresses on the LAN")
		}
		return
	}
	seen := map[netip.Addr]bool{}
	for _, a := range l.Listen {
		switch {
		case a.IsUnspecified() || a.IsMulticast():
			f.add("[lan] listen: %v is no address of the box; name those that it has on the LAN", a)
		case seen[a]:
			f.add("[lan] listen: %v is there twice", a)
		}
		seen[a] = true
	}
	if len(l.Networks) == 0 {
		f.add("[lan] networks: is empty; name the networks whose connections are taken, such as 192.168.1.0/24")
	}
	for _, n := range l.Networks {
		if n.Bits() == 0 {
			f.add("[lan] networks: %v is the whole Internet; name the office's networks", n)
		}
	}
	for _, old := range l.OldClients {
		if !slices.ContainsFunc(l.Networks, func(n Network) bool { return n.Contains(old.Addr()) && n.Bits() <= old.Bits() }) {
			f.add("[lan] old_clients: %v is in none of the networks", old)
		}
	}
	l.Ports.check(f)
}

func (p Ports) check(f *Faults) {
	used := map[uint16]string{}
	for _, at := range []struct {
		key  string
		port uint16
	}{{"pop3", p.POP3}, {"pop3s", p.POP3S}, {"imap", p.IMAP}, {"imaps", p.IMAPS}, {"smtp", p.SMTP}, {"submission", p.Submission}, {"smtps", p.SMTPS}, {"http", p.HTTP}} {
		if at.port == 0 {
			continue
		}
		if other := used[at.port]; other != "" {
			f.add("[lan.ports]: %s and %s are both %d", other, at.key, at.port)
		}
		used[at.port] = at.key
	}
	if len(used) == 0 {
		f.add("[lan.ports]: all are 0; leave [lan] listen out if nothing is to be served")
	}
}
