package dialup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is the modem's side of a Port, played by a test. It cuts what the
// computer sends into commands and asks reply for the answer to each.
type script struct {
	reply func(command string) string
	echo  atomic.Bool

	mu   sync.Mutex
	dte  net.Conn // the modem's end
	told []string
}

// newScript returns a dialogue with a modem that answers OK, but for what
// reply says; "" is no answer. It must run within synctest.
func newScript(t *testing.T, reply func(command string) string) (*script, *modem) {
	t.Helper()
	port, dte := net.Pipe()
	s := &script{dte: dte, reply: reply}
	go s.play()
	w := newWire(port)
	t.Cleanup(func() {
		w.close()
		dte.Close()
	})
	return s, newModem(w, slog.New(slog.DiscardHandler))
}

func (s *script) play() {
	var command []byte
	b := make([]byte, 1)
	for {
		if _, err := s.end().Read(b); err != nil {
			return
		}
		if s.echo.Load() {
			s.say(string(b))
		}
		if b[0] != '\r' {
			command = append(command, b[0])
		}
		if b[0] != '\r' && string(command) != "+++" || len(command) == 0 {
			continue
		}
		told := string(command)
		command = nil
		s.mu.Lock()
		s.told = append(s.told, told)
		s.mu.Unlock()
		s.say(s.reply(told))
	}
}

// say sends text a byte at a time, as a slow serial line has it; a byte in it
// that is \a is a second of silence.
func (s *script) say(text string) {
	for i := range len(text) {
		if text[i] == '\a' {
			time.Sleep(time.Second)
			continue
		}
		if _, err := s.end().Write([]byte{text[i]}); err != nil {
			return
		}
	}
}

func (s *script) end() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dte
}

func (s *script) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

const okay = "\r\nOK\r\n"

func always(string) string { return okay }

// answers replies from a table, OK to everything else.
func answers(table map[string]string) func(string) string {
	return func(command string) string {
		if answer, found := table[command]; found {
			return answer
		}
		return okay
	}
}

func TestInitCommandsAreSentOneByOneAndTheModemNeverAnswersByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newScript(t, answers(map[string]string{"ATS0?": "\r\n000\r\n\r\nOK\r\n"}))
		if err := m.begin(t.Context(), []string{"ATZ", "AT&F&C1&D2S0=0"}); err != nil {
			t.Fatal(err)
		}
		want := []string{"ATE0Q0V1", "ATZ", "AT&F&C1&D2S0=0", "ATE0Q0V1", "ATS0=0", "ATS0?"}
		if got := s.heard(); !slices.Equal(got, want) {
			t.Fatalf("the modem was told %q, want %q", got, want)
		}
	})
}

func TestInitUnderstandsWhatModemsSayBeforeTheyAreSetUp(t *testing.T) {
	for name, wrap := range map[string]func(command, answer string) string{
		"echo":            func(c, a string) string { return c + "\r" + a },
		"echo with LF":    func(c, a string) string { return c + "\r\n" + a },
		"stray line ends": func(_, a string) string { return "\n\r\r" + a + "\r\n\n" },
		"noise before":    func(_, a string) string { return "\x00\xff}#" + a },
		"a slow answer":   func(_, a string) string { return "\a" + a },
	} {
		synctest.Test(t, func(t *testing.T) {
			_, m := newScript(t, func(c string) string { return wrap(c, okay) })
			if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestAModemWhoseProfileSpeaksNumbersIsUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verbose := false
		_, m := newScript(t, func(c string) string {
			switch {
			case c == "ATZ":
				verbose = false
			case strings.Contains(c, "V1"):
				verbose = true
			}
			switch {
			case !verbose:
				return "2\r" + "0\r"
			case c == "ATS0?":
				return "\r\n0\r\n" + okay
			}
			return okay
		})
		if err := m.begin(t.Context(), []string{"ATZ", "AT&F"}); err != nil {
			t.Fatal(err)
		}
		if m.ring.rings != 2 {
			t.Fatalf("%d rings heard", m.ring.rings)
		}
	})
}

func TestAQuietModemIsMadeToTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := true
		_, m := newScript(t, func(c string) string {
			if strings.Contains(c, "Q0") {
				quiet = false
			}
			if quiet {
				return ""
			}
			return okay
		})
		if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestALostFirstCommandCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		awake := false
		_, m := newScript(t, func(string) string {
			if !awake {
				awake = true
				return ""
			}
			return okay
		})
		start := time.Now()
		if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestALateAnswerIsNotTakenForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *script
		resets := 0
		s, m := newScript(t, func(c string) string {
			switch c {
			case "ATZ":
				late := 100 * time.Millisecond
				if resets++; resets == 1 {
					late = commandWait + lateWait + 50*time.Millisecond // when it is being asked again
				}
				time.AfterFunc(late, func() { s.say(okay) })
				return ""
			case "AT&K9":
				time.AfterFunc(200*time.Millisecond, func() { s.say("\r\nERROR\r\n") })
				return ""
			}
			return okay
		})
		err := m.begin(t.Context(), []string{"ATZ", "AT&K9"})
		var refused *commandError
		if !errors.As(err, &refused) || refused.command != "AT&K9" || refused.answer != "ERROR" {
			t.Fatalf("%v after %q", err, s.heard())
		}
	})
}

func TestAModemThatDoesNotObeyIsNamedWithCommandAndAnswer(t *testing.T) {
	for _, test := range []struct {
		answers map[string]string
		want    string
	}{
		{map[string]string{"ATZ": ""}, "did not answer ATZ within 5s"},
		{map[string]string{"AT&K9": "\r\nERROR\r\n"}, "answered ERROR to AT&K9"},
		{map[string]string{"AT&K9": "\r\n+CME ERROR: 4\r\n"}, "answered +CME ERROR: 4 to AT&K9"},
		{map[string]string{"ATS0?": "\r\n001\r\n\r\nOK\r\n"}, "S0 is still 001"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, m := newScript(t, answers(test.answers))
			err := m.begin(t.Context(), []string{"ATZ", "AT&K9"})
			if err == nil || !isCommandError(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestAModemWithoutS0IsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := newScript(t, answers(map[string]string{"ATS0?": "\r\nERROR\r\n"}))
		if err := m.begin(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestARingDuringInitIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := newScript(t, answers(map[string]string{
			"ATZ": "\r\nRING\r\n\r\nNMBR = 5550100\r\n\r\nNAME = MARTHA\r\n" + okay,
		}))
		if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
			t.Fatal(err)
		}
		if m.ring.rings != 1 || m.ring.number != "5550100" || m.ring.name != "MARTHA" {
			t.Fatalf("%+v", m.ring)
		}
	})
}

func TestAModemLeftInACallIsBroughtBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		online := true
		s, m := newScript(t, func(c string) string {
			quiet := time.Since(last)
			last = time.Now()
			if c == "+++" && online && quiet >= time.Second {
				time.Sleep(time.Second)
				online = false
				return okay
			}
			if online {
				return "~\xff}#\xc0!" // the other end's PPP goes on
			}
			return okay
		})
		if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
			t.Fatalf("%v after %q", err, s.heard())
		}
		if !slices.Contains(s.heard(), "ATH") {
			t.Fatalf("it was not told to hang up: %q", s.heard())
		}
	})
}

func TestAModemThatVanishesIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newScript(t, always)
		go func() {
			time.Sleep(time.Minute)
			s.dte.Close()
		}()
		if _, err := m.next(t.Context(), time.Time{}); !errors.Is(err, errGone) {
			t.Fatal(err)
		}
		if err := m.begin(t.Context(), nil); !errors.Is(err, errGone) {
			t.Fatal(err)
		}
	})
}

func TestAModemThatTakesNoCharactersIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, dte := net.Pipe() // nobody reads: CTS stays off
		defer dte.Close()
		w := newWire(port)
		defer w.close()
		m := newModem(w, slog.New(slog.DiscardHandler))
		if err := m.begin(t.Context(), nil); !errors.Is(err, errNoOutput) {
			t.Fatal(err)
		}
	})
}

func TestTheDialogueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := newScript(t, func(string) string { return "" })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := m.begin(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestAPortWithAReadTimeoutOfItsOwnIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, dte := net.Pipe()
		s := &script{dte: dte, reply: always}
		go s.play()
		w := newWire(timeoutPort{conn})
		defer dte.Close()
		defer w.close()
		m := newModem(w, slog.New(slog.DiscardHandler))
		if err := m.begin(t.Context(), []string{"ATZ"}); err != nil {
			t.Fatal(err)
		}
	})
}

// timeoutPort reads like a serial port with VTIME: 0, nil without input.
type timeoutPort struct{ net.Conn }

func (p timeoutPort) Read(b []byte) (int, error) {
	p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := p.Conn.Read(b)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return n, nil
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// plugIn makes the scripted modem the line's.
func (s *script) plugIn(cfg *LineConfig) {
	cfg.Open = func(context.Context) (Port, error) {
		port, dte := net.Pipe()
		s.mu.Lock()
		s.dte = dte
		s.mu.Unlock()
		go s.play()
		return port, nil
	}
}
