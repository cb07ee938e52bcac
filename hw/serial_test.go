package hw

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pty makes a pseudo-terminal and returns its master, where the test is the
// modem, and the path of the port.
func pty(t *testing.T) (modem *os.File, path string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	modem = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { modem.Close() })
	return modem, fmt.Sprintf("/dev/pts/%d", n)
}

func openSerial(t *testing.T, path string) *Serial {
	t.Helper()
	s, err := OpenSerial(path, 115200)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// readFull reads len(b) bytes, over Reads that time out.
func readFull(t *testing.T, s *Serial, b []byte) {
	t.Helper()
	for n := 0; n < len(b); {
		k, err := s.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestEveryByteGoesThroughUnchanged(t *testing.T) {
	modem, path := pty(t)
	s := openSerial(t, path)
	got := make([]byte, 256)
	if _, err := s.Write(allBytes()); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(got); {
		k, err := modem.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	if !bytes.Equal(got, allBytes()) {
		t.Errorf("to the modem came %q", got)
	}
	if _, err := modem.Write(allBytes()); err != nil {
		t.Fatal(err)
	}
	readFull(t, s, got)
	if !bytes.Equal(got, allBytes()) {
		t.Errorf("from the modem came %q", got)
	}
}

func TestReadReturnsNothingAfterItsTimeout(t *testing.T) {
	_, path := pty(t)
	if n, err := openSerial(t, path).Read(make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

func TestAMissingPortIsToldInWords(t *testing.T) {
	_, err := OpenSerial("/dev/ttyUSB99", 115200)
	if !errors.Is(err, ErrUnplugged) || !strings.HasPrefix(err.Error(), "/dev/ttyUSB99 is not there: is the modem plugged in?") {
		t.Errorf("OpenSerial = %v", err)
	}
}

func TestWhatIsNoSerialPortIsRefused(t *testing.T) {
	for _, path := range []string{"/dev/null", filepath.Join(t.TempDir(), "file")} {
		if path != "/dev/null" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := OpenSerial(path, 115200); err == nil || !strings.Contains(err.Error(), "is no serial port") {
			t.Errorf("OpenSerial(%s) = %v", path, err)
		}
	}
}

func TestAnImpossibleSpeedIsRefusedAndLeavesThePortFree(t *testing.T) {
	_, path := pty(t)
	if _, err := OpenSerial(path, 115201); err == nil || !strings.Contains(err.Error(), "115201 bit/s") {
		t.Errorf("OpenSerial = %v", err)
	}
	openSerial(t, path)
}

func TestTheSecondProgramIsToldWhoHasThePort(t *testing.T) {
	_, path := pty(t)
	s := openSerial(t, path)
	link := filepath.Join(t.TempDir(), "usb-modem") // as /dev/serial/by-id
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link} {
		_, err := OpenSerial(p, 115200)
		if !errors.Is(err, ErrInUse) {
			t.Fatalf("OpenSerial(%s) = %v", p, err)
		}
		// Without the right to pass TIOCEXCL the kernel refuses before the
		// lock is seen, and does not say who.
		if os.Geteuid() == 0 && !strings.Contains(err.Error(), "this program already") {
			t.Errorf("OpenSerial(%s) = %v", p, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openSerial(t, path)
}

func TestALockFileOfALivingProcessIsHonoured(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		text string
		want int
	}{
		{fmt.Sprintf("%10d\n", os.Getpid()), os.Getpid()},
		{"999999999\n", 0}, // long dead
		{"nonsense", 0},
		{"-1", 0},
	} {
		if err := os.WriteFile(filepath.Join(dir, "LCK..ttyUSB0"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lockFileHolder(dir, "/dev/ttyUSB0"); got != c.want {
			t.Errorf("%q: held by %d, want %d", c.text, got, c.want)
		}
	}
	if err := inUseError("/dev/ttyUSB0", 1); !strings.Contains(err.Error(), "(process 1): stop that first") || !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

func TestAnUnpluggedModemIsNoticed(t *testing.T) {
	modem, path := pty(t)
	s := openSerial(t, path)
	modem.Close()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrUnplugged) {
		t.Errorf("Read = %v", err)
	}
	if _, err := s.Write([]byte("AT\r")); !errors.Is(err, ErrUnplugged) {
		t.Errorf("Write = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// A modem that holds CTS off is a pty whose master does not read, and one whose
// output is stopped.
func TestCloseEndsABlockedWriteAndRead(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		_, path := pty(t)
		s := openSerial(t, path)
		if stopped {
			if err := unix.IoctlSetInt(s.ctl, unix.TCXONC, unix.TCOOFF); err != nil {
				t.Fatal(err)
			}
		}
		reader, writer, reading := make(chan error), make(chan error), make(chan bool, 1)
		go func() {
			_, err := s.Write(make([]byte, 1<<20)) // more than a pty holds
			writer <- err
		}()
		go func() {
			for {
				select {
				case reading <- true: // its second Read comes after a timeout: the Write is stuck by then
				default:
				}
				if _, err := s.Read(make([]byte, 1)); err != nil {
					reader <- err
					return
				}
			}
		}()
		<-reading
		<-reading
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		for _, ended := range []chan error{reader, writer} {
			if err := <-ended; !errors.Is(err, fs.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("the second Close = %v", err)
		}
	}
}

func TestAPtyHasNoModemLines(t *testing.T) {
	_, path := pty(t)
	s := openSerial(t, path)
	if on, known := s.DCD(); on || known {
		t.Errorf("DCD = %v, %v", on, known)
	}
	if err := s.SetDTR(false); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SetDTR = %v", err)
	}
	if _, err := s.Lines(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Lines = %v", err)
	}
	if _, known := s.OutputWaiting(); known {
		t.Error("a pty's output is known to wait")
	}
}
