package exchange

import (
	"fmt"
	"strconv"
)

// result is a result code in its numeric form (V.250 section 5.7.1; the rates
// as Rockwell's command sets number them).
type result int

const (
	resultOK         result = 0
	resultConnect    result = 1
	resultRing       result = 2
	resultNoCarrier  result = 3
	resultError      result = 4
	resultNoDialtone result = 6
	resultBusy       result = 7
	resultNoAnswer   result = 8
)

func (r result) String() string {
	switch r {
	case resultOK:
		return "OK"
	case resultConnect:
		return "CONNECT"
	case resultRing:
		return "RING"
	case resultNoCarrier:
		return "NO CARRIER"
	case resultError:
		return "ERROR"
	case resultNoDialtone:
		return "NO DIALTONE"
	case resultBusy:
		return "BUSY"
	case resultNoAnswer:
		return "NO ANSWER"
	}
	return "CONNECT " + strconv.Itoa(int(r))
}

// connectCode is the number of CONNECT rate.
func connectCode(rate int) int {
	switch rate {
	case 1200:
		return 5
	case 2400:
		return 10
	case 4800:
		return 11
	case 9600:
		return 12
	case 7200:
		return 13
	case 12000:
		return 14
	case 14400:
		return 15
	case 19200:
		return 16
	case 38400:
		return 17
	case 57600:
		return 18
	case 115200:
		return 19
	case 16800:
		return 59
	case 21600:
		return 61
	case 24000:
		return 62
	case 26400:
		return 63
	case 28800:
		return 64
	case 33600:
		return 84
	case 31200:
		return 91
	}
	return int(resultConnect)
}

// result tells the DTE r, as Q, V and X have it.
func (m *Modem) result(r result) {
	switch {
	case r == resultBusy && m.set.x < 3, r == resultNoDialtone && m.set.x != 2 && m.set.x != 4:
		r = resultNoCarrier // the modem does not listen for that tone
	}
	m.say(int(r), r.String())
}

// connected tells the DTE CONNECT and the rate of the line, or under W0 that
// of the port. X0 names no rate.
func (m *Modem) connected(rate int) {
	if m.set.w == 0 {
		rate = m.x.cfg.DTERate
	}
	if m.set.x == 0 {
		m.result(resultConnect)
		return
	}
	m.say(connectCode(rate), fmt.Sprintf("CONNECT %d", rate))
}

func (m *Modem) say(code int, words string) {
	cr, lf := string(m.set.s[3:4]), string(m.set.s[4:5])
	switch {
	case m.set.quiet:
	case m.set.verbose:
		m.tell(cr + lf + words + cr + lf)
	default:
		m.tell(strconv.Itoa(code) + cr)
	}
}

// information tells the DTE lines of text that are no result code.
func (m *Modem) information(lines ...string) {
	cr, lf := string(m.set.s[3:4]), string(m.set.s[4:5])
	for _, line := range lines {
		m.tell(cr + lf + line)
	}
	m.tell(cr + lf)
}

// tell puts s before the DTE.
func (m *Modem) tell(s string) {
	if m.port == nil {
		return
	}
	// A DTE that never reads loses words; it can not have the modem's memory.
	if len(m.rx)+len(s) <= maxUnread {
		m.rx = append(m.rx, s...)
	}
	m.port.wakeReader()
}
