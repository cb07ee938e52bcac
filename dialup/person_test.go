package dialup

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

// visitor is a person with a modem and a terminal program.
type visitor struct {
	t    *testing.T
	port *exchange.Port
	seen string
}

// visit dials number from the office's exchange.
func (o *office) visit(number string) *visitor {
	o.t.Helper()
	port, err := o.x.Modem(home).Open()
	if err != nil {
		o.t.Fatal(err)
	}
	v := &visitor{t: o.t, port: port}
	v.types("ATDT" + number + "\r")
	v.expect("CONNECT 33600\r\n")
	return v
}

func (v *visitor) types(s string) {
	v.t.Helper()
	if _, err := v.port.Write([]byte(s)); err != nil {
		v.t.Fatal(err)
	}
}

// expect reads until want has come, and returns what came before it.
func (v *visitor) expect(want string) string {
	v.t.Helper()
	b := make([]byte, 256)
	for {
		if before, after, found := strings.Cut(v.seen, want); found {
			v.seen = after
			return before
		}
		n, err := v.port.Read(b)
		v.seen += string(b[:n])
		if err != nil {
			v.t.Fatalf("waiting for %q, have %q: %v", want, v.seen, err)
		}
	}
}

func (o *office) takesTypists(change func(*Terminal)) func(*LineConfig) {
	terminal := &Terminal{Mailbox: func(user string) string { return "3 messages wait for " + user + "." }}
	if change != nil {
		change(terminal)
	}
	return func(cfg *LineConfig) { cfg.Terminal = terminal }
}

// methods is how each log-in was made.
func (o *office) methods() (list []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e, ok := e.(status.CallAuthenticated); ok {
			list = append(list, e.User+" by "+e.Method)
		}
	}
	return list
}

func TestAPersonLogsInLooksAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, o.takesTypists(nil))
		time.Sleep(10 * time.Second)
		v := o.visit(theBox)
		v.types("\r")
		v.expect("postern login: ")
		v.types("alice\r")
		v.expect("Password: ")
		v.types("wonderland\r")
		if before := v.expect("Welcome, alice."); strings.Contains(before, "wonder") {
			t.Errorf("the password is echoed: %q", before)
		}
		v.types("1\r")
		v.expect("3 messages wait for alice.")
		v.types("4\r")
		v.expect("Goodbye.")
		v.expect("NO CARRIER")
		v.port.Close()
		o.verdict(1)
		if got := o.methods(); len(got) != 1 || got[0] != "alice by terminal" {
			t.Errorf("logged in: %q", got)
		}
		if v := o.verdict(1).Verdict; v.Code != ppp.CodePeerHangup || !strings.HasPrefix(v.Text, "alice hung up after") {
			t.Errorf("the verdict is %+v", v)
		}
		o.close()
	})
}

func TestGuessingByHandEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, o.takesTypists(nil))
		time.Sleep(10 * time.Second)
		v := o.visit(theBox)
		v.types("\r")
		for range loginTries {
			v.expect("login: ")
			v.types("alice\r")
			v.expect("Password: ")
			asked := time.Now()
			v.types("queen of hearts\r")
			v.expect("Login incorrect")
			if time.Since(asked) < refusedWait {
				t.Errorf("a guess costs %v", time.Since(asked))
			}
		}
		v.expect("NO CARRIER")
		v.port.Close()
		o.verdict(1)
		if v := o.verdict(1).Verdict; v.Code != ppp.CodeAuthFailed {
			t.Errorf("the verdict is %+v", v)
		}
		o.close()
	})
}

// afterDialog is a port that has been through a dialogue already: the PPP of
// Windows behind its terminal window.
type afterDialog struct{ *visitor }

func (p afterDialog) Read(b []byte) (int, error) {
	if p.seen != "" {
		n := copy(b, p.seen)
		p.seen = p.seen[n:]
		return n, nil
	}
	return p.port.Read(b)
}
func (p afterDialog) Write(b []byte) (int, error) { return p.port.Write(b) }
func (p afterDialog) Close() error                { return p.port.Close() }

// speak carries PPP as the caller's on a call that is up.
func (v *visitor) speak(o *office, cfg ppp.Config) *Caller {
	v.t.Helper()
	cfg.Role, cfg.Rand = ppp.Caller, o.random
	w := newWire(afterDialog{v})
	m := newModem(w, slog.New(slog.DiscardHandler))
	c := &Caller{online: make(chan struct{}), done: make(chan struct{})}
	c.cfg = CallerConfig{PPP: cfg, NewStack: o.callerStack, Post: func(status.Event) {}, Log: slog.New(slog.DiscardHandler)}
	ctx, hangup := context.WithCancel(context.Background())
	c.hangup, c.conn = hangup, connection{rate: 33600}
	go c.run(ctx, m)
	select {
	case <-c.online:
	case <-c.done:
		v.t.Fatalf("PPP ended: %v", c.verdict)
	}
	return c
}

func TestPPPStartsFromTheMenuOrInTheMiddleOfIt(t *testing.T) {
	for name, tc := range map[string]struct {
		typed    string
		ifNeeded bool
		auth     []ppp.AuthMethod
		want     []string
	}{
		"from the menu":             {"\ralice\rwonderland\rppp\r", false, []ppp.AuthMethod{ppp.CHAPMD5}, []string{"alice by terminal"}},
		"while the prompt stands":   {"\r", false, []ppp.AuthMethod{ppp.CHAPMD5}, []string{"alice by CHAP-MD5"}},
		"and the log-in counts":     {"\ralice\rwonderland\rppp\r", true, nil, []string{"alice by terminal"}},
		"with the window's F7 key":  {"\ralice\rwonderland\r", true, nil, []string{"alice by terminal"}},
		"without anybody typing":    {"", true, []ppp.AuthMethod{ppp.CHAPMD5}, []string{"alice by CHAP-MD5"}},
		"with Return after Return.": {"\r\r\r", false, []ppp.AuthMethod{ppp.CHAPMD5}, []string{"alice by CHAP-MD5"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, exchange.Config{})
				o.line(theBox, o.takesTypists(func(t *Terminal) { t.IfNeeded = tc.ifNeeded }))
				time.Sleep(10 * time.Second)
				v := o.visit(theBox)
				v.types(tc.typed)
				if strings.Contains(tc.typed, "wonderland") {
					v.expect("alice> ")
				} else if tc.typed != "" {
					v.expect("login: ")
				}
				began := time.Now()
				c := v.speak(o, ppp.Config{Auth: tc.auth, Name: "alice", Password: "wonderland"})
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("PPP took %v", took)
				}
				c.Close()
				o.verdict(1)
				if got := o.methods(); strings.Join(got, ",") != strings.Join(tc.want, ",") {
					t.Errorf("logged in: %q, want %q", got, tc.want)
				}
				o.close()
			})
		})
	}
}

func TestWindowsDirectCableIsAnsweredBeforeItsPPP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, nil)
		time.Sleep(10 * time.Second)
		v := o.visit(theBox)
		v.types("CLIENT")
		v.expect("CLIENTSERVER")
		c := v.speak(o, ppp.Config{Auth: []ppp.AuthMethod{ppp.CHAPMD5}, Name: "alice", Password: "wonderland"})
		c.Close()
		o.verdict(1)
		o.close()
	})
}

func TestAScriptThatWaitsForThePromptGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, exchange.Config{})
		o.line(theBox, o.takesTypists(func(t *Terminal) { t.Greet = true }))
		time.Sleep(10 * time.Second)
		v := o.visit(theBox)
		if before := v.expect("postern login: "); strings.Contains(before, "~") {
			t.Errorf("PPP is sent to a script: %q", before)
		}
		// One that does not answer may be waiting for PPP.
		began := time.Now()
		v.expect("~\xff}#")
		if took := time.Since(began); took < greetWait || took > greetWait+time.Second {
			t.Errorf("PPP came after %v", took)
		}
		v.port.Close()
		o.verdict(1)
		o.close()
	})
}
