package mailrelay

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"postern/internal/status"
)

// uids is what POP3's UIDL shows alice.
func (w *world) uids() (uids []string) {
	w.t.Helper()
	ms, err := w.spool.Messages("alice")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range ms {
		uids = append(uids, m.UID)
	}
	return uids
}

func TestUIDLsAndDeletionsSurviveAChangeOfUpstream(t *testing.T) {
	w := newWorld(t)
	for _, m := range []string{"one\r\n", "two\r\n", "three\r\n"} {
		w.provider.AddMessage("alice@isp", []byte(m))
	}
	w.fetch()
	before := w.uids()
	w.callerDeletes(1)
	// The new provider numbers its messages as the old one did.
	w.provider.AddUser("alice@new", secretWord)
	w.provider.AddMessage("alice@new", []byte("of the new\r\n"))
	w.crash(func(cfg *UpstreamConfig, _ *world) {
		cfg.Accounts[0].Upstream, cfg.Accounts[0].Username = "new", "alice@new"
	})
	w.fetch()
	w.fetch()
	w.mustWork(status.Fetch)
	w.mustHave("two\r\n", "three\r\n", "of the new\r\n")
	after := w.uids()
	if !slices.Equal(after[:2], before[1:]) || slices.Contains(before, after[2]) {
		t.Errorf("UIDs %q, before %q", after, before)
	}
	if n := len(w.provider.Mailbox("alice@new")); n != 1 {
		t.Errorf("%d messages at the new provider", n)
	}
	// And back: what was deleted meanwhile is told, and nothing comes twice.
	w.crash()
	w.fetch()
	w.mustHave("two\r\n", "three\r\n", "of the new\r\n")
	if n := len(w.upstreamUIDs()); n != 2 || !slices.Equal(w.uids(), after) {
		t.Errorf("%d messages upstream, UIDs %q", n, w.uids())
	}
}

func TestABackupThatIsPutBackBringsTheOldUIDLsAndReusesNone(t *testing.T) {
	w := newWorld(t)
	w.provider.AddMessage("alice@isp", []byte("one\r\n"))
	w.provider.AddMessage("alice@isp", []byte("two\r\n"))
	w.fetch()
	saved := w.uids()
	w.accept("alice@example.org", letter, "bob@example.net")
	w.spool.Close()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	w.openSpool()
	w.restart()
	w.callerDeletes(1)
	w.provider.AddMessage("alice@isp", []byte("three\r\n"))
	w.fetch()
	lost := w.uids()[1]

	w.spool.Close()
	w.dir = backup
	w.openSpool()
	w.restart()
	w.fetch()
	w.mustWork(status.Fetch)
	w.mustHave("one\r\n", "two\r\n", "three\r\n")
	got := w.uids()
	if !slices.Equal(got[:2], saved) || slices.Contains(append(saved, lost), got[2]) {
		t.Errorf("UIDs %q; saved %q, lost %q", got, saved, lost)
	}
	if q := w.queue(); len(q) != 1 {
		t.Errorf("queue %v", q)
	}
}
