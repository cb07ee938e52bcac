//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The strangers alone, so that a failure elsewhere is not theirs.
func TestProviderAloneKeepsEveryByte(t *testing.T) {
	t.Parallel()
	p := startProvider(t, map[string]string{"alice": "upstream-alice"})
	for i, letter := range letters("bob@example.net", "alice@example.org") {
		p.deliver(t, "alice", letter)
		for _, url := range []string{fmt.Sprintf("pop3://localhost:%d/", p.pop3), fmt.Sprintf("pop3s://127.0.0.1:%d/", p.pop3s)} {
			got := curl(t, p, "--user", "alice:upstream-alice", fmt.Sprint(url, i+1))
			if got != letter {
				t.Errorf("letter %d by %s: %d bytes, want %d\n%.3000q\n%.3000q", i+1, url, len(got), len(letter), got, letter)
			}
		}
		file := filepath.Join(t.TempDir(), "letter")
		if err := os.WriteFile(file, []byte(letter), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{fmt.Sprintf("smtp://localhost:%d", p.smtp), fmt.Sprintf("smtps://127.0.0.1:%d", p.smtps)} {
			curl(t, p, "--user", "alice:upstream-alice", "--mail-from", "alice@example.org", "--mail-rcpt", "bob@example.net", "-T", file, url)
			got := p.arrival(t)
			if got != (delivery{"alice@example.org", "bob@example.net", letter}) {
				t.Errorf("letter %d by %s came as %.3000q, want %.3000q", i+1, url, got, letter)
			}
		}
	}
	mark := p.dovecot.mark()
	curl(t, p, "--user", "alice:upstream-alice", "-l", "-X", "DELE", fmt.Sprintf("pop3s://localhost:%d/2", p.pop3s))
	p.dovecot.await(t, mark, "pop3(alice)", "del=1/")
	if n := p.waiting(t, "alice"); n != 4 {
		t.Errorf("%d messages wait after one of five was deleted", n)
	}
}

func curl(t *testing.T, p *provider, args ...string) string {
	t.Helper()
	cmd := exec.Command("curl", append([]string{"-sS", "--ssl-reqd", "--cacert", p.ca.file}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl %q: %v\nexim: %s", args, err, p.exim.text(0))
	}
	return string(out)
}
