//go:build interop

package interop

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/mailrelay"
	"postern/mailrelay/spool"
)

// TestCurlFetchesAppendsAndSearchesByIMAP speaks to our server with Debian's curl,
// by every mechanism that it has.
func TestCurlFetchesAppendsAndSearchesByIMAP(t *testing.T) {
	s, err := spool.Open(t.TempDir(), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const message = "Subject: one\r\n\r\nbody {5}\r\n.\r\n\xff"
	if _, err := s.Deliver("alice", spool.Source{Upstream: "isp", UID: "1"}, strings.NewReader(message)); err != nil {
		t.Fatal(err)
	}
	server := &mailrelay.IMAPServer{
		Spool:    s,
		Accounts: mailrelay.AccountList{{User: "alice", Password: func() string { return "sesame" }}},
		Log:      slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(t.Context(), l) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	url := "imap://" + l.Addr().String()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--max-time", "20", "--user", "alice:sesame"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("curl %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for _, mechanism := range []string{"", "PLAIN", "LOGIN", "CRAM-MD5", "NTLM", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		args := []string{url + "/INBOX;UID=1"}
		if mechanism != "" {
			args = append(args, "--login-options", "AUTH="+mechanism)
		}
		if strings.HasPrefix(mechanism, "SCRAM") && !curlHas(t, "gsasl") {
			continue // Debian's curl is built without
		}
		if got := run(args...); got != message {
			t.Errorf("by %q the message is %q", mechanism, got)
		}
	}
	if got := run(url + "/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"); got != "Subject: one\r\n\r\n" {
		t.Errorf("a section is %q", got)
	}
	letter := filepath.Join(t.TempDir(), "letter")
	if err := os.WriteFile(letter, []byte(message), 0o600); err != nil {
		t.Fatal(err)
	}
	run("-T", letter, url+"/Sent")
	if got := run(url + "/Sent;UID=1"); got != message {
		t.Errorf("what was appended is %q", got)
	}
	if got := run(url+"/INBOX?SUBJECT%20one", "--globoff"); got != "* SEARCH 1\r\n" {
		t.Errorf("SEARCH is %q", got)
	}
	if got := run(url + "/"); !strings.Contains(got, "INBOX") || !strings.Contains(got, "Sent") {
		t.Errorf("LIST is %q", got)
	}
	run(url+"/INBOX", "-X", "STORE 1 +FLAGS \\Deleted")
	run(url+"/INBOX", "-X", "EXPUNGE")
	if uids, err := s.Deletions("alice", "isp"); err != nil || fmt.Sprint(uids) != "[1]" {
		t.Errorf("deletions are %q, %v", uids, err)
	}
}

func curlHas(t *testing.T, feature string) bool {
	out, err := exec.CommandContext(t.Context(), "curl", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(strings.ToLower(string(out)), feature)
}
