package dialup

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// ErrPoolEmpty is every address of the pool being in use.
var ErrPoolEmpty = errors.New("every caller address is in use; widen the pool or run fewer lines")

// Pool leases addresses to callers. Its methods may be called by all lines at
// once.
type Pool struct {
	prefix netip.Prefix
	local  netip.Addr

	mu     sync.Mutex
	leased map[netip.Addr]bool
	last   netip.Addr
}

// NewPool leases the host addresses of the IPv4 prefix but for local, which is
// the box's own and need not lie in it. The network and the broadcast address
// are not host addresses; a /31 or a /32 has neither (RFC 3021).
func NewPool(prefix netip.Prefix, local netip.Addr) (*Pool, error) {
	if !prefix.IsValid() || !prefix.Addr().Is4() {
		return nil, fmt.Errorf("the pool %v is not an IPv4 network, as 10.64.64.0/24 is", prefix)
	}
	p := &Pool{prefix: prefix.Masked(), local: local, leased: make(map[netip.Addr]bool)}
	address, err := p.Lease()
	if err != nil {
		return nil, fmt.Errorf("the pool %v has no address left besides the box's own %v", prefix, local)
	}
	p.Release(address)
	p.last = netip.Addr{}
	return p, nil
}

// Lease returns an address that nobody has, or ErrPoolEmpty. It goes round the
// prefix, so that a caller's old address rests a while before another gets it.
func (p *Pool) Lease() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Among leased+3 neighbours one is free, whatever the size of the prefix:
	// only the leased ones, the local and the two ends are not to be had.
	at := p.last
	for range len(p.leased) + 4 {
		if at = at.Next(); !p.prefix.Contains(at) {
			at = p.prefix.Addr()
		}
		if at == p.local || p.leased[at] || p.isEnd(at) {
			continue
		}
		p.leased[at] = true
		p.last = at
		return at, nil
	}
	return netip.Addr{}, ErrPoolEmpty
}

// Release gives an address back.
func (p *Pool) Release(address netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leased, address)
}

// isEnd reports whether a is the network or the broadcast address.
func (p *Pool) isEnd(a netip.Addr) bool {
	return p.prefix.Bits() < 31 && (a == p.prefix.Addr() || !p.prefix.Contains(a.Next()))
}
