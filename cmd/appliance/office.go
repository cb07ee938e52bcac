package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"postern/internal/config"
	"postern/mailrelay"
	"postern/mailrelay/authority"
)

const (
	// officeRetry is between two tries to listen: an address may come later than
	// the box, and callers do not wait for it.
	officeRetry = 10 * time.Second
	// refusedLog is the shortest time between two lines about connections refused.
	refusedLog = time.Minute
	// hostConns is how many connections one address has at once: a scanner gone
	// wild must leave room for the others.
	hostConns = 16
)

// office is the LAN: the callers' mail services for printers, scanners and old
// PCs. Here nobody has proved anything before the log-in to the mail service,
// and so there is none without password (same_person), and no mail is taken
// without one, whatever is configured: the box is no open relay.
type office struct {
	listen   []netip.Addr
	networks []config.Network
	doors    []door
	log      *slog.Logger
}

// newOffice is nil if nothing is served on the LAN.
func newOffice(a *appliance, accounts mailrelay.Accounts) *office {
	lan := a.cfg.LAN
	if len(lan.Listen) == 0 {
		return nil
	}
	old := authority.OldClients{Certificate: oldCertificate(a.cfg.TLS.OldCertificate)}
	if len(lan.OldClients) > 0 {
		old.Allowed = func(from netip.Addr) bool { return config.Contain(lan.OldClients, from) }
	}
	return &office{
		listen:   lan.Listen,
		networks: lan.Networks,
		doors:    a.doors(offer{accounts: accounts, tls: a.root.ServerConfig(old), guesses: &mailrelay.Guesses{}, ports: lan.Ports}),
		log:      a.log,
	}
}

// run serves until ctx ends.
func (o *office) run(ctx context.Context) {
	said := ""
	for {
		err := o.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != said {
			o.log.Error("the mail services cannot be offered on the LAN; trying on", "err", err)
			said = text
		}
		timer := time.NewTimer(officeRetry)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// serve opens all doors at all addresses, or none.
func (o *office) serve(ctx context.Context) error {
	gate := newGate(o.networks, o.log)
	var servers []func(context.Context) error
	var open []net.Listener
	for _, address := range o.listen {
		for _, d := range o.doors {
			l, err := net.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(d.port))))
			if err != nil {
				for _, l := range open {
					err = errors.Join(err, l.Close())
				}
				return fmt.Errorf("[lan] listen: %w", err)
			}
			open = append(open, l)
			servers = append(servers, func(ctx context.Context) error { return d.serve(ctx, gatedListener{l, gate}) })
		}
	}
	o.log.Info("mail services are offered on the LAN", "addresses", fmt.Sprint(o.listen), "networks", fmt.Sprint(o.networks))
	return together(ctx, servers)
}

// gate lets in whoever comes from the office's networks, up to hostConns each.
type gate struct {
	networks []config.Network
	log      *slog.Logger

	mu      sync.Mutex
	inside  map[netip.Addr]int
	said    time.Time // when the log was last told
	refused int       // since then
}

func newGate(networks []config.Network, log *slog.Logger) *gate {
	return &gate{networks: networks, log: log, inside: make(map[netip.Addr]int)}
}

// enter counts an address in, if it may.
func (g *gate) enter(from netip.Addr) bool {
	if !config.Contain(g.networks, from) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[from] >= hostConns {
		return false
	}
	g.inside[from]++
	return true
}

func (g *gate) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[from]--; g.inside[from] == 0 {
		delete(g.inside, from)
	}
}

// refuse counts, and tells the log now and then: whoever knocks all night must
// not fill it.
func (g *gate) refuse(now time.Time, from net.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused++
	if now.Sub(g.said) < refusedLog {
		return
	}
	g.log.Warn("connections are refused: from outside of [lan] networks, or too many from one address", "from", from, "refused", g.refused)
	g.said, g.refused = now, 0
}

// gatedListener gives out connections that the gate lets in. The others are
// closed without a word.
type gatedListener struct {
	net.Listener
	gate *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err == nil && l.gate.enter(from.Addr()) {
			return &insideConn{Conn: conn, leave: func() { l.gate.leave(from.Addr()) }}, nil
		}
		conn.Close()
		l.gate.refuse(time.Now(), conn.RemoteAddr())
	}
}

// insideConn leaves the gate when it is closed, which may be more than once.
type insideConn struct {
	net.Conn
	left  sync.Once
	leave func()
}

func (c *insideConn) Close() error {
	c.left.Do(c.leave)
	return c.Conn.Close()
}
