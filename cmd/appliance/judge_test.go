package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/config"
	"postern/ppp"
	"postern/ppp/hdlc"
	"postern/ppp/mschap"
)

// windows is the other end of a session of the box's: enough of Windows to log
// in by MS-CHAP and to change a password.
type windows struct {
	t         *testing.T
	box       *callers
	sess      *ppp.Session
	deframer  hdlc.Deframer
	challenge []byte
	id        byte
}

const (
	lcpProtocol  = 0xc021
	chapProtocol = 0xc223
)

// dial brings LCP up and waits for the challenge.
func dial(t *testing.T, box *callers, method ppp.AuthMethod) *windows {
	t.Helper()
	cfg := pppConfig(box.cfg, rand.Reader)
	cfg.Role, cfg.Auth = ppp.Answerer, []ppp.AuthMethod{method}
	w := &windows{t: t, box: box, sess: ppp.New(cfg, time.Now())}
	request := w.hear(lcpProtocol, 1)
	w.say(lcpProtocol, 2, request[1], request[4:])
	w.say(lcpProtocol, 1, 1, nil)
	challenge := w.hear(chapProtocol, 1)
	w.id, w.challenge = challenge[1], challenge[5:5+int(challenge[4])]
	return w
}

func (w *windows) say(protocol uint16, code, id byte, data []byte) {
	packet := []byte{code, id, 0, 0}
	binary.BigEndian.PutUint16(packet[2:], uint16(4+len(data)))
	header := []byte{0xff, 0x03, byte(protocol >> 8), byte(protocol)}
	w.sess.Input(time.Now(), hdlc.AppendFrame(nil, 0xffffffff, header, append(packet, data...)))
	for ev := w.sess.NextEvent(); ev.Kind != ppp.NoEvent; ev = w.sess.NextEvent() {
		if ev.Kind == ppp.EventAuth {
			_, answer := w.box.Authenticate(w.t.Context(), home, ev.Auth)
			w.sess.Authenticate(time.Now(), answer)
		}
	}
}

// hear returns the first packet of a protocol with one of the codes.
func (w *windows) hear(protocol uint16, codes ...byte) []byte {
	w.t.Helper()
	wire := w.sess.Output(nil)
	for {
		var frame []byte
		if frame, wire = w.deframer.Next(wire); frame == nil {
			w.t.Fatalf("%04x: none of the packets %v came", protocol, codes)
		}
		if len(frame) < 8 || binary.BigEndian.Uint16(frame[2:]) != protocol {
			continue
		}
		for _, code := range codes {
			if frame[4] == code {
				return append([]byte(nil), frame[4:4+binary.BigEndian.Uint16(frame[6:])]...)
			}
		}
	}
}

// logIn answers the challenge, and returns the code and the text of the reply.
func (w *windows) logIn(method ppp.AuthMethod, password string) (byte, string) {
	w.t.Helper()
	hash := mschap.NTHash(password)
	value := make([]byte, 49)
	if method == ppp.MSCHAPv2 {
		value[0] = 7
		nt := mschap.ResponseV2([16]byte(w.challenge), [16]byte{7}, "alice", hash)
		copy(value[24:], nt[:])
	} else {
		nt := mschap.Response([8]byte(w.challenge), hash)
		copy(value[24:], nt[:])
		value[48] = 1
	}
	w.say(chapProtocol, 2, w.id, append(append([]byte{49}, value...), "alice"...))
	return w.reply()
}

// change answers "the password has expired" by a Change-Password packet.
func (w *windows) change(method ppp.AuthMethod, from, to string) (byte, string) {
	w.t.Helper()
	hash := mschap.NTHash(to)
	block, check, err := mschap.NewPassword(rand.Reader, to, mschap.NTHash(from))
	if err != nil {
		w.t.Fatal(err)
	}
	data := append(block[:], check[:]...)
	code := byte(7)
	if method == ppp.MSCHAP {
		code = 6
		nt := mschap.Response([8]byte(w.challenge), hash)
		data = append(data, make([]byte, 516+16+24)...) // no LM
		data = append(append(data, nt[:]...), 0, 1)
	} else {
		nt := mschap.ResponseV2([16]byte(w.challenge), [16]byte{9}, "alice", hash)
		data = append(append(data, 9), make([]byte, 15+8)...)
		data = append(append(data, nt[:]...), 0, 0)
	}
	w.say(chapProtocol, code, w.id, data)
	return w.reply()
}

func (w *windows) reply() (byte, string) {
	w.t.Helper()
	reply := w.hear(chapProtocol, 3, 4)
	text := string(reply[4:])
	if _, next, found := strings.Cut(text, " C="); found {
		var err error
		if w.challenge, err = hex.DecodeString(next[:2*len(w.challenge)]); err != nil {
			w.t.Fatal(err)
		}
		w.id++
	}
	return reply[0], text
}

// expired makes alice's password one that must be changed.
func expired(cfg *config.Config) {
	cfg.PPP.PasswordChange = true
	cfg.Users[0].MustChangePassword, cfg.Users[0].Encryption = true, nil
}

func TestAnExpiredPasswordIsChangedInTheCallAndForTheCallsToCome(t *testing.T) {
	for _, m := range []ppp.AuthMethod{ppp.MSCHAP, ppp.MSCHAPv2} {
		synctest.Test(t, func(t *testing.T) {
			c, _, log := newCallers(t, expired)
			w := dial(t, c, m)
			if code, text := w.logIn(m, "wonderland"); code != 4 || !strings.HasPrefix(text, "E=648 R=0 ") {
				t.Fatalf("%v: answered %d %q", m, code, text)
			}
			if code, text := w.change(m, "wonderland", "looking-glass"); code != 3 {
				t.Fatalf("%v: the change is answered %q", m, text)
			}
			again, err := config.OpenPasswords(filepath.Join(c.cfg.StateDir, "passwords.json"), c.cfg.Users)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time after a restart
				if code, text := dial(t, c, m).logIn(m, "looking-glass"); code != 3 {
					t.Errorf("%v: the new password is answered %q", m, text)
				}
				if code, text := dial(t, c, m).logIn(m, "wonderland"); code != 4 || !strings.HasPrefix(text, "E=691 ") {
					t.Errorf("%v: the old password is answered %q", m, text)
				}
				c.passwords = again
			}
			if strings.Contains(log.String(), "wonderland") || strings.Contains(log.String(), "looking-glass") || !strings.Contains(log.String(), "changed the dial password") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

func TestAChangeThatIsNotAllowedIsRefusedInWords(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, words string }{
		"too short":       {"wonderland", "glass", "8 characters or more"},
		"the old one":     {"wonderland", "wonderland", "is the old one"},
		"cannot be kept":  {"wonderland", "looking-glass", "could not be stored"},
		"a guess instead": {"guess", "looking-glass", "E=691"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _, log := newCallers(t, expired)
			w := dial(t, c, ppp.MSCHAPv2)
			w.logIn(ppp.MSCHAPv2, "wonderland")
			if name == "cannot be kept" {
				if err := os.Remove(c.cfg.StateDir); err != nil {
					t.Fatal(err)
				}
			}
			code, text := w.change(ppp.MSCHAPv2, tc.from, tc.to)
			if code != 4 || !strings.Contains(text, tc.words) {
				t.Errorf("%s: answered %q", name, text)
			}
			if strings.Contains(log.String(), "wonderland") || strings.Contains(log.String(), "looking-glass") {
				t.Errorf("%s: the log says %s", name, log)
			}
			if _, text := dial(t, c, ppp.MSCHAPv2).logIn(ppp.MSCHAPv2, "wonderland"); !strings.HasPrefix(text, "E=648") {
				t.Errorf("%s: the old password is answered %q", name, text)
			}
		})
	}
}

func TestOnlyWhoKnowsThePasswordLearnsThatItHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newCallers(t, expired)
		for password, want := range map[string]int{"guess": 691, "wonderland": 648} {
			if _, answer := c.Authenticate(t.Context(), home, pap("alice", password)); answer.OK || answer.Code != want {
				t.Errorf("%q is answered %+v", password, answer)
			} else if want == 648 && answer.Message != "the password has expired, and PAP cannot change it" {
				t.Errorf("in words: %s", answer.Message)
			}
		}
		c.cfg.PPP.PasswordChange = false
		if _, answer := c.Authenticate(t.Context(), home, pap("alice", "wonderland")); answer.Code != 648 || !strings.Contains(answer.Message, "ask whoever keeps the server") {
			t.Errorf("where nothing can be changed the answer is %+v", answer)
		}
	})
}

func TestAnExpiredPasswordIsNoGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, board, _ := newCallers(t, expired)
		begun := time.Now()
		for range 20 {
			if _, answer := c.Authenticate(t.Context(), home, pap("alice", "wonderland")); answer.Code != 648 {
				t.Fatalf("answered %+v", answer)
			}
		}
		if waited := time.Since(begun); waited != 0 || len(board.Snapshot().Refused) != 0 {
			t.Errorf("it waited %v, refused are %v", waited, board.Snapshot().Refused)
		}
	})
}

func TestADateThatPassesExpiresThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight of 1 January 2000, UTC
		c, _, _ := newCallers(t, func(cfg *config.Config) {
			cfg.Users[0].DialPasswordExpires = config.Date{Year: 2000, Month: 1, Day: 4}
		})
		for _, want := range []bool{true, false, false} {
			time.Sleep(36 * time.Hour)
			if _, answer := c.Authenticate(t.Context(), home, pap("alice", "wonderland")); answer.OK != want {
				t.Errorf("on %v alice is let in: %v", time.Now(), answer.OK)
			}
		}
	})
}

func TestTheMailPasswordFollowsANewDialPassword(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "postern.toml")
	text := `state_dir = "` + dir + `"
[[line]]
name = "line1"
port = "/dev/ttyS0"
[[user]]
name = "alice"
dial_password = "wonderland"
addresses = ["alice@example.org"]
upstream = "isp"
[[upstream]]
name = "isp"
fetch = "pop3s://pop.example.org"
submit = "smtps://smtp.example.org"
username = "{user}"
password = "provider"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := config.OpenPasswords(filepath.Join(dir, "passwords.json"), cfg.Users)
	if err != nil {
		t.Fatal(err)
	}
	c := &callers{cfg: cfg, passwords: passwords}
	for _, want := range []string{"wonderland", "looking-glass"} {
		if account, found := c.Account("alice"); !found || account.Password() != want {
			t.Errorf("alice's mail password is not %q", want)
		}
		if err := passwords.Change(cfg.Users[0], config.NewSecret("wonderland"), config.NewSecret("looking-glass"), time.Now()); err != nil && want == "wonderland" {
			t.Fatal(err)
		}
	}
}

func TestLMIsForThoseToWhomItIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			alice, bob bool
			password   string
			in         bool
		}{
			{alice: true, password: "wonderland", in: true},
			{alice: true, password: "WONDERLAND", in: true}, // LM knows no case
			{alice: true, password: "guess"},
			{bob: true, password: "wonderland"},
			{password: "wonderland"},
		} {
			c, _, _ := newCallers(t, func(cfg *config.Config) {
				cfg.Users[0].LM, cfg.Users[0].Encryption = tc.alice, nil
				cfg.Users = append(cfg.Users, config.User{Name: "bob", DialPassword: config.NewSecret("builder"), LM: tc.bob})
			})
			if allowed := pppConfig(c.cfg, rand.Reader).AllowLM; allowed != (tc.alice || tc.bob) {
				t.Errorf("%+v: the engine lets LM be judged: %v", tc, allowed)
			}
			w := dial(t, c, ppp.MSCHAP)
			if code, text := w.logInByLM(tc.password); (code == 3) != tc.in {
				t.Errorf("%+v: answered %q", tc, text)
			}
		}
	})
}

// logInByLM answers the challenge as Windows 95 does.
func (w *windows) logInByLM(password string) (byte, string) {
	w.t.Helper()
	hash, ok := mschap.LMHash(password)
	if !ok {
		w.t.Fatal("no LM hash")
	}
	value := make([]byte, 49)
	lm := mschap.Response([8]byte(w.challenge), hash)
	copy(value, lm[:])
	w.say(chapProtocol, 2, w.id, append(append([]byte{49}, value...), "alice"...))
	return w.reply()
}
