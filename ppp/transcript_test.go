package ppp

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/ppp/mppe"
	"postern/ppp/mschap"
)

// TestCallersOfOld plays the transcripts in testdata/callers: what old clients say, as
// published traces and Microsoft's Knowledge Base describe them, and what they must
// hear. Each says in its head what it is made from. A line begins with
//
//	config  settings of the box, name=value
//	>       what the caller says: protocol, code, identifier and data in hex; or
//	        "ack 80fd", "nak 80fd 1206…", "reject 80fd", which answer the box's own
//	        request; "log in NAME" or "log in NAME with LM"; "ip 45…", which goes encrypted
//	        if that is agreed on, and "naked ip 45…"
//	<       a packet that the box sends, "*" for the rest; nothing else may come
//	        before the next ">"
//	wait    a time to let pass
//	is      peer, cipher, packer, up, user, verdict: what must now be so
func TestCallersOfOld(t *testing.T) {
	files, err := filepath.Glob("testdata/callers/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { playTranscript(t, name) })
	}
}

type player struct {
	*peer
	cfg  Config
	keys mschap.Keys
	tx   *mppe.Sender
	want []string
	at   string
}

func playTranscript(t testing.TB, name string) (roundTrips int) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pl := &player{cfg: answererConfig()}
	turn, trips := "", 0
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		if verb == "" {
			continue
		}
		pl.at = fmt.Sprintf("%s:%d", name, n)
		if verb == "config" {
			pl.configure(t, rest)
			continue
		}
		if pl.peer == nil {
			pl.peer = newPeer(t, pl.cfg)
		}
		if pl.peer.ups == 0 && turn != verb && (verb == ">" || verb == "<") {
			// A turn of the line; two are a round trip.
			turn, trips = verb, trips+1
		}
		switch verb {
		case "<":
			pl.want = append(pl.want, strings.Join(strings.Fields(rest), " "))
			continue
		case ">", "wait", "is":
			pl.settle()
		default:
			t.Fatalf("%s: %q is no verb", pl.at, verb)
		}
		switch verb {
		case ">":
			pl.speak(rest)
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatalf("%s: %v", pl.at, err)
			}
			pl.wait(d)
		case "is":
			pl.check(rest)
		}
	}
	pl.settle()
	return (trips + 1) / 2
}

// settle compares what the box has sent with what was to come.
func (pl *player) settle() {
	pl.t.Helper()
	pl.t.Logf("up to %s", pl.at)
	got := pl.hear()
	for i := range max(len(got), len(pl.want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(pl.want) {
			w = pl.want[i]
		}
		prefix, any := strings.CutSuffix(w, "*")
		// The data may be written with blanks.
		head, data := prefix, ""
		if len(prefix) > len("c021 01 01 ") {
			head, data = prefix[:11], strings.ReplaceAll(prefix[11:], " ", "")
		}
		if prefix = head + data; g != prefix && !(any && strings.HasPrefix(g, prefix)) {
			pl.t.Fatalf("%s: the box sent\n\t%s\nbut not\n\t%s", pl.at, g, w)
		}
	}
	pl.want = nil
}

func (pl *player) configure(t testing.TB, settings string) {
	t.Helper()
	for _, s := range strings.Fields(settings) {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "auth":
			pl.cfg.Auth = nil
			for _, v := range strings.Split(value, ",") {
				pl.cfg.Auth = append(pl.cfg.Auth, map[string]AuthMethod{"pap": PAP, "chap": CHAPMD5, "mschap": MSCHAP, "mschapv2": MSCHAPv2}[v])
			}
		case "encryption":
			pl.cfg.Encryption = map[string]Policy{"off": EncryptionOff, "prefer": EncryptionPrefer, "require": EncryptionRequire}[value]
		case "compression":
			pl.cfg.Compression = []Compression{MPPC}
		case "callback":
			pl.cfg.Callback = map[string]Callback{"none": CallbackNone, "preset": CallbackPreset, "any": CallbackNone | CallbackPreset | CallbackNamed}[value]
		case "lm":
			pl.cfg.AllowLM = value == "allowed"
		default:
			t.Fatalf("%q is no setting", s)
		}
	}
}

func (pl *player) speak(what string) {
	pl.t.Helper()
	words := strings.Fields(what)
	switch words[0] {
	case "log":
		pl.logInAs(words[2], strings.HasSuffix(what, "with LM"))
	case "naked":
		pl.raw(protoIP, bytesOf(pl.t, strings.Join(words[2:], "")))
	case "ip":
		pl.sendIP(bytesOf(pl.t, strings.Join(words[1:], "")))
	case "ack", "nak", "reject":
		proto := uint16(pl.number(words[1]))
		a := map[uint16]*automaton{protoLCP: &pl.lcp, protoCCP: &pl.ccp, protoIPCP: &pl.ipcp}[proto]
		code := map[string]byte{"ack": codeConfigureAck, "nak": codeConfigureNak, "reject": codeConfigureReject}[words[0]]
		data := strings.Join(words[2:], "")
		if data == "" {
			data = hex.EncodeToString(a.request)
		}
		pl.say(proto, code, a.reqID, data)
	default:
		pl.say(uint16(pl.number(words[0])), byte(pl.number(words[1])), byte(pl.number(words[2])), strings.Join(words[3:], ""))
	}
}

func (pl *player) number(s string) uint64 {
	pl.t.Helper()
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		pl.t.Fatalf("%s: %v", pl.at, err)
	}
	return n
}

// logInAs answers the challenge as Windows does.
func (pl *player) logInAs(name string, lmOnly bool) {
	pl.t.Helper()
	c, ok := pl.Session.auth.(*chapServer)
	if !ok {
		pl.t.Fatalf("%s: there is no challenge", pl.at)
	}
	pl.judge = func(r AuthRequest) Answer {
		if r.OnlyLM() {
			return CheckLM(r, password)
		}
		return Check(r, password)
	}
	if c.method == MSCHAPv2 {
		pl.keys = pl.logIn(name)
		return
	}
	lmHash, _ := mschap.LMHash(password)
	challenge := [8]byte(c.challenge)
	lm, nt := mschap.Response(challenge, lmHash), mschap.Response(challenge, mschap.NTHash(password))
	value := append(append(lm[:], nt[:]...), msFlagNT)
	if lmOnly {
		value = append(lm[:], make([]byte, 25)...)
	}
	pl.keys = mschap.KeysV1(&lmHash, mschap.NTHash(password), challenge)
	pl.raw(protoCHAP, packet{chapResponse, c.id, append(append([]byte{49}, value...), name...)}.append(nil))
}

// sendIP sends an IP packet as CCP has agreed on.
func (pl *player) sendIP(pkt []byte) {
	pl.t.Helper()
	o, _ := find(pl.crypt.request(), ccpMPPE)
	m := methodOf(o)
	if pl.crypt.rx == nil {
		pl.raw(protoIP, pkt)
		return
	}
	if pl.tx == nil {
		var err error
		cfg := pl.crypt.config(m)
		if pl.tx, err = mppe.NewSender(cfg, pl.keys.Send(cfg.Strength.KeyLen())); err != nil {
			pl.t.Fatalf("%s: %v", pl.at, err)
		}
	}
	pl.raw(protoCompressed, pl.tx.Append(nil, append([]byte{0, 0x21}, pkt...)))
}

func (pl *player) check(what string) {
	pl.t.Helper()
	name, want, _ := strings.Cut(what, " ")
	got := map[string]string{
		"peer": pl.Peer(), "cipher": pl.cipher, "packer": pl.packer, "user": pl.user,
		"verdict": pl.reason.Text, "packets": strconv.Itoa(len(pl.got)), "up": fmt.Sprint(pl.up.Peer),
	}
	if g, ok := got[name]; !ok || g != want {
		pl.t.Errorf("%s: %s is %q, not %q", pl.at, name, g, want)
	}
}
