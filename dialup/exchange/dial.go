package exchange

import (
	"fmt"
	"strings"
	"time"
)

// dialPlan is what a dial string asks for.
type dialPlan struct {
	number   string
	duration time.Duration // until the last digit is out
	withheld bool          // *67 in front
	stay     bool          // a semicolon at the end: back to commands
}

const (
	dialTone = 250 * time.Millisecond // until the exchange's tone is heard
	pulse    = 100 * time.Millisecond // of a rotary dial, one for each unit
	pulseGap = 700 * time.Millisecond
)

// plan reads a dial string (V.250 section 6.3.1): T and P choose tones and
// pulses, W waits for dial tone, a comma for S8, @ for five seconds of silence.
// L is the last number. What cannot be dialled is punctuation.
func (m *Modem) plan(s string) dialPlan {
	p := dialPlan{duration: dialTone}
	if m.set.x != 2 && m.set.x != 4 { // it dials blind
		p.duration = time.Duration(m.set.s[6]) * time.Second
	}
	tone := 2 * time.Duration(m.set.s[11]) * time.Millisecond
	pulses := false
	if rest, ok := strings.CutSuffix(s, ";"); ok {
		s, p.stay = rest, true
	}
	if strings.EqualFold(strings.TrimSpace(s), "L") {
		s = m.redial
	}
	for i := range len(s) {
		switch c := upper(s[i]); {
		case c == 'P':
			pulses = true
		case c == 'T':
			pulses = false
		case c == 'W':
			p.duration += dialTone
		case c == ',':
			p.duration += time.Duration(m.set.s[8]) * time.Second
		case c == '@':
			p.duration += 5 * time.Second
		case pulses && isDigit(c):
			units := (int(c-'0')+9)%10 + 1 // 0 is ten pulses
			p.duration += time.Duration(units)*pulse + pulseGap
		default:
			p.duration += time.Duration(len(digits(string([]byte{c})))) * tone
		}
	}
	p.number = digits(s)
	if rest, ok := strings.CutPrefix(p.number, "*67"); ok {
		p.number, p.withheld = rest, true
	}
	return p
}

// callerID tells the DTE who calls, in the form of Rockwell's +VCID=1, or
// under +VCID=2 the hexadecimal digits of the message as the network sent it.
func (m *Modem) callerID(now time.Time, c *call) {
	number, name := c.caller.number, c.caller.name
	if c.withheld {
		number, name = "P", "P" // private
	}
	switch m.set.callerID {
	case 1:
		lines := []string{"DATE = " + now.Format("0102"), "TIME = " + now.Format("1504"), "NMBR = " + number}
		if name != "" {
			lines = append(lines, "NAME = "+name)
		}
		for _, line := range lines {
			m.information(line)
		}
	case 2:
		m.information(fmt.Sprintf("MESG = %X", multipleData(now, number, name, c.withheld)))
	}
}

// multipleData is a Multiple Data Message of Bellcore's GR-30: type, length,
// parameters, and a checksum that makes the sum zero.
func multipleData(now time.Time, number, name string, withheld bool) []byte {
	parameter := func(kind byte, s string) string {
		s = s[:min(len(s), 40)]
		return string([]byte{kind, byte(len(s))}) + s
	}
	body := parameter(1, now.Format("01021504"))
	if withheld {
		body += parameter(4, "P") + parameter(8, "P") // the reasons for absence
	} else {
		body += parameter(2, number) + parameter(7, name)
	}
	msg := append([]byte{0x80, byte(len(body))}, body...)
	var sum byte
	for _, b := range msg {
		sum += b
	}
	return append(msg, -sum)
}
