//go:build interop

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/status"
)

// buildAppliance builds the binary under test beside the guest, with the race
// detector: calls by strangers are the best load that it gets.
func buildAppliance(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(cacheDir(t), "appliance")
	out, err := exec.Command("go", "build", "-race", "-o", binary, "postern/cmd/appliance").CombinedOutput()
	if err != nil {
		t.Fatalf("the appliance cannot be built: %v\n%s", err, out)
	}
	return binary
}

// boxUser is one [[user]] of a box.
type boxUser struct {
	name       string
	dial       string // password
	typed      string // what the guest has for the dial password; empty: the right one
	mail       string // password; empty: the dial password
	upstream   string
	encryption string // empty: as for the box
}

func (u boxUser) address() string { return u.name + "@example.org" }

func (u boxUser) mailPassword() string {
	if u.mail != "" {
		return u.mail
	}
	return u.dial
}

// providerPassword is every user's password upstream: the box has one for all.
const providerPassword = "of-the-provider"

// boxConfig is what the tests vary in a configuration.
type boxConfig struct {
	port       string // of the line
	users      []boxUser
	ca         string // PEM file; empty: the provider's own
	encryption string // of [ppp]; empty: prefer
	ppp        string // further lines of [ppp]
	clear      bool   // captures with the secrets in them
}

// box is a running appliance.
type box struct {
	boxConfig
	binary  string
	file    string // configuration
	state   string // state_dir
	trusted string // PEM file of what the box believes in upstream
	page    string // URL of the status page
	log     *logbook
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process is gone

	given [][]byte // captures that the page gave
}

// newBox writes a configuration against the provider and starts an appliance
// on it, which ends with the test.
func newBox(t *testing.T, p *provider, c boxConfig) *box {
	t.Helper()
	if c.ca == "" {
		c.ca = p.ca.file
	}
	if c.encryption == "" {
		c.encryption = "prefer"
	}
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	web := freePort(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, `
state_dir = %q
hostname  = "mail.postern.lan"

[web]
listen = "127.0.0.1:%d"

[[line]]
name = "line1"
port = %q
init = ["ATZ", "AT&F&C1&D2S0=0"]

[ppp]
auth       = ["mschapv2", "mschap", "chap", "pap"]
encryption = %q
mppe       = ["128", "56", "40"]
local_ip   = "10.64.64.1"
pool       = "10.64.64.0/24"
%s
`, state, web, c.port, c.encryption, c.ppp)
	for _, u := range c.users {
		fmt.Fprintf(&conf, "\n[[user]]\nname = %q\ndial_password = %q\naddresses = [%q]\nupstream = %q\n",
			u.name, u.dial, u.address(), u.upstream)
		if u.mail != "" {
			fmt.Fprintf(&conf, "mail_password = %q\n", u.mail)
		}
		if u.encryption != "" {
			fmt.Fprintf(&conf, "encryption = %q\n", u.encryption)
		}
	}
	secret := filepath.Join(dir, "upstream-password")
	ca := filepath.Join(dir, "ca.pem")
	for _, up := range []struct{ name, fetch, submit string }{
		{"tls", fmt.Sprintf("pop3s://localhost:%d", p.pop3s), fmt.Sprintf("smtps://localhost:%d", p.smtps)},
		{"starttls", fmt.Sprintf("pop3+starttls://127.0.0.1:%d", p.pop3), fmt.Sprintf("smtp+starttls://127.0.0.1:%d", p.smtp)},
	} {
		fmt.Fprintf(&conf, "\n[[upstream]]\nname = %q\nfetch = %q\nsubmit = %q\nusername = \"{user}\"\npassword_file = %q\nca_file = %q\npoll = \"1h\"\n",
			up.name, up.fetch, up.submit, secret, ca)
	}
	b := &box{boxConfig: c, binary: buildAppliance(t), file: filepath.Join(dir, "postern.toml"), state: state, trusted: ca,
		page: fmt.Sprintf("http://127.0.0.1:%d", web), log: newLogbook()}
	for file, text := range map[string]string{secret: providerPassword + "\n", b.file: conf.String()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		// In order, so that the last call's capture is on the disk.
		if code := b.terminate(t); code != 0 {
			t.Errorf("exit status %d", code)
		}
		b.checkCaptures(t)
		if t.Failed() {
			t.Logf("the appliance's log:\n%s", b.log.text(0))
		}
		if strings.Contains(b.log.text(0), "DATA RACE") {
			t.Errorf("the race detector spoke up:\n%s", b.log.text(0))
		}
	})
	b.trust(t, c.ca)
	b.start(t)
	return b
}

// trust changes which authority the box believes in from its next start on.
func (b *box) trust(t *testing.T, ca string) {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err == nil {
		err = os.WriteFile(b.trusted, pem, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the appliance, again after it ended.
func (b *box) start(t *testing.T) {
	t.Helper()
	b.cmd = exec.Command(b.binary, "serve", "--config", b.file, fmt.Sprintf("--capture-clear=%t", b.clear))
	b.cmd.Stderr = b.log
	b.cmd.Stdout = b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	b.exited = exited
	cmd := b.cmd
	go func() {
		cmd.Wait()
		close(exited)
	}()
}

// kill ends the appliance as a power cut would.
func (b *box) kill() {
	b.cmd.Process.Kill()
	<-b.exited
}

// terminate asks the appliance to end in order and returns its exit status.
func (b *box) terminate(t *testing.T) int {
	t.Helper()
	b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(eventLimit):
		t.Errorf("SIGTERM did not end the appliance; its log:\n%s", b.log.text(0))
		b.kill()
	}
	return b.cmd.ProcessState.ExitCode()
}

// await waits until the status page shows what is wanted and returns that
// state. It reads the page's own stream of changes and so looks only when
// there is something new.
func (b *box) await(t *testing.T, what string, seen func(status.Snapshot) bool) status.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventLimit)
	defer cancel()
	var s status.Snapshot
	for ctx.Err() == nil {
		// The page is there a moment after the process is.
		changes, err := get(ctx, b.page+"/events")
		if err != nil {
			select {
			case <-b.exited:
				t.Fatalf("the appliance ended; its log:\n%s", b.log.text(0))
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		lines := bufio.NewScanner(changes.Body)
		for lines.Scan() {
			if lines.Text() != "" {
				continue // an event ends with an empty line
			}
			if s = b.snapshot(ctx, t); seen(s) {
				changes.Body.Close()
				return s
			}
		}
		changes.Body.Close()
	}
	t.Fatalf("the page never showed %s, last: %+v\nthe appliance's log:\n%s", what, s, b.log.text(0))
	return s
}

func (b *box) snapshot(ctx context.Context, t *testing.T) (s status.Snapshot) {
	r, err := get(ctx, b.page+"/status.json")
	if err != nil {
		return s
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		t.Errorf("status.json: %v", err)
	}
	return s
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// mailbox finds a user's row of the page.
func mailbox(s status.Snapshot, name string) status.User {
	for _, u := range s.Users {
		if u.Name == name {
			return u
		}
	}
	return status.User{}
}

// ready waits until the line waits for calls.
func (b *box) ready(t *testing.T) {
	t.Helper()
	b.await(t, "a line that waits for calls", func(s status.Snapshot) bool {
		return len(s.Lines) == 1 && s.Lines[0].State == status.LineReady
	})
}

// fetched waits until the user's mailbox on the box holds n messages.
func (b *box) fetched(t *testing.T, user string, n int) {
	t.Helper()
	b.await(t, fmt.Sprintf("%d messages for %s", n, user), func(s status.Snapshot) bool {
		return mailbox(s, user).Messages == n
	})
}

// lastCall waits until n calls have been made and are over and returns the newest.
func (b *box) lastCall(t *testing.T, n int64) status.Call {
	t.Helper()
	return b.await(t, fmt.Sprintf("the end of call %d", n), func(s status.Snapshot) bool {
		return s.Counters.Calls == n && len(s.Calls) == 0 && len(s.Ended) > 0
	}).Ended[0]
}
