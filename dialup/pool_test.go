package dialup

import (
	"errors"
	"net/netip"
	"testing"
)

func TestThePoolNeverLeasesTheBoxsNetworkOrBroadcastAddress(t *testing.T) {
	for _, test := range []struct {
		prefix, local string
		want          int
	}{
		{"10.64.64.0/24", "10.64.64.1", 253},
		{"10.64.64.77/24", "10.64.64.1", 253}, // written with a host part
		{"10.64.64.0/24", "192.168.1.1", 254},
		{"10.64.64.0/29", "10.64.64.6", 5},
		{"10.64.64.0/30", "10.64.64.1", 1},
		{"10.64.64.0/31", "10.64.64.0", 1},
		{"10.64.64.9/32", "10.64.64.1", 1},
	} {
		prefix, local := netip.MustParsePrefix(test.prefix), netip.MustParseAddr(test.local)
		p, err := NewPool(prefix, local)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[netip.Addr]bool)
		for {
			a, err := p.Lease()
			if errors.Is(err, ErrPoolEmpty) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if seen[a] || a == local || !prefix.Contains(a) {
				t.Fatalf("%v of %v leased", a, test.prefix)
			}
			if last := a.As4()[3]; prefix.Bits() == 24 && (last == 0 || last == 255) {
				t.Fatalf("%v leased", a)
			}
			seen[a] = true
		}
		if len(seen) != test.want {
			t.Errorf("%s without %s: %d addresses, want %d", test.prefix, test.local, len(seen), test.want)
		}
	}
}

func TestAReleasedAddressRestsBeforeItIsLeasedAgain(t *testing.T) {
	p, err := NewPool(netip.MustParsePrefix("10.0.0.0/29"), netip.MustParseAddr("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.Lease()
	p.Release(first)
	for range 4 {
		if a, err := p.Lease(); err != nil || a == first {
			t.Fatalf("leased %v, %v", a, err)
		}
	}
	if a, err := p.Lease(); err != nil || a != first {
		t.Fatalf("then %v, %v, want %v", a, err, first)
	}
}

func TestAPoolWithoutRoomIsRefused(t *testing.T) {
	for prefix, local := range map[string]string{"10.0.0.1/32": "10.0.0.1", "fd00::/64": "10.0.0.1"} {
		if _, err := NewPool(netip.MustParsePrefix(prefix), netip.MustParseAddr(local)); err == nil {
			t.Errorf("%s without %s is taken", prefix, local)
		}
	}
	if _, err := NewPool(netip.Prefix{}, netip.Addr{}); err == nil {
		t.Error("no prefix is taken")
	}
}
