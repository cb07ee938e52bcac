package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// run carries out a command line: one result code for all of it, none after
// A, D and O, which end it and answer for themselves later.
func (m *Modem) run(now time.Time, line string) {
	cmds, ok := parse(line)
	m.runAll(now, cmds, ok)
}

// runAll carries out cmds. well is false when the line went on with something
// that is no command.
func (m *Modem) runAll(now time.Time, cmds []command, well bool) {
	for i, c := range cmds {
		switch c.name {
		case "D":
			m.dial(now, c.value, cmds[i+1:])
			return
		case "A":
			m.answer(now)
			return
		case "O":
			m.resume(now)
			return
		}
		if !m.execute(now, c) {
			well = false
			break
		}
	}
	if !well {
		m.result(resultError)
		return
	}
	m.result(resultOK)
}

// resume is ATO: back from the command state to the call.
func (m *Modem) resume(now time.Time) {
	if m.state != escaped {
		m.result(resultNoCarrier)
		return
	}
	m.connected(m.out.rate)
	m.enter(online, now)
}

// execute carries out one command and says whether the modem has it.
func (m *Modem) execute(now time.Time, c command) bool {
	switch c.name[0] {
	case '+', '#':
		return m.extended(c)
	}
	on, boolean := c.n == 1, c.n <= 1
	switch c.name {
	case "E":
		m.set.echo = on
		return boolean
	case "Q":
		m.set.quiet = on
		return boolean
	case "V":
		m.set.verbose = on
		return boolean
	case "X":
		m.set.x = min(c.n, 4)
		return c.n <= 4
	case "W":
		m.set.w = min(c.n, 2)
		return c.n <= 2
	case "H":
		m.hangUp(now)
		m.offHook = on
		return boolean
	case "Z":
		m.hangUp(now)
		m.set = m.stored
		return c.n <= 1
	case "&F":
		m.set = factory()
		return true
	case "&W":
		m.stored = m.set
		return true
	case "&V":
		m.information(m.set.view()...)
		return true
	case "&C":
		m.set.c = c.n
		return boolean
	case "&D":
		m.set.d = c.n
		return c.n <= 3
	case "I":
		return m.identify(c.n)
	case "S":
		return m.register(c)
	}
	return accepted(c)
}

// accepted says whether a command that means nothing on this line is one that
// old initialisation strings contain: speaker, error control, compression,
// flow control and the like.
func accepted(c command) bool {
	if len(c.name) == 2 {
		return true // &K3, %C0, \N3, -C1, *Q2 ...
	}
	return strings.Contains("BCLMNPTY", c.name)
}

func (m *Modem) identify(n int) bool {
	switch n {
	case 0:
		m.information(strconv.Itoa(m.rate))
	case 3:
		m.information("Postern software modem")
	case 4:
		m.information(m.set.view()...)
	case 1, 2, 5, 6, 7, 8, 9, 10, 11: // checksums and reports: nothing to say
	default:
		return false
	}
	return true
}

func (m *Modem) register(c command) bool {
	switch c.op {
	case '=':
		v, err := strconv.Atoi(c.value)
		if err != nil || v > 255 {
			return false
		}
		m.set.s[c.n] = byte(v)
	case '?':
		m.information(fmt.Sprintf("%03d", m.set.s[c.n]))
	}
	return true
}

// extended carries out the commands that begin with + and #.
func (m *Modem) extended(c command) bool {
	switch c.name {
	case "+VCID", "#CID":
		return m.setCallerID(c)
	case "+FCLASS": // a fax program asks; only class 0, data, is here
		if c.op == '=' {
			return c.value == "0"
		}
		m.information("0")
		return true
	case "+GMI":
		m.information("Postern")
		return true
	case "+GMM":
		m.information("Software modem " + strconv.Itoa(m.rate))
		return true
	case "+GCAP":
		m.information("+GCAP: +ES,+MS,+DS")
		return true
	case "+MS", "+ES", "+DS", "+IFC", "+ICF", "+IPR", "+ILRR", "+ER", "+DR", "+MR", "+EB", "+ESR", "+EFCS", "+ETBM":
		return c.op == '=' // V.250 modulation, error control and port settings
	}
	return false
}

func (m *Modem) setCallerID(c command) bool {
	switch c.op {
	case 't':
		m.information("(0-2)")
	case '?':
		m.information(strconv.Itoa(m.set.callerID))
	case '=':
		v, err := strconv.Atoi(c.value)
		if err != nil || v < 0 || v > 2 {
			return false
		}
		m.set.callerID = v
	default:
		return false
	}
	return true
}
