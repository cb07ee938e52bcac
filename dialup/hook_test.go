package dialup

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectGivesTheRateAndLeavesPPPItsBytes(t *testing.T) {
	frame := "~\xff}#\xc0!}!}!} }4}\"}&} } } } }%}&~"
	for answer, want := range map[string]connection{
		"\r\nCONNECT 33600/ARQ/V34/LAPM/V42BIS\r\n":                              {rate: 33600, result: "CONNECT 33600/ARQ/V34/LAPM/V42BIS"},
		"ATA\r\r\nCARRIER 28800\r\n\r\nPROTOCOL: LAPM\r\n\r\nCONNECT 115200\r\n": {rate: 28800, result: "CONNECT 115200"},
		"\a\a\a\r\nCONN\aECT\r\n":                                                {result: "CONNECT"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, m := newScript(t, answers(map[string]string{"ATA": answer + frame}))
			conn, err := m.connect(t.Context(), "ATA")
			if err != nil {
				t.Fatal(err)
			}
			got := bytes.Clone(conn.first)
			for !strings.HasSuffix(string(got), frame) {
				got = append(got, <-m.wire.in...)
			}
			if string(bytes.TrimPrefix(got, []byte("\n"))) != frame || conn.rate != want.rate || conn.result != want.result {
				t.Errorf("%q: %+v, then %q", answer, conn, got)
			}
		})
	}
}

func TestATAIsRepeatedWhenTheModemMissedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s, m := newScript(t, func(c string) string {
			if first {
				first = false
				return "\r\nRING\r\n\a\a\a\a\a\a\r\nRING\r\n" // the first was on its way already
			}
			return "\a\a\r\nCONNECT 9600\r\n"
		})
		if conn, err := m.connect(t.Context(), "ATA"); err != nil || conn.rate != 9600 {
			t.Fatal(conn, err)
		}
		if got := s.heard(); !slices.Equal(got, []string{"ATA", "ATA"}) {
			t.Fatalf("%q", got)
		}
	})
}

func TestNoConnectIsSaidInTheModemsWords(t *testing.T) {
	for answer, want := range map[string]string{
		"\r\nNO CARRIER\r\n": "the modem said NO CARRIER instead of CONNECT",
		"\r\nBUSY\r\n":       "the modem said BUSY instead of CONNECT",
		"":                   "the modems did not agree on a carrier within 1m30s",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, m := newScript(t, answers(map[string]string{"ATA": answer}))
			if _, err := m.connect(t.Context(), "ATA"); err == nil || err.Error() != want {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// linedPort is a Port with modem lines whose modem hangs up when DTR falls,
// as AT&D2 has it.
type linedPort struct {
	net.Conn

	mu      sync.Mutex
	carrier bool
	obeys   bool
	drops   int
}

func (p *linedPort) SetDTR(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !on {
		p.drops++
		p.carrier = p.carrier && !p.obeys
	}
	return nil
}

func (p *linedPort) DCD() (on, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carrier, true
}

func TestHangUpDropsDTRWhereThePortCan(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			conn, dte := net.Pipe()
			p := &linedPort{Conn: conn, carrier: true, obeys: obeys}
			s := &script{dte: dte}
			s.reply = func(c string) string {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.carrier && c != "+++" && c != "ATH" {
					return ""
				}
				p.carrier = p.carrier && c != "ATH"
				return okay
			}
			go s.play()
			w := newWire(p)
			defer dte.Close()
			defer w.close()
			m := newModem(w, slog.New(slog.DiscardHandler))
			if err := m.hangup(t.Context()); err != nil {
				t.Fatal(err)
			}
			if p.carrier || p.drops != 1 {
				t.Errorf("carrier %v after %d drops of DTR", p.carrier, p.drops)
			}
			if escaped := slices.Contains(s.heard(), "+++"); escaped == obeys {
				t.Errorf("&D2 obeyed: %v, escaped by +++: %v", obeys, escaped)
			}
		})
	}
}

func TestHangUpByEscapeKeepsBothGuardTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		var before, after time.Duration
		_, m := newScript(t, func(c string) string {
			switch c {
			case "+++":
				before = time.Since(last)
				last = time.Now()
				return "\a" + okay
			case "ATH":
				after = time.Since(last)
			}
			return okay
		})
		last = time.Now()
		if err := m.hangup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if before < time.Second || after < time.Second {
			t.Fatalf("guard times of %v and %v", before, after)
		}
	})
}

func TestHangUpIsShortWhenTheFarEndHasHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newScript(t, always)
		go s.say("\x12\xf4~\r\nNO CARRIER\r\n\r\nRING\r\n")
		if err := m.hangup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.heard()) > 0 || m.ring.rings != 1 {
			t.Fatalf("told %q, rings %d", s.heard(), m.ring.rings)
		}
	})
}

func TestAModemThatWillNotHangUpIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := newScript(t, func(string) string { return "" })
		if err := m.hangup(t.Context()); !errors.Is(err, errNotCleared) {
			t.Fatal(err)
		}
	})
}
