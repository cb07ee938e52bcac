package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// selftestConfig writes a configuration with two lines and two users. Nobody is
// at its provider's address.
func selftestConfig(t *testing.T, port1, port2, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, `
state_dir = "/nowhere"
hostname = "post.office"
[[line]]
name = "line1"
port = %q
init = ["ATZ"]
[[line]]
name = "line2"
port = %q
init = ["ATZ", "ATS11=50"]
[[user]]
name = "alice"
dial_password = "open sesame"
dial_password_expires = 2020-01-01
addresses = ["alice@example.org"]
upstream = "isp"
[[user]]
name = "bob"
dial_password = "open barley"
mail_password = "open wheat"
addresses = ["bob@example.org"]
upstream = "isp"
encryption = "require"
[[upstream]]
name = "isp"
fetch = "pop3s://192.0.2.1"
submit = "smtps://192.0.2.1"
username = "{address}"
password = "hush"
[web]
listen = "192.0.2.1:80"
%s`, port1, port2, more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func selftest(t *testing.T, want int, args ...string) (stdout, said string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"selftest"}, args...), &out, &errs)
	said = out.String() + errs.String()
	if code != want {
		t.Errorf("exit status %d, want %d:\n%s", code, want, said)
	}
	for _, secret := range []string{"open sesame", "open barley", "open wheat", "hush"} {
		if strings.Contains(said, secret) {
			t.Errorf("a password was printed:\n%s", said)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	return out.String(), said
}

func TestTheSelftestCallsEveryLine(t *testing.T) {
	// The third line has a modem of its own kind; the exchange's need not know it.
	config := selftestConfig(t, "/dev/ttyS98", "/dev/ttyS99", `
[[line]]
name = "line3"
port = "tcp://192.0.2.1:2300"
init = ["ATZ", "AT+MAKERS=OWN"]
`)
	stdout, said := selftest(t, 0, "--json", "--config", config)
	var r struct {
		OK    bool           `json:"ok"`
		Calls []clientResult `json:"calls"`
		Steps []step         `json:"steps"`
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if !r.OK || len(r.Calls) != 3 || len(r.Steps) != 32 {
		t.Fatalf("the report is:\n%s", said)
	}
	for _, c := range r.Calls {
		if c.Messages < 1 || c.Sent != 1 || !strings.HasPrefix(c.Encryption, "MPPE") {
			t.Errorf("a call was %+v", c)
		}
	}
}

func TestTheSelftestCallsOneLineFromTheOther(t *testing.T) {
	network, _ := startNetwork(t, "--train", "0s", "--rate", "115200",
		"--number", "5550101", "--tcp", "127.0.0.1:0", "--number", "5550102", "--tcp", "127.0.0.1:0")
	modems := regexp.MustCompile(`tcp://\S+`).FindAllString(network, 2)
	config := selftestConfig(t, modems[0], modems[1], "")
	_, said := selftest(t, 0, "--config", config, "--from", "line2", "--to", "line1", "--number", "5550101", "--user", "bob")
	for _, want := range []string{"line1 ready", "CONNECT 115200", "bob by MS-CHAPv2", "post.office is at", "1 message waits", "sent as bob, every byte the same", "PASSED: 12 steps"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not told in:\n%s", want, said)
		}
	}
	_, said = selftest(t, 1, "--config", config, "--from", "line2", "--to", "line1", "--number", "5550177")
	if !strings.Contains(said, "FAILED") || !strings.Contains(said, "NO CARRIER") {
		t.Errorf("a wrong number was reported as:\n%s", said)
	}
}

// A box that cannot do what it is configured for fails, whatever else works.
func TestTheSelftestFailsWhenAStepDoes(t *testing.T) {
	// Ports that cannot be opened only matter when they are used.
	config := selftestConfig(t, "/dev/ttyS98", "/dev/ttyS99", "")
	_, said := selftest(t, 1, "--config", config, "--from", "line2", "--to", "line1", "--number", "1")
	if !strings.Contains(said, "FAILED") || !strings.Contains(said, "/dev/ttyS98") || strings.Contains(said, "PASSED") {
		t.Errorf("a missing modem was reported as:\n%s", said)
	}
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"--config /nowhere/postern.toml", 1, "no such file"},
		{"--config " + config + " --user eve", 1, `no [[user]] "eve"`},
		{"--config " + config + " --from line1", 2, "--from, --to and --number"},
		{"--config " + config + " --from line1 --to line1 --number 1", 1, "cannot call itself"},
		{"--config " + config + " --from line3 --to line1 --number 1", 1, "there is line1, line2"},
		{"--config " + config + " --timeout 1ms --user alice", 1, "longer than --timeout"},
		{"--config " + selftestConfig(t, "/dev/ttyS98", "/dev/ttyS99", "[ppp]\nauth=[\"ntlm\"]"), 1, "ntlm"},
	} {
		if _, said := selftest(t, tc.code, strings.Fields(tc.args)...); !strings.Contains(said, tc.want) {
			t.Errorf("%s: %q is not said in:\n%s", tc.args, tc.want, said)
		}
	}
}
