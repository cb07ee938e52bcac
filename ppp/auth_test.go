package ppp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
	"postern/ppp/mschap"
)

func TestPeerThatPicksAnotherMethodGetsItOrIsToldWhy(t *testing.T) {
	chap := func(alg string) string { return "0305 c223 " + alg }
	cfg := answererConfig()
	cfg.Encryption = EncryptionOff
	p := newPeer(t, cfg)
	p.say(protoLCP, codeConfigureNak, p.lcp.reqID, "0304 c023") // PAP, skipping two
	if p.link.auth[0] != PAP {
		t.Errorf("asks for %v", p.link.auth)
	}
	cfg.Auth = []AuthMethod{MSCHAPv2, MSCHAP}
	p = newPeer(t, cfg)
	p.say(protoLCP, codeConfigureNak, p.lcp.reqID, "0304 c023") // not allowed: the next
	if p.link.auth[0] != MSCHAP {
		t.Errorf("asks for %v", p.link.auth)
	}
	p.say(protoLCP, codeConfigureNak, p.lcp.reqID, chap("05"))
	p.wait(10 * time.Second)
	if p.reason.Code != CodeAuthRefused || p.reason.Text != "the caller offers only PAP, CHAP-MD5 to log in, and MS-CHAPv2 or MS-CHAP is asked for" {
		t.Errorf("%+v", p.reason)
	}
	p = newPeer(t, cfg)
	p.say(protoLCP, codeConfigureReject, p.lcp.reqID, chap("81"))
	p.wait(10 * time.Second)
	if p.reason.Code != CodeAuthRefused || !strings.Contains(p.reason.Text, "refuses to log in") {
		t.Errorf("%+v", p.reason)
	}
}

func TestAnswererDoesNotSayWhoItIs(t *testing.T) {
	p := plain(t)
	p.say(protoLCP, codeConfigureRequest, 1, "0304 c023 0702")
	p.expect("c021 04 01 0304c023")
}

func TestSecondLogInMustBeTheSamePerson(t *testing.T) {
	for _, second := range []string{"alice", "bob"} {
		p := newPeer(t, answererConfig())
		p.openLCP()
		p.logIn("alice")
		p.ack(protoIPCP)
		p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
		if p.ups != 1 {
			t.Fatal("IP is not up")
		}
		p.say(protoLCP, codeConfigureRequest, 77, "05 06 aabbccdd")
		if p.SendIP(p.now, []byte{0x45}) {
			t.Error("IP passes while LCP starts again")
		}
		p.ack(protoLCP)
		p.logIn(second)
		if ended := p.phase >= phaseTerminate; ended != (second != "alice") {
			t.Errorf("%s after alice: phase %v", second, p.phase)
		}
	}
}

// Else a stranger could guess for as long as it pays for the call.
func TestStartingLCPAgainGivesNoFurtherTries(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.judge = func(AuthRequest) Answer { return Answer{} }
	for id := byte(1); id < 20 && p.phase < phaseTerminate; id++ {
		p.ack(protoLCP)
		p.say(protoLCP, codeConfigureRequest, id, "05 06 aabbccdd")
		if id%2 == 0 {
			p.ack(protoLCP)
		}
		if p.phase == phaseAuthenticate {
			p.logIn("alice")
		}
	}
	if p.authings != 3 || p.cause.Code != CodeAuthFailed {
		t.Errorf("%d tries, %+v", p.authings, p.cause)
	}
}

func TestAnswerToAnAbandonedLogInIsNotTheNewOnes(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.judge = nil
	p.openLCP()
	p.logIn("alice")
	p.say(protoLCP, codeConfigureRequest, 77, "05 06 aabbccdd")
	p.ack(protoLCP)
	p.logIn("bob")
	if p.authings != 1 {
		t.Fatalf("%d requests are outstanding", p.authings)
	}
	p.Authenticate(p.now, Answer{OK: true, AuthenticatorResponse: "S="}) // alice's
	if p.phase != phaseAuthenticate {
		t.Errorf("bob came in as alice: phase %v", p.phase)
	}
	p.logIn("bob")
	if p.authings != 2 {
		t.Errorf("bob is not judged")
	}
}

func TestWrongPasswordMayBeTypedAgainInTheSameCall(t *testing.T) {
	for _, last := range []bool{true, false} {
		p := newPeer(t, answererConfig())
		p.openLCP()
		wrong := true
		p.judge = func(r AuthRequest) Answer {
			if wrong {
				return Answer{}
			}
			return Check(r, password)
		}
		p.logIn("alice")
		got := p.expect("c223 04 01 *")
		text := string(bytesOf(t, got[0][len("c223 04 01 "):]))
		if !strings.HasPrefix(text, "E=691 R=1 C=") || !strings.Contains(text, " V=3 M=wrong user name") {
			t.Errorf("Failure says %q", text)
		}
		c := p.Session.auth.(*chapServer)
		if want := strings.ToUpper(hex.EncodeToString(c.challenge)); text[12:44] != want {
			t.Errorf("the challenge is %s, not %s", text[12:44], want)
		}
		p.say(protoCHAP, chapResponse, 1, "31"+strings.Repeat("00", 49)) // a copy: the Failure was lost
		p.expect(got[0])
		for range 15 { // a person types
			p.wait(2 * time.Second)
			p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
		}
		p.expect()
		if p.ended != 0 {
			t.Fatalf("%+v", p.reason)
		}
		p.logIn("alice")
		p.expect("c223 04 02 *")
		wrong = last
		p.logIn("alice")
		if last {
			got = p.expect("c223 04 03 *", "c021 05 *")
			if text := string(bytesOf(t, got[0][len("c223 04 01 "):])); !strings.HasPrefix(text, "E=691 R=0 ") {
				t.Errorf("Failure says %q", text)
			}
			p.wait(10 * time.Second)
			if p.reason.Code != CodeAuthFailed || p.authings != 3 {
				t.Errorf("%d tries, %+v", p.authings, p.reason)
			}
		} else {
			p.expect("c223 03 03 *", "80fd 01 *", "8021 01 *")
		}
	}
}

func TestDisabledAccountIsNotAskedToTypeAgain(t *testing.T) {
	for code, want := range map[int]string{646: "time of day", 647: "disabled", 648: "expired", 649: "no permission"} {
		p := newPeer(t, answererConfig())
		p.judge = func(AuthRequest) Answer { return Answer{Code: code} }
		p.openLCP()
		p.logIn("alice")
		p.hear()
		p.wait(10 * time.Second)
		if p.reason.Code != CodeAuthFailed || !strings.Contains(p.reason.Text, want) {
			t.Errorf("%d: %+v", code, p.reason)
		}
	}
}

func TestCallerThatGivesUpAfterARefusalWasRefused(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.judge = func(AuthRequest) Answer { return Answer{} }
	p.openLCP()
	p.logIn("alice")
	p.say(protoLCP, codeTerminateRequest, 9, hex.EncodeToString([]byte("Failed to authenticate ourselves to peer")))
	p.wait(10 * time.Second)
	if p.reason.Code != CodeAuthFailed || p.reason.Side != Us {
		t.Errorf("%+v", p.reason)
	}
}

// lmResponse is what Windows 95 answers an MS-CHAP challenge with: LM, and no NT.
func (p *peer) lmResponse() {
	p.t.Helper()
	c, ok := p.Session.auth.(*chapServer)
	if !ok || c.method != MSCHAP {
		p.t.Fatal("no MS-CHAP challenge")
	}
	hash, _ := mschap.LMHash(password)
	lm := mschap.Response([8]byte(c.challenge), hash)
	value := append(lm[:], make([]byte, 25)...)
	p.raw(protoCHAP, packet{chapResponse, c.id, append(append([]byte{49}, value...), "alice"...)}.append(nil))
}

func TestLMResponsesAreRefusedUnlessAllowed(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth = []AuthMethod{MSCHAP}
	cfg.MPPE = []mppe.Strength{mppe.Bits40}
	p := newPeer(t, cfg)
	p.openLCP()
	p.lmResponse()
	if p.authings != 0 || !strings.Contains(p.Session.refusal.Text, "only an LM response came, which is not allowed") {
		t.Errorf("%d judged, %+v", p.authings, p.Session.refusal)
	}
	cfg.AllowLM = true
	p = newPeer(t, cfg) // for some users, and not for this one
	p.openLCP()
	p.lmResponse()
	if p.authings != 1 || p.known {
		t.Errorf("%d judged, let in %v", p.authings, p.known)
	}
	p = newPeer(t, cfg)
	p.judge = func(r AuthRequest) Answer {
		if !r.OnlyLM() || CheckLM(r, "other").OK {
			t.Errorf("%v: only LM %v", r, r.OnlyLM())
		}
		return CheckLM(r, password)
	}
	p.openLCP()
	p.lmResponse()
	p.expect("c223 03 01", "80fd 01 01 120601000020", "8021 01 *")
}

func TestCallerProvesItselfAgainWhileTheLinkStaysUp(t *testing.T) {
	for _, m := range []AuthMethod{CHAPMD5, MSCHAP, MSCHAPv2} {
		a, c := answererConfig(), callerConfig()
		a.Auth, a.Rechallenge = []AuthMethod{m}, time.Minute
		p := newPair(t, a, c)
		p.exchange()
		p.run(10*time.Minute+time.Second, p.bothEnded)
		if p.a.authings != 11 || p.bothEnded() || !p.ping([]byte("E still here")) || p.a.ups != 1 {
			t.Errorf("%v: challenged %d times, %+v", m, p.a.authings, p.a.reason)
		}
		p.a.judge = func(AuthRequest) Answer { return Answer{Code: 647} }
		p.run(2*time.Minute, p.bothEnded)
		if p.a.reason.Code != CodeAuthFailed {
			t.Errorf("%v: %+v", m, p.a.reason)
		}
	}
}

func TestAnotherPersonCannotTakeTheCallOver(t *testing.T) {
	cfg := answererConfig()
	cfg.Encryption, cfg.Rechallenge = EncryptionOff, time.Minute
	p := newPeer(t, cfg)
	p.openLCP()
	p.logIn("alice")
	p.ack(protoIPCP)
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002")
	for range 31 {
		p.wait(2 * time.Second)
		p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
	}
	p.logIn("bob")
	if p.cause.Code != CodeAuthFailed {
		t.Errorf("%+v", p.cause)
	}
}

func TestARefusalIsInTheWordsOfWhoeverJudged(t *testing.T) {
	for _, m := range []AuthMethod{PAP, CHAPMD5, MSCHAP, MSCHAPv2} {
		cfg := answererConfig()
		cfg.Auth = []AuthMethod{m}
		p := newPair(t, cfg, callerConfig())
		p.a.judge = func(AuthRequest) Answer { return Answer{Code: 649, Message: "too many guesses"} }
		p.run(time.Minute, p.bothEnded)
		if !strings.HasSuffix(p.a.reason.Text, ": too many guesses") {
			t.Errorf("%v: %+v", m, p.a.reason)
		}
	}
}
