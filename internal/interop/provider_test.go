//go:build interop

package interop

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// provider is a mail provider on loopback: Dovecot for POP3 and Exim for
// submission, both over TLS in both forms, with the same users.
type provider struct {
	dir      string
	ca       *authority
	pop3     int // STLS
	pop3s    int
	smtp     int // STARTTLS
	smtps    int
	dovecot  *logbook
	exim     *logbook
	received chan delivery // what Exim delivered
	closed   atomic.Bool   // Exim's ports close every connection at once

	seq  int                 // of the messages put into mailboxes
	user *syscall.Credential // whom Dovecot runs as; nil: as the test
}

// delivery is one message as Exim handed it on, with its envelope.
type delivery struct {
	from string
	to   string
	data string
}

// startProvider starts a provider for users, keyed by name, with their
// passwords. It ends with the test.
func startProvider(t *testing.T, users map[string]string) *provider {
	t.Helper()
	// Not t.TempDir: another user must be able to enter, and socket paths are short.
	dir, err := os.MkdirTemp("", "postern-provider-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &provider{dir: dir, received: make(chan delivery, 64), dovecot: newLogbook(), exim: newLogbook()}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // it has no use for root
		p.user = credential(t, "nobody")
	}
	p.ca = newAuthority(t, dir, "provider")
	for name := range users {
		for _, sub := range []string{"cur", "new", "tmp"} {
			p.mkdir(t, p.user, filepath.Join("mail", name, sub))
		}
	}
	cert, key := p.ca.serverCertificate(t, dir)
	p.startDovecot(t, users, cert, key)
	p.startExim(t, users, cert, key)
	return p
}

func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// mkdir makes folders that belong to a server.
func (p *provider) mkdir(t *testing.T, owner *syscall.Credential, path string) {
	t.Helper()
	at := p.dir
	for part := range strings.SplitSeq(path, "/") {
		at = filepath.Join(at, part)
		if err := os.Mkdir(at, 0o755); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		if owner != nil {
			if err := os.Chown(at, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (p *provider) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// ids names the user and group of Dovecot.
func (p *provider) ids(t *testing.T) (userName, groupName string) {
	t.Helper()
	uid, gid := os.Geteuid(), os.Getegid()
	if p.user != nil {
		uid, gid = int(p.user.Uid), int(p.user.Gid)
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	return u.Username, g.Name
}

func (p *provider) startDovecot(t *testing.T, users map[string]string, cert, key string) {
	t.Helper()
	p.pop3, p.pop3s = freePort(t), freePort(t)
	passwords := ""
	for _, name := range slices.Sorted(maps.Keys(users)) {
		passwords += name + ":{PLAIN}" + users[name] + "\n"
	}
	p.write(t, "passwd", passwords)
	userName, groupName := p.ids(t)
	conf := p.write(t, "dovecot.conf", strings.NewReplacer(
		"DIR", p.dir, "CERT", cert, "KEY", key, "USER", userName, "GROUP", groupName,
		"POP3PORT", strconv.Itoa(p.pop3), "POP3SPORT", strconv.Itoa(p.pop3s),
	).Replace(dovecotConf))
	p.mkdir(t, p.user, "dovecot/run")
	p.mkdir(t, p.user, "dovecot/state")

	cmd := exec.Command("dovecot", "-F", "-c", conf)
	cmd.Stderr = p.dovecot
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user, Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("Dovecot does not start: %v; run internal/interop/prepare first", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	p.dovecot.await(t, 0, "starting up")
}

// Dovecot as one ordinary user: no chroot, no other identity.
const dovecotConf = `
base_dir = DIR/dovecot/run
state_dir = DIR/dovecot/state
log_path = /dev/stderr
protocols = pop3
listen = 127.0.0.1
default_internal_user = USER
default_internal_group = GROUP
default_login_user = USER
service anvil {
  chroot =
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = POP3PORT
  }
  inet_listener pop3s {
    port = POP3SPORT
    ssl = yes
  }
}
ssl = required
ssl_cert = <CERT
ssl_key = <KEY
mail_location = maildir:DIR/mail/%u
passdb {
  driver = passwd-file
  args = DIR/passwd
}
userdb {
  driver = static
  args = uid=USER gid=GROUP home=DIR/mail/%u
}
`

// deliver puts a message (lines end in CRLF) into a user's mailbox, by the
// rules of Maildir: written in tmp, renamed into new.
func (p *provider) deliver(t *testing.T, name, message string) {
	t.Helper()
	p.seq++
	file := fmt.Sprintf("%d.%d.provider", 1700000000+p.seq, p.seq)
	box := filepath.Join(p.dir, "mail", name)
	tmp := p.write(t, filepath.Join("mail", name, "tmp", file), strings.ReplaceAll(message, "\r\n", "\n"))
	if err := os.Rename(tmp, filepath.Join(box, "new", file)); err != nil {
		t.Fatal(err)
	}
}

// waiting counts the messages in a user's mailbox.
func (p *provider) waiting(t *testing.T, name string) int {
	t.Helper()
	n := 0
	for _, sub := range []string{"new", "cur"} {
		files, err := os.ReadDir(filepath.Join(p.dir, "mail", name, sub))
		if err != nil {
			t.Fatal(err)
		}
		n += len(files)
	}
	return n
}

// arrival waits for the next message that Exim delivered.
func (p *provider) arrival(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-p.received:
		return d
	case <-time.After(eventLimit):
		log, _ := os.ReadFile(filepath.Join(p.dir, "exim/log/main"))
		t.Fatalf("nothing arrived at Exim; its log:\n%s", log)
	}
	return delivery{}
}

// freePort is a TCP port of 127.0.0.1 that nobody has at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
