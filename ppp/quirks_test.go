package ppp

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each row of the table is held by a transcript or a test, and is about a peer that is recognised.
func TestQuirksAreShown(t *testing.T) {
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "mppe/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(b)
		}
	}
	for _, q := range quirks {
		if q.Peer == "" || q.Reason == "" || q.Manner == "" {
			t.Errorf("an empty row: %+v", q)
		}
		if strings.HasPrefix(q.Shown, "Test") {
			if !strings.Contains(tests.String(), "func "+q.Shown+"(") {
				t.Errorf("there is no %s", q.Shown)
			}
		} else if _, err := os.Stat("testdata/callers/" + q.Shown + ".txt"); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(profiles[:], func(p profile) bool { return strings.HasPrefix(p.name, q.Peer) }) {
			t.Errorf("nobody is recognised as %q", q.Peer)
		}
	}
}

func TestQuirksOfARecognisedPeer(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.say(protoLCP, codeConfigureRequest, 1, "0206 00000000 0506 4a3b2c1d 0702 0802 0d03 06 1104 064e")
	all := len(p.Quirks())
	p.say(protoLCP, codeIdentification, 2, "4a3b2c1d"+hex.EncodeToString([]byte("MSRASV5.10")))
	if n := len(p.Quirks()); p.Peer() != "Windows XP" || n == 0 || n >= all {
		t.Errorf("%s: %d quirks, as NT %d", p.Peer(), n, all)
	}
	p = newPeer(t, answererConfig())
	if len(p.Quirks()) != 0 {
		t.Errorf("quirks of nobody: %v", p.Quirks())
	}
}

func TestEchoRequestsHaveEightOctets(t *testing.T) {
	p := openIP(t)
	p.wait(3 * time.Second)
	p.expect("c021 09 01 " + u32(p.link.magic)) // the header has four
}

func TestPPPDsGoodbyeIsNoReason(t *testing.T) {
	p := openIP(t)
	p.say(protoLCP, codeTerminateRequest, 1, hex.EncodeToString([]byte("MPPE disabled")))
	if p.reason.Text != "the caller hung up" {
		t.Errorf("%+v", p.reason)
	}
}

// Multilink's options are returned as they came, in one Reject, with whatever else; and what was
// asked for besides is granted.
func TestMultilinkIsRejectedAndNothingElse(t *testing.T) {
	const sound = "0206000a0000 05064a3b2c1d 0702 0802"
	for _, c := range []struct{ options, want string }{
		{"1104 064e", "multilink"},
		{"1104 064e 1202", "multilink, multilink with short sequence numbers"},
		{"1303 00", "endpoint discriminator"},
		{"1309 03 00a0c9112233", "endpoint discriminator"},
		{"1704 0001", "bandwidth allocation"},
		{"1104 064e 1202 1303 00 1704 0001", "multilink, multilink with short sequence numbers, endpoint discriminator, bandwidth allocation"},
		{"1102", "multilink"}, // without its value
		{"1a02", ""},          // nobody's
	} {
		p := newPeer(t, answererConfig())
		p.hear()
		p.say(protoLCP, codeConfigureRequest, 1, sound+c.options)
		p.expect("c021 04 01 " + strings.ReplaceAll(c.options, " ", ""))
		p.ack(protoLCP)
		p.say(protoLCP, codeConfigureRequest, 2, sound)
		p.expect("c021 02 02 "+strings.ReplaceAll(sound, " ", ""), "c223 01 *")
		if got := strings.Join(p.Declined(), ", "); got != c.want {
			t.Errorf("%s: declined %q", c.options, got)
		}
	}
}

// A peer that will not be without gets no link, and a reason.
func TestPeerThatInsistsOnMultilinkGivesUpOrIsGivenUp(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.ack(protoLCP)
	for i := range 60 {
		p.say(protoLCP, codeConfigureRequest, byte(i), "1104 064e")
		p.wait(2 * time.Second)
	}
	p.wait(time.Minute)
	p.wait(time.Minute)
	if p.ended != 1 || p.ups > 0 {
		t.Errorf("%d ends, %+v", p.ended, p.reason)
	}
}

func TestMultilinkPacketsAreProtocolRejected(t *testing.T) {
	p := openIP(t)
	p.raw(0x003d, []byte{0xc0, 0, 0, 1, 0x21})
	p.expect("c021 08 01 003dc000000121")
}

func TestTimeRemainingIsThatOfRFC1570(t *testing.T) {
	p := newPeer(t, answererConfig())
	p.hear()
	if p.TimeRemaining(p.now, time.Minute, "") {
		t.Error("sent before LCP is up")
	}
	p = openIP(t)
	for _, c := range []struct {
		left time.Duration
		want string
	}{
		{10 * time.Minute, "00000258"}, {1500 * time.Millisecond, "00000001"},
		{-time.Second, "00000000"}, {1 << 62, "fffffffe"},
	} {
		if !p.TimeRemaining(p.now, c.left, "the call's limit") {
			t.Error("not sent")
		}
		p.expect("c021 0d " + "*")
		p.TimeRemaining(p.now, c.left, "the call's limit")
		got := p.hear()[0]
		if want := u32(p.link.magic) + c.want + hex.EncodeToString([]byte("the call's limit")); got[11:] != want {
			t.Errorf("%v: %s, want %s", c.left, got[11:], want)
		}
	}
	// NT does not know it.
	p.say(protoLCP, codeCodeReject, 9, "0d01 000c 00000000 00000000")
	if p.SendIP(p.now, ping4) != true || p.ended > 0 {
		t.Errorf("%+v", p.reason)
	}
	p.Close(p.now, Reason{Us, CodeSessionLimit, "the limit"})
	p.hear()
	if p.TimeRemaining(p.now, time.Second, "") {
		t.Error("sent after the end")
	}
}
