package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/config"
)

const checkedFile = `
[[line]]
name = "line1"
port = "/dev/ttyUSB0"
init = []
[[user]]
name = "alice"
dial_password = "dial-s3cret"
addresses = ["alice@example.org", "sales@example.org"]
upstream = "isp"
[[upstream]]
name = "isp"
fetch = "pop3s://pop.example.org"
submit = "smtps://smtp.example.org"
username = "{address}"
password = "up-s3cret"
`

// checked runs `appliance check FILE` on a file of that text.
func checked(t *testing.T, text string, mode os.FileMode) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return command(t, "check", path)
}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, bad strings.Builder
	code = run(t.Context(), args, &out, &bad)
	if strings.Contains(out.String()+bad.String(), "s3cret") {
		t.Error("a password is printed")
	}
	return code, out.String(), bad.String()
}

func TestCheckSaysWhatAConfigurationMeans(t *testing.T) {
	code, out, bad := checked(t, checkedFile, 0o600)
	if code != 0 || bad != "" {
		t.Fatalf("status %d: %s", code, bad)
	}
	for _, want := range []string{
		"is valid",
		"answered after 1 ring; no init commands\n",
		"alice sends as alice@example.org, sales@example.org, by upstream isp (logged in there as alice@example.org)\n",
		"calls end after 15m without traffic; with traffic they may last as long as they like\n",
		"every 5m,", "messages up to 32MiB\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Warning") || strings.Contains(out, "0s") {
		t.Errorf("warned, or spans as Go prints them:\n%s", out)
	}
}

func TestCheckWarnsButDoesNotRefuse(t *testing.T) {
	code, out, bad := checked(t, strings.Replace(checkedFile, "init = []", `init = ["ATS0=1"]`, 1)+"[web]\nlisten = \":8080\"\n", 0o644)
	if code != 0 {
		t.Fatalf("status %d: %s", code, bad)
	}
	for _, want := range []string{"holds passwords, and every user of this computer can read it", "Postern sends ATS0=0 after it", "everyone on the network can read the status page"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\nWarning: "); n != 3 {
		t.Errorf("%d warnings, want 3", n)
	}
}

func TestCheckTellsFaultsOfURLsAndAuthoritiesTogetherWithTheOthers(t *testing.T) {
	text := strings.NewReplacer(
		"pop3s://", "pop4://", `"smtps://smtp.example.org"`, `""`, `"isp"`+"\n[[up", `"ips"`+"\n[[up",
		"password = \"up", "ca_file = \"nowhere.pem\"\npassword = \"up",
	).Replace(checkedFile)
	code, _, bad := checked(t, text, 0o600)
	if code != 1 || strings.Count(bad, "\n") != 4 {
		t.Errorf("status %d, want 4 faults:\n%s", code, bad)
	}
	for line := range strings.Lines(bad) {
		if !strings.Contains(line, `postern.toml: [[u`) || strings.HasPrefix(line, "appliance") {
			t.Errorf("not FILE: [[entry]] …: %s", line)
		}
	}
	for _, want := range []string{"fetch: ", "no submit", "ca_file: ", `upstream "ips"`} {
		if !strings.Contains(bad, want) {
			t.Errorf("%q is missing in:\n%s", want, bad)
		}
	}
}

func TestLimitsThatAreOffAreSaidInWords(t *testing.T) {
	for want, l := range map[string][2]string{
		"last until the caller hangs up: there is no limit":       {"0s", "0s"},
		"end after 1h, however long they are silent":              {"0s", "1h"},
		"end after 15m without traffic, and after 2h in any case": {"15m", "2h"},
	} {
		var d [2]config.Duration
		for i := range d {
			if err := d[i].UnmarshalText([]byte(l[i])); err != nil {
				t.Fatal(err)
			}
		}
		if got := limits(d[0], d[1]); got != want {
			t.Errorf("%v: %s", l, got)
		}
	}
}

func TestABadCommandLineGetsOneLineThatSaysWhatToDo(t *testing.T) {
	for line, want := range map[string]string{
		"servce":                       `did you mean appliance serve?`,
		"demo --latency 600":           "--latency: 600 has no unit; write 600ms, 600s or 600m; see appliance demo --help",
		"exchange --latency 600":       "write 600ms",
		"selftest --timeout 5":         "write 5ms, 5s or 5m",
		"demo --rate fast":             `invalid value "fast" for --rate`,
		"demo --verbose=perhaps":       `invalid boolean value "perhaps" for --verbose`,
		"serve --colour":               "there is no flag --colour",
		"serve --config":               "a value is missing after --config",
		"trace --colour":               "there is no flag --colour; see appliance trace --help",
		"serve now":                    `takes no further words: ["now"]`,
		"check a.toml b.toml":          "name one file",
		"check --config a.toml b.toml": "name one file",
	} {
		code, out, bad := command(t, strings.Fields(line)...)
		if code != 2 || out != "" || !strings.Contains(bad, want) || strings.Count(bad, "\n") != 1 {
			t.Errorf("%s: status %d, %q", line, code, bad)
		}
	}
}

func TestHelpShowsFlagsAsTheyAreDocumented(t *testing.T) {
	code, _, bad := command(t, "demo", "--help")
	for _, want := range []string{"  --latency", "(default 60ms)", "  --json\n", "(default 33600)"} {
		if !strings.Contains(bad, want) {
			t.Errorf("%q is missing in:\n%s", want, bad)
		}
	}
	if code != 0 || strings.Contains(bad, "\n  -latency") {
		t.Errorf("status %d: %s", code, bad)
	}
}

func TestACommandThatIsLikeNoneGetsTheWholeHelp(t *testing.T) {
	if code, _, bad := command(t, "hovercraft"); code != 2 || !strings.Contains(bad, usage) {
		t.Errorf("status %d: %s", code, bad)
	}
}
