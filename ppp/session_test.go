package ppp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEngineNeitherWaitsNorLooksAtTheClock holds the engine to bytes and time in, bytes and
// events out.
func TestEngineNeitherWaitsNorLooksAtTheClock(t *testing.T) {
	forbidden := map[string]bool{"net": true, "os": true, "sync": true, "context": true, "log": true, "log/slog": true}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if forbidden[path] || strings.HasPrefix(path, "postern/") && !strings.HasPrefix(path, "postern/ppp/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"time.Now", "time.Since", "time.After(", "time.Sleep", "\tgo ", "chan "} {
			if bytes.Contains(src, []byte(word)) {
				t.Errorf("%s has %q", name, word)
			}
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const secret = "squeamish-ossifrage"
	c := callerConfig()
	c.Password = secret
	r := AuthRequest{Method: PAP, Name: "alice", Password: secret, Response: []byte(secret)}
	s := New(c, epoch)
	type nested struct {
		C Config
		R AuthRequest
		E Event
		S *Session
	}
	for _, v := range []any{c, &c, r, &r, s, nested{c, r, Event{Kind: EventAuth, Auth: r}, s}, Check(r, secret)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, fmt.Sprint([]byte(secret))) {
				t.Errorf("%T with %s prints %s", v, verb, text)
			}
		}
		var text bytes.Buffer
		slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
		if strings.Contains(text.String(), secret) {
			t.Errorf("%T logs %s", v, text.String())
		}
	}
	if b, err := json.Marshal(r); err != nil || strings.Contains(string(b), secret) {
		t.Errorf("%s %v", b, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestWithoutRandomnessThereIsNoCall(t *testing.T) {
	cfg := answererConfig()
	cfg.Rand = broken{}
	p := newPeer(t, cfg)
	p.wait(30 * time.Second)
	if p.ended != 1 || p.reason.Code != CodeNoRandomness || p.reason.Side != Us {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestCheckJudgesEveryMethod(t *testing.T) {
	for _, m := range allMethods {
		a, c := answererConfig(), callerConfig()
		a.Auth = []AuthMethod{m}
		p := newPair(t, a, c)
		var seen AuthRequest
		p.a.judge = func(r AuthRequest) Answer { seen = r; return Check(r, password) }
		p.exchange()
		if !Check(seen, password).OK {
			t.Errorf("%v: the right password is wrong", m)
		}
		for _, wrong := range []string{"", "clientpass", password + "x"} {
			if a := Check(seen, wrong); a.OK || a.Code != 691 || a.AuthenticatorResponse != "" {
				t.Errorf("%v: password %q gives %+v", m, wrong, a)
			}
		}
		if m == PAP {
			continue
		}
		cut := seen
		cut.Response = cut.Response[:len(cut.Response)-1]
		if Check(cut, password).OK {
			t.Errorf("%v: a short response is right", m)
		}
		other := seen
		other.Challenge = bytes.Repeat([]byte{7}, len(seen.Challenge))
		if Check(other, password).OK {
			t.Errorf("%v: a response to another challenge is right", m)
		}
	}
	if Check(AuthRequest{Method: 99}, "").OK {
		t.Error("an unknown method is right")
	}
}

// An account without a password must not be open to a client that leaves its response empty.
func TestMSCHAPWithoutNTResponseIsWrong(t *testing.T) {
	r := AuthRequest{Method: MSCHAP, Name: "alice", Challenge: make([]byte, 8), Response: make([]byte, 49)}
	if Check(r, "").OK {
		t.Error("an empty MS-CHAP response is right")
	}
	r = AuthRequest{Method: MSCHAPv2, Name: "alice", Challenge: make([]byte, 16), Response: make([]byte, 49)}
	if Check(r, "").OK {
		t.Error("an empty MS-CHAPv2 response is right")
	}
}

// timeLeadsToAnEnd advances s without further input until it ends.
func timeLeadsToAnEnd(t *testing.T, s *Session, now time.Time) {
	t.Helper()
	limit := now.Add(time.Hour)
	var out []byte
	for range 10000 {
		for {
			e := s.NextEvent()
			if e.Kind == EventEnded {
				if e.Reason.IsZero() || e.Reason.Code == "" || e.Reason.Text == "" || e.Reason.Side == 0 {
					t.Fatalf("ended without a reason: %+v", e.Reason)
				}
				timeLeadsToSilence(t, s, now)
				return
			}
			if e.Kind == NoEvent {
				break
			}
		}
		out = s.Output(out[:0])
		d := s.Deadline()
		if d.IsZero() {
			t.Fatalf("no deadline and no end: phase %v, LCP %v, CCP %v, IPCP %v", s.phase, s.lcp.state, s.ccp.state, s.ipcp.state)
		}
		if d.After(limit) {
			t.Fatalf("nothing happens before %v", d)
		}
		if d.After(now) {
			now = d
		}
		s.Advance(now)
	}
	t.Fatalf("time leads nowhere: phase %v, LCP %v, CCP %v, IPCP %v, deadline %v", s.phase, s.lcp.state, s.ccp.state, s.ipcp.state, s.Deadline())
}

// timeLeadsToSilence advances a session that has ended until it has no deadline. It must not tell
// anything more.
func timeLeadsToSilence(t *testing.T, s *Session, now time.Time) {
	t.Helper()
	for range 100 {
		if e := s.NextEvent(); e.Kind != NoEvent {
			t.Fatalf("%v after the end", e.Kind)
		}
		d := s.Deadline()
		if d.IsZero() {
			return
		}
		if d.After(now) {
			now = d
		}
		s.Advance(now)
	}
	t.Fatalf("the end does not end: phase %v, LCP %v, deadline %v", s.phase, s.lcp.state, s.Deadline())
}

func TestTimeLeadsToAnEndFromEveryMoment(t *testing.T) {
	for n := range 14 {
		for _, policy := range allPolicies {
			for _, judged := range []bool{true, false} {
				a, c := answererConfig(), callerConfig()
				a.Encryption = policy
				p := newPair(t, a, c)
				if !judged {
					p.a.judge = nil
				}
				for range n {
					p.a.drain(p.now)
					p.c.drain(p.now)
					down, up := p.a.Output(nil), p.c.Output(nil)
					p.a.Input(p.now, up)
					p.c.Input(p.now, down)
				}
				timeLeadsToAnEnd(t, p.a.Session, p.now)
				timeLeadsToAnEnd(t, p.c.Session, p.now)
			}
		}
	}
}

func TestIPPacketsCostNoAllocation(t *testing.T) {
	a, c := answererConfig(), callerConfig()
	p := newPair(t, a, c)
	p.exchange()
	if !p.bothUp() {
		t.Fatal("not up")
	}
	pkt := bytes.Repeat([]byte{0x45, 0x7e, 3}, 450)
	var wire []byte
	got := 0
	send := func() {
		p.a.SendIP(p.now, pkt)
		wire = p.a.Output(wire[:0])
		p.c.Input(p.now, wire)
		for e := p.c.NextEvent(); e.Kind != NoEvent; e = p.c.NextEvent() {
			got += len(e.Packet)
		}
	}
	send()
	if n := testing.AllocsPerRun(100, send); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if got < 100*len(pkt) {
		t.Errorf("%d octets came", got)
	}
}

func TestPacketsOfOneInputAreAllValidUntilTheNext(t *testing.T) {
	p := newPair(t, answererConfig(), callerConfig())
	p.exchange()
	const n = 50
	var wire []byte
	for i := range n {
		if !p.c.SendIP(p.now, bytes.Repeat([]byte{byte(i + 1)}, 200)) {
			wire = p.c.Output(wire)
			p.c.SendIP(p.now, bytes.Repeat([]byte{byte(i + 1)}, 200))
		}
	}
	wire = p.c.Output(wire)
	p.a.Input(p.now, wire)
	var pkts [][]byte
	for e := p.a.NextEvent(); e.Kind != NoEvent; e = p.a.NextEvent() {
		pkts = append(pkts, e.Packet)
	}
	if len(pkts) != n {
		t.Fatalf("%d packets", len(pkts))
	}
	for i, pkt := range pkts {
		if !bytes.Equal(pkt, bytes.Repeat([]byte{byte(i + 1)}, 200)) {
			t.Fatalf("packet %d is % x", i, pkt)
		}
	}
}

func TestPacketLongerThanThePeerTakesIsNotSent(t *testing.T) {
	p := openIP(t)
	if p.SendIP(p.now, make([]byte, 1501)) || !p.SendIP(p.now, make([]byte, 1500)) {
		t.Error("the MRU does not count")
	}
}
