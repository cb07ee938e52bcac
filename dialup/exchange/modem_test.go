package exchange

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCommandsAnswerAsAHayesModem(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"AT\r", "\r\nOK\r\n"},
		{"at\r", "\r\nOK\r\n"},
		{"ATZ\r", "\r\nOK\r\n"},
		{"AT&F&C1&D2S0=0\r", "\r\nOK\r\n"},
		{"AT E0 V1 X4 &K3 %C0 \\N3 L0 M1 W2 -K0 S95=47\r", "\r\nOK\r\n"},
		{"ATE0V0\r", "0\r"},
		{"ATV0@\r", "4\r"},
		{"AT@\r", "\r\nERROR\r\n"},
		{"ATE2\r", "\r\nERROR\r\n"},
		{"ATS7?\r", "\r\n050\r\n\r\nOK\r\n"},
		{"ATS7=9S7?\r", "\r\n009\r\n\r\nOK\r\n"},
		{"ATS7=256\r", "\r\nERROR\r\n"},
		{"ATS256=1\r", "\r\nERROR\r\n"},
		{"ATQ1\r", ""},
		{"ATS3=33\rAT!", "!\nOK!\n!\nOK!\n"},
		{"ATI0\r", "\r\n33600\r\n\r\nOK\r\n"},
		{"ATS7=9\rATS7?\rA/", "\r\nOK\r\n\r\n009\r\n\r\nOK\r\n\r\n009\r\n\r\nOK\r\n"},
		{"garbage AAT\r", "\r\nOK\r\n"},
		{"\n\r\r\n", ""},
		{"AT" + strings.Repeat("E", maxLine) + "\rAT" + strings.Repeat("E", maxLine+1) + "\r", "\r\nOK\r\n\r\nERROR\r\n"},
		{"ATB\bE0\r", "\r\nOK\r\n"},
		{"\xc1\xd4\x8d", "\r\nOK\r\n"}, // with even parity
		{"AT+VCID=1;S0=3;+VCID?;S0?\r", "\r\n1\r\n\r\n003\r\n\r\nOK\r\n"},
		{"AT#CID=1\r", "\r\nOK\r\n"},
		{"AT+VCID=3\r", "\r\nERROR\r\n"},
		{"AT+FCLASS=1\r", "\r\nERROR\r\n"},
		{"ATS0=2&WS0=5Z\rATS0?\r", "\r\nOK\r\n\r\n002\r\n\r\nOK\r\n"},
		{"ATE1\rAT\r", "\r\nOK\r\nAT\r\r\nOK\r\n"},
		{"ATO\r", "\r\nNO CARRIER\r\n"},
		{"AT&V\r", "\r\nE0 Q0 V1 W2 X4 &C1 &D2 +VCID=0\r\nS00:000 S01:000 S02:043 S03:013 S04:010 S05:008 S06:002 S07:050 S08:002 S09:006 S10:014 S11:095 S12:050\r\n\r\nOK\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := open(t, New(Config{}).Modem("1"))
			defer d.Close()
			d.ask("ATE0", "OK")
			go func() {
				for {
					b := make([]byte, 100)
					n, err := d.Read(b)
					d.seen = append(d.seen, b[:n]...)
					if err != nil {
						return
					}
				}
			}()
			d.send(c.typed)
			synctest.Wait()
			if string(d.seen) != c.want {
				t.Errorf("%q: answer %q, want %q", c.typed, d.seen, c.want)
			}
		})
	}
}

func TestRingCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Setup: time.Second})
		start := time.Now()
		a.send("ATDT5550100\r")
		digits := 7 * 190 * time.Millisecond
		for n := range 5 {
			b.expect("\r\nRING\r\n")
			want := dialTone + digits + time.Second + time.Duration(n)*6*time.Second
			if at := time.Since(start); at != want {
				t.Errorf("RING %d after %v, want %v", n+1, at, want)
			}
			b.ask("ATS1?", fmt.Sprintf("%03d", n+1))
			b.expect("OK\r\n")
		}
		a.send("x") // hangs up
		a.expect("NO CARRIER\r\n")
		b.silent(20 * time.Second)
	})
}

func TestCallerIDComesBetweenTheFirstAndTheSecondRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		a.m.SetName("ALICE")
		b.ask("AT+VCID=1", "OK")
		time.Sleep(time.Until(time.Date(2000, 1, 2, 3, 4, 0, 0, time.UTC)))
		a.send("ATDT5550100\r")
		b.expect("\r\nRING\r\n")
		got := b.expect("\r\nRING\r\n")
		if want := "\r\nDATE = 0102\r\n\r\nTIME = 0304\r\n\r\nNMBR = 5550101\r\n\r\nNAME = ALICE\r\n"; got != want {
			t.Errorf("caller ID %q, want %q", got, want)
		}
		if got := b.expect("\r\nRING\r\n"); got != "" {
			t.Errorf("again after the second: %q", got)
		}
		a.send("x")
		a.expect("NO CARRIER")
	})
}

func TestAWithheldNumberIsP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		b.ask("AT#CID=1", "OK")
		a.send("ATDT*67,5550100\r")
		b.expect("\r\nRING\r\n")
		if got := b.expect("\r\nRING\r\n"); !strings.Contains(got, "NMBR = P\r\n") || strings.Contains(got, "5550101") {
			t.Errorf("caller ID %q", got)
		}
	})
}

// The sum of a Multiple Data Message is zero (GR-30).
func TestUnformattedCallerIDIsTheNetworksMessage(t *testing.T) {
	at := time.Date(2026, 11, 23, 15, 40, 0, 0, time.UTC)
	msg := multipleData(at, "5550101", "ALICE", false)
	var sum byte
	for _, b := range msg {
		sum += b
	}
	if want := "\x80\x1a\x01\x0811231540\x02\x075550101\x07\x05ALICE"; string(msg[:len(msg)-1]) != want || sum != 0 {
		t.Errorf("message %q, sum %d, want %q", msg, sum, want)
	}
}

func TestS0AnswersAtItsRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Train: 3 * time.Second})
		b.ask("ATS0=2", "OK")
		a.send("ATDT5550100\r")
		b.expect("RING\r\n")
		start := time.Now()
		b.expect("RING\r\n")
		b.expect("CONNECT 33600\r\n")
		if took, want := time.Since(start), (6+2+3)*time.Second; took != want {
			t.Errorf("CONNECT %v after the first ring, want %v", took, want)
		}
		a.expect("CONNECT 33600\r\n")
	})
}

func TestS0AnswersNotWithDTROff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		b.ask("ATS0=1", "OK")
		b.SetDTR(false)
		a.send("ATS7=20DT5550100\r")
		a.expect("NO ANSWER\r\n")
	})
}

func TestWhatTheNumberAnswersIsInTheResultCode(t *testing.T) {
	for _, c := range []struct {
		init, number, want string
	}{
		{"", "5550100", "\r\nNO ANSWER\r\n"},
		{"X0", "5550100", "\r\nNO ANSWER\r\n"},
		{"V0", "5550100", "8\r"},
		{"", "5550102", "\r\nBUSY\r\n"}, // off hook
		{"V0", "5550102", "7\r"},
		{"X2", "5550102", "\r\nNO CARRIER\r\n"}, // does not hear the busy tone
		{"", "5550101", "\r\nBUSY\r\n"},         // itself
		{"", "5550199", "\r\nNO CARRIER\r\n"},   // nobody has it
		{"V0", "5550199", "3\r"},
		{"", "5550103", "\r\nNO ANSWER\r\n"}, // a modem without power
	} {
		synctest.Test(t, func(t *testing.T) {
			a, _ := pair(t, Config{})
			off := open(t, a.m.x.Modem("5550102"))
			defer off.Close()
			off.ask("ATH1", "OK")
			a.m.x.Modem("5550103").Vanish()
			a.send("AT" + c.init + "S7=30DT" + c.number + "\r")
			if before := a.expect(c.want); before != "" {
				t.Errorf("%+v: %q before the result", c, before)
			}
			a.silent(time.Minute)
		})
	}
}

func TestAnsweringWithoutACallGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, Config{})
		start := time.Now()
		a.ask("ATA", "NO CARRIER")
		if took := time.Since(start); took != 50*time.Second {
			t.Errorf("gave up after %v, S7 is 50 s", took)
		}
	})
}

func TestNumericResultCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		a.send("ATV0\r")
		a.expect("0\r")
		b.send("ATV0X0\r")
		b.expect("0\r")
		a.send("ATD5550100\r")
		b.expect("2\r")
		b.send("ATA\r")
		a.expect("84\r")
		b.expect("1\r")
		b.m.DropCarrier()
		a.expect("3\r")
		b.expect("3\r")
	})
}

func TestW0NamesTheRateOfThePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		b.ask("ATW0", "OK")
		a.send("ATD5550100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		b.expect("CONNECT 115200\r\n")
		a.expect("CONNECT 33600\r\n")
	})
}

func TestACharacterAbortsDiallingAndAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Train: 10 * time.Second})
		a.send("ATDT5550100\r\n") // the line feed is no abort
		b.expect("RING\r\n")
		b.send("ATA\r\n")
		time.Sleep(3 * time.Second)
		b.send("x")
		b.expect("\r\nNO CARRIER\r\n")
		a.expect("\r\nNO CARRIER\r\n")

		a.send("ATDT5550100\r")
		b.expect("RING\r\n")
		time.Sleep(time.Second)
		a.send(" ")
		a.expect("\r\nNO CARRIER\r\n")
		b.silent(time.Minute)
		dial(a, b)
	})
}

func TestTrainingLongerThanS7IsNoCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Train: 20 * time.Second})
		a.send("ATS7=10DT5550100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		a.expect("NO CARRIER\r\n")
		b.expect("NO CARRIER\r\n")
	})
}

func TestEscapeNeedsItsGuardTimes(t *testing.T) {
	for _, c := range []struct {
		name    string
		type_   func(a *terminal)
		escapes bool
	}{
		{"silence around it", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("+++")
		}, true},
		{"one by one", func(a *terminal) {
			time.Sleep(time.Second)
			for range 3 {
				a.send("+")
				time.Sleep(300 * time.Millisecond)
			}
		}, true},
		{"right after CONNECT", func(a *terminal) { a.send("+++") }, false},
		{"data before", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("x")
			time.Sleep(900 * time.Millisecond)
			a.send("+++")
		}, false},
		{"data after", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("+++")
			time.Sleep(900 * time.Millisecond)
			a.send("x")
		}, false},
		{"in the middle of data", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("x+++")
		}, false},
		{"four", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("++++")
		}, false},
		{"a pause between", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("++")
			time.Sleep(time.Second)
			a.send("+")
		}, false},
		{"S12 lowered", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("+++")
			a.expect("OK\r\n")
			a.send("ATS12=5O\r")
			a.expect("CONNECT 33600\r\n")
			time.Sleep(100 * time.Millisecond)
			a.send("+++")
		}, true},
		{"S2 over 127", func(a *terminal) {
			time.Sleep(time.Second)
			a.send("+++")
			a.expect("OK\r\n")
			a.send("ATS2=128O\r")
			a.expect("CONNECT 33600\r\n")
			time.Sleep(time.Second)
			a.send("+++")
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, Config{})
			dial(a, b)
			c.type_(a)
			time.Sleep(1001 * time.Millisecond)
			synctest.Wait()
			a.m.x.mu.Lock()
			escaped := a.m.state == escaped
			a.m.x.mu.Unlock()
			if escaped != c.escapes {
				t.Errorf("%s: escaped = %v", c.name, escaped)
			}
		})
	}
}

func TestAfterTheEscapeTheCallWaitsForATO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		dial(a, b)
		time.Sleep(time.Second)
		a.send("+++")
		a.expect("\r\nOK\r\n")
		b.expect("+++") // it went down the line as well
		b.send("held")
		a.silent(time.Minute)
		a.ask("ATS7?", "050")
		a.expect("OK\r\n")
		a.send("ATO\r")
		if got := a.expect("held"); got != "\r\nCONNECT 33600\r\n" {
			t.Errorf("after ATO: %q", got)
		}
		time.Sleep(time.Second)
		a.send("+++")
		a.expect("OK\r\n")
		a.ask("ATH", "OK")
		b.expect("\r\nNO CARRIER\r\n")
		dial(a, b)
	})
}

func TestHangingUpDeliversWhatWasSentBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delay := 100 * time.Millisecond
		a, b := pair(t, Config{Delay: delay})
		dial(a, b)
		a.send("goodbye")
		time.Sleep(7 * time.Second / 3360)
		start := time.Now()
		a.Close()
		if got := b.expect("\r\nNO CARRIER\r\n"); got != "goodbye" {
			t.Errorf("before NO CARRIER: %q", got)
		}
		if took := time.Since(start); took != delay {
			t.Errorf("NO CARRIER after %v", took)
		}
	})
}

func TestHangingUpForgetsWhatTheLineHasNotCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Rate: 300})
		a.send("ATD5550100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		b.expect("CONNECT 300\r\n")
		a.send("0123456789")
		time.Sleep(time.Second / 10)
		a.Close()
		if got := b.expect("\r\nNO CARRIER\r\n"); got != "012" {
			t.Errorf("before NO CARRIER: %q, want the 3 bytes of a tenth of a second", got)
		}
	})
}

func TestDroppedCarrierIsNoticedAfterS10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		b.ask("ATS10=30", "OK")
		dial(a, b)
		if on, known := a.DCD(); !on || !known {
			t.Errorf("DCD = %v, %v during the call", on, known)
		}
		start := time.Now()
		a.m.DropCarrier()
		a.send("lost")
		a.expect("\r\nNO CARRIER\r\n")
		if took := time.Since(start); took != 1400*time.Millisecond {
			t.Errorf("A noticed after %v", took)
		}
		if on, known := a.DCD(); on || !known {
			t.Errorf("DCD = %v, %v after the call", on, known)
		}
		if got := b.expect("\r\nNO CARRIER\r\n"); got != "" {
			t.Errorf("through a broken line came %q", got)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("B noticed after %v", took)
		}
		dial(a, b)
	})
}

func TestADeadLineHissesBeforeNoCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{Hiss: 20, Seed: 3})
		dial(a, b)
		b.send("last words")
		time.Sleep(time.Second)
		a.m.DropCarrier()
		got := a.expect("\r\nNO CARRIER\r\n")
		if hiss, ok := strings.CutPrefix(got, "last words"); !ok || len(hiss) != 20 {
			t.Errorf("before NO CARRIER: %q", got)
		}
		b.expect("\r\nNO CARRIER\r\n")
	})
}

func TestASilentLineTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		dial(a, b)
		a.m.Silence()
		a.send("into the void")
		b.send("into the void")
		b.silent(time.Hour)
		a.SetDTR(false)
		a.expect("NO CARRIER\r\n")
		a.SetDTR(true)
		b.silent(time.Hour)
		if on, _ := b.DCD(); !on {
			t.Error("B's modem noticed")
		}
		a.ask("ATD5550100", "BUSY")
		b.SetDTR(false)
		b.expect("NO CARRIER\r\n")
		dial(a, b)
	})
}

func TestAVanishedModemEndsItsPortAndItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		dial(a, b)
		b.m.Vanish()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read = %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, ErrUnplugged) {
			t.Errorf("Write = %v", err)
		}
		if _, err := b.m.Open(); !errors.Is(err, ErrUnplugged) {
			t.Errorf("Open = %v", err)
		}
		a.expect("NO CARRIER\r\n")
		b.m.Return()
		b = open(t, b.m)
		defer b.Close()
		b.ask("ATE0", "OK")
		dial(a, b)
	})
}

func TestDTRDoesWhatAmpersandDSays(t *testing.T) {
	for _, c := range []struct{ d, want string }{
		{"0", ""},
		{"1", "\r\nOK\r\n"},
		{"2", "\r\nNO CARRIER\r\n"},
		{"3", "\r\nNO CARRIER\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, Config{})
			a.ask("AT&D"+c.d, "OK")
			dial(a, b)
			if err := a.SetDTR(false); err != nil {
				t.Fatal(err)
			}
			a.expect(c.want)
			a.silent(time.Minute)
		})
	}
}

func TestAPortWithoutModemLinesSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{NoLines: true})
		dial(a, b)
		if _, known := a.DCD(); known {
			t.Error("DCD is known")
		}
		if err := a.SetDTR(false); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("SetDTR = %v", err)
		}
		a.m.SetLines(true)
		if on, known := a.DCD(); !on || !known {
			t.Errorf("DCD = %v, %v", on, known)
		}
	})
}

func TestDiallingInTwoParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Config{})
		a.ask("ATDT555;", "OK")
		a.send("ATDP0100\r")
		b.expect("RING\r\n")
		b.send("ATA\r")
		a.expect("CONNECT 33600\r\n")
	})
}
