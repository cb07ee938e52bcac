package exchange

import "fmt"

// settings are what AT commands change and ATZ and AT&F put back.
type settings struct {
	echo, quiet, verbose bool
	x                    int // which result codes there are
	w                    int // CONNECT names the rate of: 0 the port, else the line
	c, d                 int // &C and &D
	callerID             int // +VCID: 0 off, 1 in words, 2 as the network sent it
	s                    [256]byte
}

// factory is what AT&F restores: the defaults that the Hayes and Rockwell
// command sets share, with &C1&D2 as later modems ship.
func factory() settings {
	set := settings{echo: true, verbose: true, x: 4, w: 2, c: 1, d: 2}
	for r, v := range map[int]byte{
		2:  '+',  // escape character
		3:  '\r', // ends a command line
		4:  '\n',
		5:  '\b', // takes a character back
		6:  2,    // s before dialling blind
		7:  50,   // s to wait for carrier
		8:  2,    // s a comma waits
		9:  6,    // 1/10 s of carrier to believe it
		10: 14,   // 1/10 s without carrier before hanging up; 255: never
		11: 95,   // ms of a tone, and of the pause after it
		12: 50,   // 1/50 s of guard time around +++
	} {
		set.s[r] = v
	}
	return set
}

// view is AT&V.
func (set settings) view() []string {
	b := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	lines := []string{fmt.Sprintf("E%d Q%d V%d W%d X%d &C%d &D%d +VCID=%d",
		b(set.echo), b(set.quiet), b(set.verbose), set.w, set.x, set.c, set.d, set.callerID)}
	row := ""
	for r := range 13 {
		row += fmt.Sprintf("S%02d:%03d ", r, set.s[r])
	}
	return append(lines, row[:len(row)-1])
}
