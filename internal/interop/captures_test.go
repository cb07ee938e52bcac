//go:build interop

package interop

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/status"
)

// PPP's protocols (RFC 1661 section 6, RFC 1332 section 2, RFC 1962 section 2),
// as tshark writes them.
const (
	protoIP      = "0x0021"
	protoVJ      = "0x002d"
	protoVJWhole = "0x002f"
	protoComp    = "0x00fd"
	protoIPCP    = "0x8021"
	protoCCP     = "0x80fd"
	protoLCP     = "0xc021"
	protoPAP     = "0xc023"
	protoCHAP    = "0xc223"
)

// Directions, as tshark writes them.
const (
	sent     = "0"
	received = "1"
)

// packet is what tshark says of one frame.
type packet struct {
	direction string // sent or received, by the box
	protocol  string // of PPP
	code      string // of a control packet
	malformed string // empty: it is not
}

// tshark reads a capture.
func tshark(t *testing.T, file string) (packets []packet) {
	t.Helper()
	cmd := exec.Command("tshark", "-n", "-r", file, "-T", "fields",
		"-e", "ppp.direction", "-e", "ppp.protocol", "-e", "ppp.code", "-e", "chap.code", "-e", "_ws.malformed")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("tshark cannot read %s: %v\n%s", file, err, &complaints)
		return nil
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		packets = append(packets, packet{f[0], f[1], f[2] + f[3], f[4]})
	}
	return packets
}

// passed reports whether packets of the protocol passed in both directions.
func passed(packets []packet, protocol string) bool {
	for _, direction := range []string{sent, received} {
		if !slices.ContainsFunc(packets, func(p packet) bool { return p.direction == direction && p.protocol == protocol }) {
			return false
		}
	}
	return true
}

// checkCaptures has every capture that the box has saved read by tshark, and
// looks into it for what must not be there. The box has ended.
func (b *box) checkCaptures(t *testing.T) {
	t.Helper()
	saved := b.saved(t)
	if ended := strings.Count(b.log.text(0), `msg="call ended"`); len(saved) != ended {
		t.Errorf("%d calls have ended and %d captures are in the box's folder", ended, len(saved))
	}
	for name, octets := range saved {
		for i, p := range tshark(t, filepath.Join(b.state, "captures", name)) {
			if p.malformed != "" {
				t.Errorf("%s: tshark calls packet %d malformed: %+v", name, i+1, p)
			}
		}
		if leaks := b.leaks(octets); len(leaks) > 0 && !b.clear {
			t.Errorf("%s holds secrets: %q", name, leaks)
		}
	}
	for _, given := range b.given {
		same := false
		for _, octets := range saved {
			same = same || bytes.Equal(octets, given)
		}
		if !same {
			t.Errorf("the page gave %d octets of capture that are in no file", len(given))
		}
	}
}

// saved returns the captures in the box's folder by their names.
func (b *box) saved(t *testing.T) map[string][]byte {
	t.Helper()
	dir := filepath.Join(b.state, "captures")
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		octets, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Error(err)
		}
		files[e.Name()] = octets
	}
	return files
}

// leaks returns which of the box's secrets are in the clear in some octets:
// the users' passwords, in all the forms in which they are sent, and the text
// of letters.
func (b *box) leaks(octets []byte) (found []string) {
	secrets := append([]string{providerPassword}, letterMarks...)
	for _, u := range b.users {
		secrets = append(secrets, u.dial, u.mailPassword(),
			base64.StdEncoding.EncodeToString([]byte(u.mailPassword())),
			plain(u))
		if u.typed != "" {
			secrets = append(secrets, u.typed)
		}
	}
	for _, s := range secrets {
		if bytes.Contains(octets, []byte(s)) {
			found = append(found, s)
		}
	}
	return found
}

// plain is how AUTH PLAIN sends a user's name and password (RFC 4616).
func plain(u boxUser) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + u.name + "\x00" + u.mailPassword()))
}

// capture gets a call's capture from the page.
func (b *box) capture(t *testing.T, id status.CallID) []byte {
	t.Helper()
	r, err := get(t.Context(), fmt.Sprintf("%s/calls/%d/packets.pcapng", b.page, id))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	octets, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("the page gives no capture of call %d: %s, %v", id, r.Status, err)
	}
	b.given = append(b.given, octets)
	return octets
}

// packets are those of a call, by way of the page and tshark.
func (b *box) packets(t *testing.T, id status.CallID) []packet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "call.pcapng")
	if err := os.WriteFile(file, b.capture(t, id), 0o600); err != nil {
		t.Fatal(err)
	}
	return tshark(t, file)
}
