//go:build interop

package capture_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"postern/dialup/capture"
)

// tshark runs Debian's tshark on a capture. Its absence is a failure.
func tshark(t *testing.T, pcapng []byte, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "call.pcapng")
	if err := os.WriteFile(path, pcapng, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", append([]string{"-n", "-r", path}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %v: %v\n%s", args, err, &complaints)
	}
	return string(out)
}

func TestTsharkReadsEveryKindOfCall(t *testing.T) {
	protocols := map[string][]string{
		"pap":                  {"PPP PAP", "DNS", "TCP"},
		"pap plain IP":         {"PPP PAP", "DNS", "ICMP", "TCP"},
		"chap deflate":         {"PPP CHAP", "PPP CCP", "PPP Comp"},
		"chap bsd":             {"PPP CHAP", "PPP CCP", "PPP Comp"},
		"mschap mppc":          {"PPP CHAP", "PPP CCP", "PPP Comp"},
		"mschap mppe stateful": {"PPP CHAP", "PPP CCP", "PPP Comp"},
		"mschapv2 mppe":        {"PPP CHAP", "PPP CCP", "PPP Comp"},
		"mschapv2 mppe mppc":   {"PPP CHAP", "PPP CCP", "PPP Comp"},
	}
	for _, p := range profiles {
		for _, clear := range []bool{false, true} {
			pcapng, _, rec := record(t, p, capture.Config{Clear: clear})
			what := fmt.Sprintf("%s, clear %v", p.name, clear)
			if bad := malformed(t, pcapng); len(bad) > 0 {
				t.Errorf("%s: tshark calls malformed: %v", what, bad)
			}
			lines := strings.Split(strings.TrimSpace(tshark(t, pcapng, "-T", "fields", "-e", "_ws.col.Protocol")), "\n")
			if n := rec.Calls()[0].Frames; len(lines) != int(n) {
				t.Errorf("%s: tshark sees %d packets of %d", what, len(lines), n)
			}
			seen := map[string]bool{}
			for _, l := range lines {
				seen[l] = true
			}
			for _, want := range append(protocols[p.name], "PPP LCP", "PPP IPCP") {
				if !seen[want] {
					t.Errorf("%s: tshark sees no %s, but %v", what, want, seen)
				}
			}
		}
	}
}

// malformed returns the numbers, from 1, of the packets that tshark cannot take apart.
func malformed(t *testing.T, pcapng []byte) []string {
	t.Helper()
	return strings.Fields(tshark(t, pcapng, "-Y", "_ws.malformed", "-T", "fields", "-e", "frame.number"))
}

func TestTsharkCallsNothingBlankedMalformed(t *testing.T) {
	r := seeded(8)
	rec := capture.NewRecorder(capture.Config{})
	tap := rec.Start(1, "line1", epoch)
	names := map[string]string{}
	n := 0
	for _, p := range places {
		if p.lies {
			continue // malformed before it was blanked
		}
		for form, frame := range p.frames(random(r)) {
			n++
			names[strconv.Itoa(n)] = fmt.Sprintf("%s, form %d", p.name, form)
			tap.Received(epoch, frame)
		}
	}
	for _, bad := range malformed(t, written(t, rec)) {
		t.Errorf("tshark calls malformed: %s", names[bad])
	}
}

// Wireshark has dissectors for hundreds of ports, and each must cope with what is cut off.
func TestTsharkCallsNoPortMalformed(t *testing.T) {
	const ports = 4096
	rec := capture.NewRecorder(capture.Config{Octets: 4 << 20})
	open := capture.NewRecorder(capture.Config{Octets: 4 << 20, Clear: true})
	tap := capture.Tee(rec.Start(1, "line1", epoch), open.Start(1, "line1", epoch))
	r := seeded(9)
	for port := 1; port <= ports; port++ {
		tap.Received(epoch, onWire(0x21, inTCP(50000, layers.TCPPort(port))(random(r))))
		if port != 53 { // DNS over UDP is kept, and random octets are none
			tap.Received(epoch, onWire(0x21, inUDP(50000, layers.UDPPort(port))(random(r))))
		}
	}
	packets := readPackets(t, rec, 1)
	if len(packets) != 2*ports-1 {
		t.Fatalf("%d packets, want %d", len(packets), 2*ports-1)
	}
	for _, bad := range malformed(t, written(t, rec)) {
		at, err := strconv.Atoi(bad)
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("tshark calls malformed: %x", packets[at-1].data)
	}
	if len(malformed(t, written(t, open))) == 0 {
		t.Error("random octets for every port are not malformed either: this test shows nothing")
	}
}

func TestTsharkSeesThroughCompressedHeaders(t *testing.T) {
	for _, p := range places {
		if p.name != "POP3" && p.name != "VJ uncompressed" {
			continue
		}
		rec := capture.NewRecorder(capture.Config{})
		tap := rec.Start(1, "line1", epoch)
		for _, frame := range p.frames([]byte(mailText)) {
			tap.Sent(epoch, frame)
		}
		got := tshark(t, written(t, rec), "-T", "fields", "-e", "ip.src", "-e", "tcp.dstport", "-e", "tcp.len", "-e", "frame.p2p_dir")
		want := strings.Repeat(fmt.Sprintf("%v\t110\t%d\t0\n", callerIP, len(mailText)), 4)
		if got != want {
			t.Errorf("%s: tshark reads\n%s, want\n%s", p.name, got, want)
		}
	}
}

func TestTsharkReadsTheCommentOfASavedCall(t *testing.T) {
	_, _, rec := record(t, profiles[0], capture.Config{})
	dir := t.TempDir()
	if err := rec.Save(dir, 3); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "capinfos", filepath.Join(dir, "capture-000001.pcapng")).CombinedOutput()
	if err != nil {
		t.Fatalf("capinfos: %v\n%s", err, out)
	}
	for _, want := range []string{"user alice: the caller hung up", "PPP with Directional Info", "nanoseconds"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("capinfos does not say %q:\n%s", want, out)
		}
	}
}

func written(t *testing.T, rec *capture.Recorder) []byte {
	t.Helper()
	var pcapng bytes.Buffer
	if err := rec.Write(&pcapng, 1); err != nil {
		t.Fatal(err)
	}
	return pcapng.Bytes()
}
