package ppp

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
)

var (
	epoch    = time.Date(1999, 12, 31, 23, 59, 0, 0, time.UTC)
	boxIP    = netip.MustParseAddr("10.64.64.1")
	callerIP = netip.MustParseAddr("10.64.64.2")
	dnsIP    = netip.MustParseAddr("10.64.64.1")
)

const password = "clientPass"

// seeded is randomness that a test can repeat.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

func answererConfig() Config {
	return Config{Role: Answerer, Rand: seeded(1), Hostname: "postern",
		Auth:       []AuthMethod{MSCHAPv2, MSCHAP, CHAPMD5, PAP},
		Encryption: EncryptionPrefer,
		LocalIP:    boxIP, PeerIP: callerIP, DNS: [2]netip.Addr{dnsIP, {}}}
}

func callerConfig() Config {
	return Config{Role: Caller, Rand: seeded(2), Name: "alice", Password: password,
		Auth:       []AuthMethod{MSCHAPv2, MSCHAP, CHAPMD5, PAP},
		Encryption: EncryptionPrefer}
}

// end is a Session with what it has told its owner.
type end struct {
	*Session
	t          testing.TB
	judge      func(AuthRequest) Answer
	auth       AuthRequest
	onCallback func(CallbackRequest)
	cipher     string
	packer     string
	up         Event
	ups        int
	up6        Event
	got        [][]byte
	reason     Reason
	ended      int
	authings   int
	kinds      []EventKind // all but packets
}

func newEnd(t testing.TB, cfg Config) *end {
	return &end{t: t, Session: New(cfg, epoch),
		judge: func(r AuthRequest) Answer { return Check(r, password) }}
}

// drain takes all events.
func (e *end) drain(now time.Time) {
	for {
		ev := e.NextEvent()
		if e.ended > 0 && ev.Kind != NoEvent {
			e.t.Errorf("event %v after the end", ev.Kind)
		}
		if ev.Kind != EventPacket && ev.Kind != NoEvent {
			e.kinds = append(e.kinds, ev.Kind)
		}
		switch ev.Kind {
		case NoEvent:
			return
		case EventAuth:
			e.authings++
			if e.judge != nil {
				e.Authenticate(now, e.judge(ev.Auth))
			}
		case EventAuthenticated:
			e.auth = ev.Auth
		case EventEncrypted:
			e.cipher = ev.Encryption
		case EventCompressed:
			e.packer = ev.Compression
		case EventCallback:
			if e.onCallback != nil {
				e.onCallback(ev.Callback)
			}
		case EventIPUp:
			e.up = ev
			e.ups++
		case EventIPv6Up:
			e.up6 = ev
		case EventPacket:
			e.got = append(e.got, append([]byte(nil), ev.Packet...))
		case EventEnded:
			e.reason = ev.Reason
			e.ended++
		}
	}
}

// story is the events in words.
func (e *end) story() string {
	var words []string
	for _, k := range e.kinds {
		words = append(words, k.String())
	}
	return strings.Join(words, " ")
}

// pair is two ends with a wire between them, and a clock.
type pair struct {
	t    testing.TB
	now  time.Time
	a, c *end // Answerer, Caller
	// spoil may change or shorten what is on the wire.
	spoil func(b []byte) []byte
	delay time.Duration // one way
	trips int
}

func newPair(t testing.TB, a, c Config) *pair {
	return &pair{t: t, now: epoch, a: newEnd(t, a), c: newEnd(t, c)}
}

// exchange lets both ends talk until neither has anything to say.
func (p *pair) exchange() {
	for range 1000 {
		p.a.drain(p.now)
		p.c.drain(p.now)
		down, up := p.a.Output(nil), p.c.Output(nil)
		if len(down)+len(up) == 0 {
			return
		}
		p.trips++
		p.now = p.now.Add(p.delay)
		if p.spoil != nil {
			down, up = p.spoil(down), p.spoil(up)
		}
		p.a.Input(p.now, up)
		p.c.Input(p.now, down)
	}
	p.t.Fatal("the two ends never stop talking")
}

// tick advances to the next deadline of either end; false if there is none.
func (p *pair) tick() bool {
	d := p.a.Deadline()
	if e := p.c.Deadline(); d.IsZero() || !e.IsZero() && e.Before(d) {
		d = e
	}
	if d.IsZero() {
		return false
	}
	if d.After(p.now) {
		p.now = d
	}
	p.a.Advance(p.now)
	p.c.Advance(p.now)
	return true
}

// run lets time pass until done or, at the latest, for the given time.
func (p *pair) run(limit time.Duration, done func() bool) {
	stop := p.now.Add(limit)
	for {
		p.exchange()
		if done() || !p.now.Before(stop) || !p.tick() {
			return
		}
	}
}

func (p *pair) bothUp() bool    { return p.a.ups > 0 && p.c.ups > 0 }
func (p *pair) bothEnded() bool { return p.a.ended > 0 && p.c.ended > 0 }

// ping sends a packet each way and reports whether both came.
func (p *pair) ping(pkt []byte) bool {
	na, nc := len(p.a.got), len(p.c.got)
	sent := p.a.SendIP(p.now, pkt) && p.c.SendIP(p.now, pkt)
	p.exchange()
	return sent && len(p.a.got) == na+1 && len(p.c.got) == nc+1 &&
		string(p.a.got[na]) == string(pkt) && string(p.c.got[nc]) == string(pkt)
}

func TestMSCHAPv2AndMPPE128ReachIP(t *testing.T) {
	a, c := answererConfig(), callerConfig()
	a.Encryption, c.Encryption = EncryptionRequire, EncryptionRequire
	a.MPPE = []mppe.Strength{mppe.Bits128}
	p := newPair(t, a, c)
	p.exchange()
	if !p.bothUp() {
		t.Fatalf("not up: answerer %v (LCP %v, CCP %v, IPCP %v), caller %v (LCP %v, CCP %v, IPCP %v)", p.a.reason, p.a.lcp.state, p.a.ccp.state, p.a.ipcp.state,
			p.c.reason, p.c.lcp.state, p.c.ccp.state, p.c.ipcp.state)
	}
	t.Logf("IP up after %d exchanges, %q, MTU %d", p.trips, p.a.cipher, p.a.up.MTU)
	if p.a.cipher != "MPPE 128 bit, stateless" || p.c.cipher != p.a.cipher {
		t.Errorf("encryption %q and %q", p.a.cipher, p.c.cipher)
	}
	if p.c.up.Local != callerIP || p.c.up.Peer != boxIP || p.c.up.DNS[0] != dnsIP || p.a.up.Peer != callerIP {
		t.Errorf("addresses: %+v, %+v", p.c.up, p.a.up)
	}
	if p.a.auth.Name != "alice" || p.a.auth.Method != MSCHAPv2 {
		t.Errorf("authenticated %v", p.a.auth)
	}
	if !p.ping([]byte("E an IP packet, so to say")) {
		t.Error("packets do not pass")
	}
	p.c.Close(p.now, Reason{Us, CodeAdmin, "mail is done"})
	p.run(time.Minute, p.bothEnded)
	if p.a.reason.Code != CodePeerHangup || p.c.reason.Code != CodeAdmin {
		t.Errorf("ends: %+v, %+v", p.a.reason, p.c.reason)
	}
}
