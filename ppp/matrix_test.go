package ppp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
)

var (
	allMethods   = []AuthMethod{PAP, CHAPMD5, MSCHAP, MSCHAPv2}
	allPolicies  = []Policy{EncryptionOff, EncryptionPrefer, EncryptionRequire}
	allStrengths = []mppe.Strength{mppe.Bits40, mppe.Bits56, mppe.Bits128}
)

// TestEveryMethodMeetsEveryPolicy says who gets IP, and whether it is encrypted, for all
// that two ends can want.
func TestEveryMethodMeetsEveryPolicy(t *testing.T) {
	for _, m := range allMethods {
		for _, pa := range allPolicies {
			for _, pc := range allPolicies {
				t.Run(fmt.Sprintf("%v/%v-%v", m, pa, pc), func(t *testing.T) {
					a, c := answererConfig(), callerConfig()
					c.Auth = []AuthMethod{m}
					a.Encryption, c.Encryption = pa, pc
					p := newPair(t, a, c)
					p.run(20*time.Second, func() bool { return p.bothUp() || p.bothEnded() })
					keys := m == MSCHAP || m == MSCHAPv2
					required := pa == EncryptionRequire || pc == EncryptionRequire
					possible := keys && pa != EncryptionOff && pc != EncryptionOff
					if required && !possible {
						if p.bothUp() || !p.bothEnded() {
							t.Fatalf("up %v, ended %v", p.bothUp(), p.bothEnded())
						}
						if r, r2 := p.a.reason, p.c.reason; r.Code != CodeEncryptionRequired && r2.Code != CodeEncryptionRequired {
							t.Errorf("ended by %+v and %+v", r, r2)
						}
						return
					}
					if !p.bothUp() {
						t.Fatalf("not up: %+v, %+v", p.a.reason, p.c.reason)
					}
					if encrypted := p.a.cipher != ""; encrypted != possible || p.a.cipher != p.c.cipher {
						t.Errorf("encryption %q and %q", p.a.cipher, p.c.cipher)
					}
					if p.a.auth.Method != m || p.c.auth.Method != m {
						t.Errorf("methods %v and %v", p.a.auth.Method, p.c.auth.Method)
					}
					if !p.ping([]byte("E a packet")) {
						t.Error("packets do not pass")
					}
				})
			}
		}
	}
}

// TestStrongestCommonEncryptionIsChosen goes through all sets of strengths, both modes.
func TestStrongestCommonEncryptionIsChosen(t *testing.T) {
	subset := func(n int) (s []mppe.Strength) {
		for i, st := range allStrengths {
			if n>>i&1 != 0 {
				s = append(s, st)
			}
		}
		return s
	}
	for _, m := range []AuthMethod{MSCHAP, MSCHAPv2} {
		for na := 1; na < 8; na++ {
			for nc := 1; nc < 8; nc++ {
				a, c := answererConfig(), callerConfig()
				a.Auth = []AuthMethod{m}
				a.MPPE, c.MPPE = subset(na), subset(nc)
				a.Encryption = EncryptionRequire
				p := newPair(t, a, c)
				p.run(20*time.Second, func() bool { return p.bothUp() || p.bothEnded() })
				common := na & nc
				if common == 0 {
					if p.bothUp() || p.a.reason.Code != CodeEncryptionRequired {
						t.Errorf("%v %v against %v: up %v, %+v", m, a.MPPE, c.MPPE, p.bothUp(), p.a.reason)
					}
					continue
				}
				best := subset(common)
				want := fmt.Sprintf("MPPE %v, stateless", best[len(best)-1])
				if p.a.cipher != want || p.c.cipher != want || !p.ping([]byte("E a packet")) {
					t.Errorf("%v %v against %v: %q and %q, want %q (%+v, %+v)", m, a.MPPE, c.MPPE, p.a.cipher, p.c.cipher, want, p.a.reason, p.c.reason)
				}
			}
		}
	}
}

// A long password has no LM hash, and MS-CHAP's short keys are made of that.
func TestLongPasswordAfterMSCHAPLeaves128BitsOnly(t *testing.T) {
	const long = "a password longer than fourteen"
	a, c := answererConfig(), callerConfig()
	a.Auth, c.Password = []AuthMethod{MSCHAP}, long
	a.Encryption, c.MPPE = EncryptionRequire, []mppe.Strength{mppe.Bits40}
	for _, want := range []string{"", "MPPE 128 bit, stateless"} {
		p := newPair(t, a, c)
		p.a.judge = func(r AuthRequest) Answer { return Check(r, long) }
		p.run(20*time.Second, func() bool { return p.bothUp() || p.bothEnded() })
		if p.a.cipher != want {
			t.Errorf("encryption %q, want %q (%+v, %+v)", p.a.cipher, want, p.a.reason, p.c.reason)
		}
		c.MPPE = nil
	}
}

func TestWrongPasswordIsRefusedInWords(t *testing.T) {
	for _, m := range allMethods {
		a, c := answererConfig(), callerConfig()
		a.Auth, c.Password = []AuthMethod{m}, "guess"
		p := newPair(t, a, c)
		p.run(20*time.Second, p.bothEnded)
		if p.bothUp() {
			t.Fatalf("%v: let in", m)
		}
		if r := p.a.reason; r.Side != Us || r.Code != CodeAuthFailed || !strings.Contains(r.Text, `"alice"`) || !strings.Contains(r.Text, "wrong user name or password") {
			t.Errorf("%v: answerer %+v", m, r)
		}
		if r := p.c.reason; r.Side != Peer || r.Code != CodeAuthFailed || !strings.Contains(r.Text, "wrong user name or password") {
			t.Errorf("%v: caller %+v", m, r)
		}
		if s := fmt.Sprintf("%+v %+v %v %+v", p.a.reason, p.c.reason, p.a.auth, c); strings.Contains(s, "guess") {
			t.Errorf("%v: the password shows in %s", m, s)
		}
	}
}

func TestCallerHangsUpOnAServerThatDoesNotKnowThePassword(t *testing.T) {
	p := newPair(t, answererConfig(), callerConfig())
	p.a.judge = func(r AuthRequest) Answer {
		a := Check(r, password)
		a.AuthenticatorResponse = "S=" + strings.Repeat("0", 40)
		return a
	}
	p.run(20*time.Second, p.bothEnded)
	if r := p.c.reason; r.Side != Us || r.Code != CodeServerNotVerified {
		t.Errorf("caller %+v", r)
	}
}

func TestDomainNamesPassInMSCHAPv2(t *testing.T) {
	c := callerConfig()
	c.Name = `OFFICE\alice`
	p := newPair(t, answererConfig(), c)
	p.exchange()
	if !p.bothUp() || p.a.auth.Name != `OFFICE\alice` {
		t.Errorf("%v, %+v", p.a.auth, p.a.reason)
	}
}

func TestUsersOwnPolicyAndAddressWin(t *testing.T) {
	a := answererConfig()
	require := EncryptionRequire
	c := callerConfig()
	c.Encryption = EncryptionOff
	for _, m := range allMethods {
		c.Auth = []AuthMethod{m}
		p := newPair(t, a, c)
		p.a.judge = func(r AuthRequest) Answer {
			ans := Check(r, password)
			ans.Encryption, ans.PeerIP = &require, dnsIP.Next().Next()
			return ans
		}
		p.run(20*time.Second, p.bothEnded)
		if r := p.a.reason; r.Side != Peer || r.Code != CodeEncryptionRequired || !strings.Contains(r.Text, "required for alice") {
			t.Errorf("%v: %+v", m, r)
		}
	}
	a.Encryption, require = EncryptionRequire, EncryptionOff
	p := newPair(t, a, c)
	p.a.judge = func(r AuthRequest) Answer {
		ans := Check(r, password)
		ans.Encryption, ans.PeerIP = &require, dnsIP.Next().Next()
		return ans
	}
	p.exchange()
	if !p.bothUp() || p.c.up.Local != dnsIP.Next().Next() {
		t.Errorf("%+v %+v", p.a.reason, p.c.up)
	}
}

func TestEngineGoesOnWhenTheAnswerComesLate(t *testing.T) {
	for _, m := range allMethods {
		a := answererConfig()
		a.Auth = []AuthMethod{m}
		p := newPair(t, a, callerConfig())
		var waiting []AuthRequest
		p.a.judge = nil
		p.run(14*time.Second, p.bothEnded) // the caller repeats itself meanwhile
		if p.a.authings != 1 || p.a.ended+p.c.ended != 0 || p.bothUp() {
			t.Fatalf("%v: %d requests, %+v, %+v, %v", m, p.a.authings, p.a.reason, p.c.reason, waiting)
		}
		switch s := p.a.Session.auth.(type) {
		case *papServer:
			p.a.Authenticate(p.now, Check(s.request, password))
		case *chapServer:
			p.a.Authenticate(p.now, Check(s.request, password))
		}
		p.exchange()
		if !p.bothUp() {
			t.Errorf("%v: not up", m)
		}
		p.a.Authenticate(p.now, Answer{}) // one answer too many changes nothing
		if !p.ping([]byte("E a packet")) {
			t.Errorf("%v: packets do not pass", m)
		}
	}
}

// spoiler damages, drops and inserts bytes, one in n.
func spoiler(seed uint64, n int) func([]byte) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(b []byte) []byte {
		var out []byte
		for _, c := range b {
			if r.IntN(n) == 0 {
				switch r.IntN(3) {
				case 0:
					continue
				case 1:
					out = append(out, byte(r.Uint32()))
				default:
					c ^= 1 << r.IntN(8)
				}
			}
			out = append(out, c)
		}
		return out
	}
}

// TestNoisyCallsComeUpAndNeverHang makes calls over a line that spoils one byte in a
// hundred. All must come to something, nearly all to IP.
func TestNoisyCallsComeUpAndNeverHang(t *testing.T) {
	const calls = 500
	up := 0
	for seed := range uint64(calls) {
		a, c := answererConfig(), callerConfig()
		m := allMethods[seed%4]
		a.Auth = []AuthMethod{m}
		if seed%8 >= 6 {
			a.Encryption = EncryptionRequire
		}
		if seed%3 == 0 {
			a.IPv6, c.IPv6 = true, true
			a.QualityInterval, c.QualityInterval = 10*time.Second, 10*time.Second
		}
		a.Rand, c.Rand = seeded(byte(seed)), seeded(byte(seed)+128)
		p := newPair(t, a, c)
		p.delay = 60 * time.Millisecond
		p.spoil = spoiler(seed, 100)
		p.run(10*time.Minute, func() bool { return p.bothUp() || p.a.ended > 0 || p.c.ended > 0 })
		switch {
		case p.bothUp():
			up++
		case p.a.ended+p.c.ended == 0:
			t.Errorf("call %d hangs: %v %v %v, %v %v %v", seed, p.a.lcp.state, p.a.ccp.state, p.a.ipcp.state, p.c.lcp.state, p.c.ccp.state, p.c.ipcp.state)
		default:
			t.Logf("call %d (%v): %+v, %+v", seed, m, p.a.reason, p.c.reason)
		}
	}
	t.Logf("%d of %d calls came up", up, calls)
	if up < calls*97/100 {
		t.Errorf("only %d of %d calls came up", up, calls)
	}
}
