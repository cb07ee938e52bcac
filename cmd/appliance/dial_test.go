package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/dialup/exchange"
	"postern/internal/status"
	"postern/ppp"
)

// startBox runs the demo's box, reached through a modem on TCP, whose address
// it returns.
func startBox(t *testing.T) (w *demoWorld, modem string) {
	t.Helper()
	w, err := newDemoWorld(demoOptions{
		rate: 921_600, auth: ppp.MSCHAPv2, stay: true, stack: gvisor, log: slog.New(slog.DiscardHandler),
	}, newStory(&bytes.Buffer{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.box.run(ctx) })
	running.Go(func() { exchange.ServeTCP(ctx, w.emulator, w.exchange.Modem(demoEmulator)) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.wait(t.Context(), "the lines to be ready", func(s status.Snapshot) bool { return allReady(s.Lines, 2) }); err != nil {
		t.Fatal(err)
	}
	return w, "tcp://" + w.emulator.Addr().String()
}

func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dialled is what `appliance dial --json` prints.
type dialled struct {
	OK bool `json:"ok"`
	clientResult
	Steps []step `json:"steps"`
}

func (d dialled) step(name string) (step, bool) {
	i := slices.IndexFunc(d.Steps, func(s step) bool { return s.Name == name })
	if i < 0 {
		return step{}, false
	}
	return d.Steps[i], true
}

func TestDialDoesWhatACallersPCDoes(t *testing.T) {
	w, modem := startBox(t)
	right, wrong := passwordFile(t, demoPassword), passwordFile(t, "open barley")
	try := func(want int, args ...string) (dialled, string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args = append([]string{"dial", "--json", "--modem", modem, "--init", "ATZ", "--init", "ATS11=50", "--user", demoUser}, args...)
		if code := run(t.Context(), args, &stdout, &stderr); code != want {
			t.Fatalf("exit status %d, want %d: %s%s", code, want, stdout.String(), stderr.String())
		}
		said := stdout.String() + stderr.String()
		for _, secret := range []string{demoPassword, "open barley"} {
			if strings.Contains(said, secret) {
				t.Errorf("a password was printed: %s", said)
			}
		}
		var d dialled
		if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if d.OK != (want == 0) {
			t.Errorf("ok is %v with exit status %d", d.OK, want)
		}
		return d, said
	}

	d, said := try(0, "--number", demoNumber, "--password-file", right, "--send-to", "bob@example.net", "--from", demoAddress)
	if d.Auth != "MS-CHAPv2" || !strings.HasPrefix(d.Encryption, "MPPE 128") || d.Sent != 1 || d.ConnectRate != 921_600 || len(d.Steps) != 8 {
		t.Errorf("the call was %s", said)
	}
	if queue, err := w.box.spool.Queue(); err != nil || len(queue) != 1 || queue[0].To[0] != "bob@example.net" {
		t.Errorf("the queue holds %+v, %v", queue, err)
	}

	d, said = try(1, "--number", demoNumber, "--password-file", wrong)
	if s, found := d.step("log-in"); !found || s.OK || !strings.Contains(s.Text, "refused") {
		t.Errorf("a wrong password was reported as %s", said)
	}
	d, said = try(1, "--number", "5550177", "--password-file", right)
	if s, found := d.step("modem"); !found || s.OK || !strings.Contains(s.Text, "NO CARRIER") {
		t.Errorf("a wrong number was reported as %s", said)
	}
	d, said = try(1, "--number", demoNumber, "--password-file", right, "--mail-password-file", wrong,
		"--auth", "chap,pap", "--encryption", "off", "--server", "mail.example.com")
	for name, ok := range map[string]bool{"log-in": true, "dns": false, "pop3": false, "encryption": true, "hang-up": true} {
		if s, found := d.step(name); !found || s.OK != ok {
			t.Errorf("step %s is not %v in %s", name, ok, said)
		}
	}
	if d.Auth != "CHAP-MD5" || d.Encryption != "" {
		t.Errorf("the call was %s", said)
	}
}

func TestDialTellsItsStepsAndReadsAFile(t *testing.T) {
	_, modem := startBox(t)
	file := filepath.Join(t.TempDir(), "dial.toml")
	if err := os.WriteFile(file, []byte(`
modem = "`+modem+`"
number = "`+demoNumber+`"
user = "nobody"
password_file = "`+passwordFile(t, demoPassword)+`"
auth = ["mschap", "pap"]
encryption = "require"
timeout = "1m"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"dial", "--user", demoUser, "--config", file}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s%s", code, stdout.String(), stderr.String())
	}
	for _, want := range []string{"CONNECT 921600", "alice by MS-CHAP;", "MPPE", "mail.postern.lan is at 10.64.64.1", "0 messages wait", "PASSED: 7 steps"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not told in:\n%s", want, stdout.String())
		}
	}
}

func TestADialThatCannotBeIsExplained(t *testing.T) {
	password, empty := passwordFile(t, "x"), passwordFile(t, "")
	unknown := filepath.Join(t.TempDir(), "unknown.toml")
	if err := os.WriteFile(unknown, []byte("\npassword = \"hunter2\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	enough := "--modem /nowhere/ttyS9 --number 1 --user u --password-file "
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "--modem is missing\n--number is missing\n--user is missing\n--password-file is missing"},
		{"--modem ttyS0", 2, "neither a device"},
		{"--auth ntlm", 2, "no authentication method"},
		{"--encryption rot13", 2, "no encryption policy"},
		{enough + password + " --send-to a@b", 2, "--from is missing"},
		{enough + password + " --send-to a@b> --mail-user c@d", 2, "not a mail address"},
		{enough + password + " --timeout 0s", 2, "more than 0s"},
		{enough + empty, 1, "is empty"},
		{enough + "/nowhere/password", 1, "no such file"},
		{enough + password, 1, "1 of 1 step failed"},
		{"--config " + unknown, 1, "line 2: password"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"dial"}, strings.Fields(tc.args)...), &stdout, &stderr)
		if code != tc.code || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%s: exit status %d, want %d, with %q in: %s", tc.args, code, tc.code, tc.want, stderr.String())
		}
		if strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("a password was printed: %s", stderr.String())
		}
	}
}
