//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/base64"
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
)

//go:embed guest
var guestScripts embed.FS

// Bounds, not expectations: a guest that is silent for longer hangs.
const (
	bootLimit = 3 * time.Minute
	caseLimit = 60 * time.Second
)

// guest is a running virtual machine whose only way out is the modem on its
// second serial port. Its console speaks the protocol that guest/init tells.
type guest struct {
	stdin   io.WriteCloser
	replies <-chan string // lines that begin with '@'; closed when it is off

	mu  sync.Mutex
	log bytes.Buffer // all of the console since the last case began
}

// bootGuest starts a guest with files added to its root. The modem is the
// computer's end of a serial line; bootGuest closes it. The machine ends with
// the test.
func bootGuest(t *testing.T, files map[string]guestFile, modem *os.File) *guest {
	t.Helper()
	dir := guestDir(t)
	for from, to := range map[string]string{"init": "/init", "lib.sh": "/lib.sh", "ip-up": "/etc/ppp/ip-up"} {
		data, err := guestScripts.ReadFile("guest/" + from)
		if err != nil {
			t.Fatal(err)
		}
		files[to] = guestFile{0o755, data}
	}
	files["/etc/ppp/options"] = guestFile{0o644, nil} // pppd wants it to exist

	base, err := os.ReadFile(filepath.Join(dir, "base.cpio"))
	if err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(t.TempDir(), "initrd.cpio")
	if err := os.WriteFile(initrd, append(base, newc(files)...), 0o600); err != nil {
		t.Fatal(err)
	}

	// The kernel's check of its timer gives up too soon where the emulator gets
	// little of the processor.
	cmd := exec.Command("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot",
		"-accel", "tcg", "-cpu", "max", "-m", "256",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 no_timer_check",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=modem,fd=3", "-serial", "chardev:modem")
	cmd.ExtraFiles = []*os.File{modem}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("the guest does not start: %v", err)
	}
	modem.Close()

	replies := make(chan string, 1024)
	g := &guest{stdin: stdin, replies: replies}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(replies)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			g.mu.Lock()
			g.log.WriteString(lines.Text() + "\n")
			g.mu.Unlock()
			replies <- lines.Text()
		}
	})
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range replies { // so that the reader is not stuck and ends
		}
		reader.Wait()
		cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	for g.reply(ctx, t) != "@ready" {
	}
	return g
}

// cacheDir is where prepare and the tests keep what is slow to make.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "postern-interop")
}

// guestDir is where prepare left the guest.
func guestDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(cacheDir(t), "current")
	if _, err := os.Stat(filepath.Join(dir, "base.cpio")); err != nil {
		t.Fatalf("no guest is built here; run internal/interop/prepare first (%v)", err)
	}
	return dir
}

// reply returns the console's next line.
func (g *guest) reply(ctx context.Context, t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-g.replies:
		if !open {
			t.Fatalf("the guest is off; its console:\n%s", g.console())
		}
		return line
	case <-ctx.Done():
		t.Fatalf("the guest hangs; its console:\n%s", g.console())
	}
	return ""
}

func (g *guest) console() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// result is what a case said.
type result struct {
	status string
	said   []string
}

// says reports whether a line that begins with the words was said.
func (r result) says(words string) bool {
	for _, s := range r.said {
		if strings.HasPrefix(s, words) {
			return true
		}
	}
	return false
}

// run runs a case to its end. Each "ask" of the case is given to asked (which
// may be nil) and answered when that returns. When the test fails, the console
// of the case is shown.
func (g *guest) run(t *testing.T, name string, asked func(words string)) result {
	t.Helper()
	g.mu.Lock()
	g.log.Reset()
	g.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console of the guest since %s began:\n%s", name, g.console())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	g.send(t, "run "+name)
	var r result
	for {
		line := g.reply(ctx, t)
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "@say":
			r.said = append(r.said, rest)
		case "@ask":
			if asked != nil {
				asked(rest)
			}
			g.send(t, "on")
		case "@end":
			r.status = rest
		case "@ready":
			return r
		}
	}
}

// get brings a file out of the guest.
func (g *guest) get(t *testing.T, path string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	g.send(t, "get "+path)
	for g.reply(ctx, t) != "@file" {
	}
	var text strings.Builder
	for line := g.reply(ctx, t); line != "@eof"; line = g.reply(ctx, t) {
		text.WriteString(line)
	}
	for g.reply(ctx, t) != "@ready" {
	}
	data, err := base64.StdEncoding.DecodeString(text.String())
	if err != nil {
		t.Fatalf("%s came out of the guest damaged: %v", path, err)
	}
	return data
}

func (g *guest) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(g.stdin, line+"\n"); err != nil {
		t.Fatalf("the guest does not listen: %v", err)
	}
}

// serialCable makes the two ends of a serial line to a modem: the computer's
// as a file for QEMU, the modem's as a listener for one connection. Both have
// small buffers: QEMU's and the kernel's own would hold minutes of a telephone
// line and pppd would believe its bytes sent (QEMU's socket chardev writes as
// much as the socket takes).
func serialCable(t *testing.T) (computer *os.File, modem net.Listener) {
	t.Helper()
	buffer := func(option, size int) func(string, string, syscall.RawConn) error {
		return func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, size)
			}); e != nil {
				return e
			}
			return err
		}
	}
	lc := net.ListenConfig{Control: buffer(syscall.SO_RCVBUF, 4096)}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{Control: buffer(syscall.SO_SNDBUF, 4608)}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}
