//go:build interop

package interop

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// startExim serves submission as inetd does: the test owns the listening
// sockets, so there is no port to guess and nothing to wait for, and each
// connection gets an Exim of its own. Exim delivers over LMTP to the test.
// There is no way to run it as somebody else than the user it was built for.
func (p *provider) startExim(t *testing.T, users map[string]string, cert, key string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("Exim gives its spool to the user whom Debian built it for; only root may start it so")
	}
	as := credential(t, "Debian-exim")
	passwords := ""
	for name, password := range users {
		passwords += name + ": " + password + "\n"
	}
	p.write(t, "submitters", passwords)
	conf := p.write(t, "exim.conf", strings.NewReplacer("DIR", p.dir, "CERT", cert, "KEY", key).Replace(eximConf))
	p.mkdir(t, as, "exim/log")
	p.mkdir(t, as, "exim/spool")
	p.serveLMTP(t)
	p.smtp = p.serveExim(t, conf, as)
	p.smtps = p.serveExim(t, conf, as, "-tls-on-connect")
}

func (p *provider) serveExim(t *testing.T, conf string, as *syscall.Credential, options ...string) (port int) {
	t.Helper()
	exim, err := exec.LookPath("exim4")
	if err != nil {
		t.Fatalf("Exim is not here: %v; run internal/interop/prepare first", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		cancel()
		all.Wait()
	})
	serve := func(c net.Conn) {
		socket, err := c.(*net.TCPConn).File()
		c.Close()
		if err != nil {
			return
		}
		defer socket.Close()
		if p.closed.Load() {
			return
		}
		cmd := exec.CommandContext(ctx, exim, append([]string{"-C", conf, "-bs"}, options...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, p.exim
		cmd.WaitDelay = time.Second // its delivering child may hold stderr
		cmd.Run()                   // how it went is in Exim's own log
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// Exim adds nothing to a message, so that what comes
// out can be compared byte for byte; it wants TLS and AUTH; and it refuses
// recipients in refused.example for good.
const eximConf = `
primary_hostname = smtp.provider.test
spool_directory = DIR/exim/spool
log_file_path = DIR/exim/log/%s
deliver_drop_privilege = true
received_header_text =
keep_environment =
smtp_accept_max = 0
tls_advertise_hosts = *
tls_certificate = CERT
tls_privatekey = KEY
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = data
message_size_limit = 20M

begin acl
mail:
  deny message = encrypt first
       !encrypted = *
  accept
rcpt:
  deny message = log in first
       !authenticated = *
  deny message = no such mailbox
       domains = refused.example
  accept
data:
  accept

begin routers
everyone:
  driver = accept
  transport = to_the_test

begin transports
to_the_test:
  driver = lmtp
  socket = DIR/lmtp
  return_path_add = false

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if eq{$auth3}{${lookup{$auth2}lsearch{DIR/submitters}{$value}fail}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if eq{$auth2}{${lookup{$auth1}lsearch{DIR/submitters}{$value}fail}}}
  server_set_id = $auth1
`

// serveLMTP takes what Exim delivers.
func (p *provider) serveLMTP(t *testing.T) {
	t.Helper()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &lmtpSession{to: p.received}, nil
	}))
	s.LMTP = true
	s.Domain = "localhost"
	s.MaxLineLength = 1 << 20
	l, err := net.Listen("unix", filepath.Join(p.dir, "lmtp"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(p.dir, "lmtp"), 0o777); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		done.Wait()
	})
}

// lmtpSession is one delivery by Exim.
type lmtpSession struct {
	to   chan<- delivery
	from string
	rcpt []string
}

func (s *lmtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from, s.rcpt = from, nil
	return nil
}

func (s *lmtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.rcpt = append(s.rcpt, to)
	return nil
}

func (s *lmtpSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, to := range s.rcpt {
		s.to <- delivery{s.from, to, string(data)}
	}
	return nil
}

func (s *lmtpSession) Reset()        { s.from, s.rcpt = "", nil }
func (s *lmtpSession) Logout() error { return nil }
