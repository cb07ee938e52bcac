package dialup

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
	"postern/ppp/hdlc"
)

var (
	methodsNoon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	fromHome    = Origin{Line: "line1", Number: home}
	withheld    = Origin{Line: "line1"}
)

func allMethods() ppp.Config {
	return ppp.Config{
		Auth:       []ppp.AuthMethod{ppp.MSCHAPv2, ppp.MSCHAP, ppp.CHAPMD5, ppp.PAP},
		Encryption: ppp.EncryptionPrefer,
	}
}

// first is what a call from there is asked for first.
func first(m *Methods, now time.Time, from Origin, cfg ppp.Config) ppp.AuthMethod {
	return m.order(now, from, cfg)[0]
}

// silent ends a call from there without an answer to being asked.
func silent(m *Methods, now time.Time, from Origin, cfg ppp.Config) {
	m.learn(now, from, cfg, login{asked: first(m, now, from, cfg), silent: true})
}

func TestSilenceMakesTheNextCallBeginWithTheNextMethod(t *testing.T) {
	m, cfg := &Methods{}, allMethods()
	for i, want := range slices.Concat(cfg.Auth, cfg.Auth[:1]) {
		got := m.order(methodsNoon, fromHome, cfg)
		if got[0] != want || len(got) != 4 || !sameMethods(got, cfg.Auth) {
			t.Errorf("call %d is asked for %v", i+1, got)
		}
		silent(m, methodsNoon, fromHome, cfg)
	}
	if got := first(m, methodsNoon, withheld, cfg); got != ppp.MSCHAPv2 {
		t.Errorf("others are asked for %v", got)
	}
}

func sameMethods(a, b []ppp.AuthMethod) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func TestWhatWorkedIsKeptForTheNumberAndShortlyForALine(t *testing.T) {
	for from, age := range map[Origin]time.Duration{fromHome: rememberNumber, withheld: rememberLine} {
		m, cfg := &Methods{}, allMethods()
		silent(m, methodsNoon, from, cfg)
		now := methodsNoon
		for range 5 { // each call renews it
			now = now.Add(age - time.Second)
			if got := first(m, now, from, cfg); got != ppp.MSCHAP {
				t.Fatalf("%+v: asked for %v", from, got)
			}
			m.learn(now, from, cfg, login{asked: ppp.MSCHAP, answered: true, by: ppp.MSCHAP})
		}
		if got := first(m, now.Add(age), from, cfg); got != ppp.MSCHAPv2 {
			t.Errorf("%+v: %v later asked for %v", from, age, got)
		}
	}
}

func TestACallerWhoSaysWhatItWantsIsAskedForTheBestAgain(t *testing.T) {
	m, cfg := &Methods{}, allMethods()
	m.learn(methodsNoon, fromHome, cfg, login{asked: ppp.MSCHAPv2, answered: true, by: ppp.PAP})
	if len(m.known) != 0 {
		t.Errorf("remembered %+v of a caller who sends Naks", m.known)
	}
	silent(m, methodsNoon, fromHome, cfg)
	m.learn(methodsNoon, fromHome, cfg, login{asked: ppp.MSCHAP, answered: true, by: ppp.MSCHAPv2})
	if got := first(m, methodsNoon, fromHome, cfg); got != ppp.MSCHAPv2 {
		t.Errorf("asked for %v", got)
	}
}

func TestAWrongPasswordTeachesNothing(t *testing.T) {
	m, cfg := &Methods{}, allMethods()
	m.learn(methodsNoon, fromHome, cfg, login{asked: ppp.MSCHAPv2, answered: true})
	if got := first(m, methodsNoon, fromHome, cfg); got != ppp.MSCHAPv2 {
		t.Errorf("asked for %v", got)
	}
}

func TestWhereEncryptionIsRequiredOnlyMethodsWithKeysComeFirst(t *testing.T) {
	box := allMethods()
	box.Encryption = ppp.EncryptionRequire
	for name, tc := range map[string]struct {
		cfg  ppp.Config
		user bool // who has logged in from there must be encrypted
	}{"by the box": {box, false}, "by a user": {allMethods(), true}} {
		m := &Methods{}
		if tc.user {
			m.learn(methodsNoon, fromHome, tc.cfg, login{asked: ppp.MSCHAPv2, answered: true, by: ppp.MSCHAPv2, keys: true})
		}
		for i := range 6 {
			want := []ppp.AuthMethod{ppp.MSCHAPv2, ppp.MSCHAP}[i%2]
			if got := first(m, methodsNoon, fromHome, tc.cfg); got != want {
				t.Errorf("%s: call %d is asked for %v", name, i+1, got)
			}
			silent(m, methodsNoon, fromHome, tc.cfg)
		}
	}
	// Learned from somebody else at the same number, before.
	m, cfg := &Methods{}, allMethods()
	for range 3 {
		silent(m, methodsNoon, fromHome, cfg)
	}
	m.learn(methodsNoon, fromHome, cfg, login{asked: ppp.PAP, answered: true, by: ppp.PAP, keys: true})
	if got := first(m, methodsNoon, fromHome, cfg); got != ppp.MSCHAPv2 {
		t.Errorf("after the call that could not be encrypted: asked for %v", got)
	}
}

func TestOnlyCallersThatSpokePPPAndDidNotAnswerAreSilent(t *testing.T) {
	clear, noisy := hdlc.Counts{Good: 20}, hdlc.Counts{Good: 5, BadFCS: 9}
	for name, tc := range map[string]struct {
		told   login
		code   string
		lasted time.Duration
		line   hdlc.Counts
		want   bool
	}{
		"LCP led nowhere":               {login{}, ppp.CodeLCPFailed, time.Minute, clear, true},
		"it did not answer a challenge": {login{}, ppp.CodeAuthTimeout, time.Minute, clear, true},
		"it hung up after a while":      {login{}, ppp.CodePeerHangup, 30 * time.Second, clear, true},
		"its modem did":                 {login{}, ppp.CodeCarrierLost, 30 * time.Second, clear, true},
		"it changed its mind":           {login{}, ppp.CodePeerHangup, 5 * time.Second, clear, false},
		"the line was noisy":            {login{}, ppp.CodeLCPFailed, time.Minute, noisy, false},
		"a fax called":                  {login{}, ppp.CodeCarrierLost, time.Minute, hdlc.Counts{}, false},
		"it never spoke PPP":            {login{}, ppp.CodeLCPTimeout, time.Minute, hdlc.Counts{}, false},
		"its password was wrong":        {login{answered: true}, ppp.CodePeerHangup, time.Minute, clear, false},
		"we were shutting down":         {login{}, ppp.CodeShutdown, time.Minute, clear, false},
	} {
		l := tc.told
		if l.finish(ppp.Reason{Code: tc.code}, tc.lasted, ppp.Counts{Line: tc.line}); l.silent != tc.want {
			t.Errorf("%s: silent is %v", name, l.silent)
		}
	}
}

func TestTheMemoryOfMethodsIsBounded(t *testing.T) {
	m, cfg := &Methods{}, allMethods()
	for i := range 3 * maxMethods {
		silent(m, methodsNoon.Add(time.Duration(i)*time.Second), Origin{Number: fmt.Sprint(i)}, cfg)
	}
	newest := Origin{Number: fmt.Sprint(3*maxMethods - 1)}
	if got := first(m, methodsNoon.Add(time.Hour), newest, cfg); len(m.known) != maxMethods || got != ppp.MSCHAP {
		t.Errorf("%d are remembered, the newest is asked for %v", len(m.known), got)
	}
}

// mutePort is the modem of a client that never sends a Configure-Nak, as KB
// Q238734 tells of clients that know PAP only.
type mutePort struct{ *exchange.Port }

// A Configure-Nak of LCP's as it looks on the line: every octet below 32 is
// escaped until LCP is up (RFC 1662 section 7.1).
var configureNak = []byte("\xff\x7d\x23\xc0\x21\x7d\x23")

func (p mutePort) Write(b []byte) (int, error) {
	if !bytes.Contains(b, configureNak) {
		return p.Port.Write(b)
	}
	var rest []byte
	for frame := range bytes.SplitSeq(b, []byte{0x7e}) {
		if len(frame) > 0 && !bytes.HasPrefix(frame, configureNak) {
			rest = append(append(append(rest, 0x7e), frame...), 0x7e)
		}
	}
	if _, err := p.Port.Write(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}

func TestAClientThatKnowsOnlyPAPAndNeverSaysSoComesInWithItsSecondCall(t *testing.T) {
	inBubble(t, map[string]bool{"with a number": true, "without": false}, func(t *testing.T, callerID bool) {
		o := newOffice(t, exchange.Config{})
		var methods Methods
		o.line(theBox, func(cfg *LineConfig) {
			cfg.PPP.Auth = []ppp.AuthMethod{ppp.CHAPMD5, ppp.PAP}
			cfg.CallerID, cfg.Methods = callerID, &methods
		})
		time.Sleep(10 * time.Second)
		pc := o.callerConfig(home)
		pc.PPP.Auth, pc.PPP.Encryption = []ppp.AuthMethod{ppp.PAP}, ppp.EncryptionOff
		pc.Open = func(context.Context) (Port, error) {
			p, err := o.x.Modem(home).Open()
			return mutePort{p}, err
		}
		if _, err := Dial(t.Context(), pc, theBox); err == nil {
			t.Fatal("the first call came in: the client says what it wants")
		}
		if v := o.verdict(1).Verdict; strings.Contains(v.Text, "refused") {
			t.Errorf("the first call: %+v", v)
		}
		time.Sleep(30 * time.Second)
		for range 2 { // and with every further one
			c, err := Dial(t.Context(), pc, theBox)
			if err != nil {
				t.Fatalf("the second call: %v", err)
			}
			o.exchanges(3)
			c.Close()
			time.Sleep(30 * time.Second)
		}
		o.mu.Lock()
		for _, e := range o.events {
			if in, found := e.(status.CallAuthenticated); found && in.Method != "PAP" {
				t.Errorf("came in by %s", in.Method)
			}
		}
		o.mu.Unlock()
		from := Origin{Line: "line " + theBox}
		if callerID {
			from.Number = home
		}
		if got := first(&methods, time.Now(), from, ppp.Config{Auth: []ppp.AuthMethod{ppp.CHAPMD5, ppp.PAP}}); got != ppp.PAP {
			t.Errorf("the next call is asked for %v", got)
		}
		// A client that does say what it wants is asked again for the best.
		if callerID {
			pc := o.callerConfig("5550198")
			pc.PPP.Auth = []ppp.AuthMethod{ppp.CHAPMD5}
			c, err := Dial(t.Context(), pc, theBox)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		o.close()
	})
}
