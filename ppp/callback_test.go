package ppp

import (
	"strings"
	"testing"
	"time"
)

const cbcpCaller = "05 06 aabbccdd 0d03 06"

// inCallbackPhase is a caller that has asked for CBCP and logged in.
func inCallbackPhase(t *testing.T, offer, users Callback) *peer {
	t.Helper()
	cfg := answererConfig()
	cfg.Encryption, cfg.Callback = EncryptionOff, offer
	p := newPeer(t, cfg)
	p.judge = func(r AuthRequest) Answer {
		a := Check(r, password)
		a.Callback = users
		return a
	}
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, cbcpCaller)
	p.logIn("alice")
	if p.phase != phaseCallback {
		t.Fatalf("phase %v, %+v", p.phase, p.reason)
	}
	return p
}

func TestCallbackIsRejectedUnlessItIsConfigured(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.hear()
	p.say(protoLCP, codeConfigureRequest, 1, cbcpCaller)
	p.expect("c021 04 01 0d0306")
	c := callerConfig()
	c.Callback = CallbackNone
	p = newPeer(t, c)
	p.hear()
	p.say(protoLCP, codeConfigureRequest, 1, cbcpCaller)
	p.expect("c021 04 01 0d0306") // who called has no callback to give
}

func TestNetworkProtocolsWaitForCBCP(t *testing.T) {
	p := inCallbackPhase(t, CallbackNone|CallbackNamed|CallbackPreset, 0)
	p.expect("c021 *", "c021 02 *", "c223 01 *", "c223 03 *", "c029 01 01 010202050001000303"+"00")
	p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
	p.expect()
	p.say(protoCBCP, cbcpResponse, 1, "0102")
	p.expect("c029 03 01 0102", "8021 01 *")
	p.say(protoIPCP, codeConfigureRequest, 1, "03 06 0a404002")
	p.expect("8021 02 *")
}

func TestCallerIsCalledBackAtTheNumberThatItNames(t *testing.T) {
	for _, c := range []struct {
		response, number string
		delay            time.Duration
	}{
		{"0204 0c 01 3535353031303000", "", 0}, // a length that lies
		{"020b 0c 01 35353530313000", "555010", 12 * time.Second},
		{"0303 05", "", 5 * time.Second},
	} {
		p := inCallbackPhase(t, CallbackNamed|CallbackPreset, 0)
		var got []CallbackRequest
		p.hear()
		p.onCallback = func(r CallbackRequest) { got = append(got, r) }
		p.say(protoCBCP, cbcpResponse, 1, c.response)
		if c.number == "" && c.delay == 0 {
			if len(got) != 0 || p.phase != phaseCallback {
				t.Errorf("%s: %v", c.response, got)
			}
			continue
		}
		if len(got) != 1 || got[0] != (CallbackRequest{c.number, c.delay}) {
			t.Errorf("%s gives %v", c.response, got)
		}
		heard := p.expect("c029 03 01 *", "c021 05 *")
		if !strings.HasSuffix(heard[0], strings.ReplaceAll(c.response, " ", "")) {
			t.Errorf("acknowledged as %s", heard[0])
		}
		p.say(protoLCP, codeTerminateAck, p.lcp.id, "")
		if p.ended != 1 || p.reason.Code != CodeCallback || p.reason.Side != Us {
			t.Errorf("%+v", p.reason)
		}
	}
}

func TestUsersOwnCallbackWins(t *testing.T) {
	p := inCallbackPhase(t, CallbackNone, CallbackPreset)
	p.expect("c021 *", "c021 02 *", "c223 01 *", "c223 03 *", "c029 01 01 030300")
	p.say(protoCBCP, cbcpResponse, 1, "0102") // to go on is not for this user
	p.expect("c029 01 02 030300")
	for range maxFailure {
		p.say(protoCBCP, cbcpResponse, 2, "0102")
	}
	p.wait(10 * time.Second)
	if p.reason.Code != CodeCallbackFailed || p.ups != 0 {
		t.Errorf("%+v", p.reason)
	}
}

func TestCallerThatNeverChoosesTimesOut(t *testing.T) {
	p := inCallbackPhase(t, CallbackNone, 0)
	for range 60 {
		p.wait(2 * time.Second)
		p.say(protoLCP, codeDiscardRequest, 1, "aabbccdd")
	}
	if p.ended != 1 || p.reason.Code != CodeCallbackFailed || p.reason.Side != Peer {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestCallerThatRejectsCBCPGoesOnIfItMay(t *testing.T) {
	p := inCallbackPhase(t, CallbackNone, 0)
	p.say(protoLCP, codeProtocolReject, 1, "c0290101")
	if p.phase != phaseNetwork {
		t.Errorf("phase %v, %+v", p.phase, p.reason)
	}
	p = inCallbackPhase(t, CallbackPreset, 0)
	p.say(protoLCP, codeProtocolReject, 1, "c0290101")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeCallbackFailed {
		t.Errorf("%+v", p.reason)
	}
}

func TestWhatIsNoChoiceGetsTheListAgain(t *testing.T) {
	for _, data := range []string{
		"", "01", "0100", "0101", "0103 00", "0102 0102", "0404 0000", // no, or not offered
		"0205 000100",                             // an empty number
		"0207 00 01 2b2b2b 00", "0206 00 02 3535", // another kind of address, no end
		"0208 00 01 35 0d 41 00", // a modem command
	} {
		p := inCallbackPhase(t, CallbackNone|CallbackNamed, 0)
		p.hear()
		p.say(protoCBCP, cbcpResponse, 1, data)
		p.expect("c029 01 02 *")
		p.say(protoCBCP, cbcpResponse, 9, "0102") // to a Request that was never sent
		p.say(protoCBCP, cbcpRequest, 1, "0102")
		p.raw(protoCBCP, []byte{2, 1})
		p.expect()
		p.say(protoCBCP, cbcpResponse, 2, "0102")
		p.expect("c029 03 02 0102", "8021 01 *")
	}
}

func TestCallbackOfRFC1570(t *testing.T) {
	for _, c := range []struct {
		option string
		offer  Callback
		answer string
		code   string
	}{
		{"0d03 00", CallbackPreset, "02", CodeCallback},
		{"0d03 00", CallbackNone, "03", ""},
		{"0d09 01 353535303130", CallbackNamed, "02", CodeCallback},
		{"0d09 03 353535303130", CallbackNamed, "02", CodeCallback},
		{"0d09 03 353535303130", CallbackPreset, "03", ""},
		{"0d06 01 410d54", CallbackNamed, "03", ""},
		{"0d03 02", CallbackNamed, "03", ""},
		{"0d04 0600", CallbackNone, "03", ""},
		{"0d02", CallbackNone, "03", ""},
	} {
		cfg := answererConfig()
		cfg.Callback = c.offer
		p := newPeer(t, cfg)
		p.hear()
		p.ack(protoLCP)
		p.say(protoLCP, codeConfigureRequest, 1, c.option)
		want := "c021 03 01 0d0306"
		if c.answer == "02" {
			want = "c021 02 01 " + strings.ReplaceAll(c.option, " ", "")
		}
		if got := p.hear(); got[0] != want {
			t.Errorf("%s with %b is answered %v", c.option, c.offer, got)
		}
		if c.answer != "02" {
			continue
		}
		var got []CallbackRequest
		p.onCallback = func(r CallbackRequest) { got = append(got, r) }
		p.logIn("alice")
		p.wait(10 * time.Second)
		if p.reason.Code != c.code || len(got) != 1 || len(c.option) > 7 && got[0].Number != "555010" {
			t.Errorf("%s: %+v, %v", c.option, p.reason, got)
		}
	}
}

func TestUserWithoutCallbackIsToldSo(t *testing.T) {
	cfg := answererConfig()
	cfg.Callback = CallbackPreset
	p := newPeer(t, cfg)
	p.judge = func(r AuthRequest) Answer {
		a := Check(r, password)
		a.Callback = CallbackNone
		return a
	}
	p.ack(protoLCP)
	p.say(protoLCP, codeConfigureRequest, 1, "0d03 00")
	p.logIn("alice")
	p.wait(10 * time.Second)
	if p.reason.Code != CodeCallbackFailed || !strings.Contains(p.reason.Text, `which "alice" may not`) {
		t.Errorf("%+v", p.reason)
	}
}
