package exchange

import (
	"strconv"
	"strings"
)

// command is one command of an AT line (V.250 section 5.4). A basic command
// has a name of a letter, or of a prefix and a letter ("&C", "%E", "\N"), and a
// number; an extended one has a name that begins with + or # ("+VCID"). D has
// the dial string as its value.
type command struct {
	name  string
	n     int    // basic: the number, 0 if left out; S: the register
	op    byte   // 0: execute, '=': set, '?': read, 't': test ("=?")
	value string // what follows '=', and D's dial string
}

const maxNumber = 9999 // of a basic command; no modem has a larger one

// parse takes apart a command line without its AT and its carriage return.
// ok is false when it meets something that is no command: a modem carries out
// what stands before it and then says ERROR.
func parse(line string) (cmds []command, ok bool) {
	for {
		line = strings.TrimLeft(line, " ")
		if line == "" {
			return cmds, true
		}
		var c command
		switch first := upper(line[0]); {
		case first == ';': // ends an extended command; alone it says nothing
			line = line[1:]
			continue
		case first == '+' || first == '#':
			c, line, ok = parseExtended(line)
		case first == 'D':
			c, line, ok = parseDial(line)
		case first == 'S':
			c, line, ok = parseRegister(line)
		default:
			c, line, ok = parseBasic(line)
		}
		if !ok {
			return cmds, false
		}
		cmds = append(cmds, c)
	}
}

func isLetter(c byte) bool { c = upper(c); return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func number(line string) (n int, rest string, ok bool) {
	i := 0
	for i < len(line) && isDigit(line[i]) {
		i++
	}
	if i == 0 {
		return 0, line, true
	}
	n, err := strconv.Atoi(line[:i])
	return n, line[i:], err == nil && n <= maxNumber
}

func parseBasic(line string) (c command, rest string, ok bool) {
	i := 0
	if strings.IndexByte(`&%\*-:)`, line[0]) >= 0 {
		i = 1
	}
	if i >= len(line) || !isLetter(line[i]) {
		return c, line, false
	}
	c.name = line[:i] + string(rune(upper(line[i])))
	c.n, rest, ok = number(line[i+1:])
	if !ok {
		return c, line, false
	}
	// &Z0=number stores a number; -C=1 and such set.
	if strings.HasPrefix(rest, "=") && i == 1 {
		c.op = '='
		c.value, rest = upTo(rest[1:], " ")
	}
	return c, rest, true
}

// parseRegister reads S7=50, S7?, and S7 alone, which only points at a
// register (V.250 section 5.3.2).
func parseRegister(line string) (c command, rest string, ok bool) {
	c.name = "S"
	if c.n, rest, ok = number(line[1:]); !ok || c.n > 255 {
		return c, line, false
	}
	switch {
	case strings.HasPrefix(rest, "?"):
		c.op, rest = '?', rest[1:]
	case strings.HasPrefix(rest, "="):
		c.op, rest = '=', rest[1:]
		var v int
		if v, rest, ok = number(rest); !ok || v > 255 {
			return c, line, false
		}
		c.value = strconv.Itoa(v)
	}
	return c, rest, true
}

// parseDial takes everything to the end of the line, or to a semicolon after
// which commands may follow.
func parseDial(line string) (c command, rest string, ok bool) {
	c.name = "D"
	c.value, rest = upTo(line[1:], ";")
	if strings.HasPrefix(rest, ";") {
		c.value, rest = c.value+";", rest[1:]
	}
	return c, rest, true
}

func parseExtended(line string) (c command, rest string, ok bool) {
	i := 1
	for i < len(line) && (isLetter(line[i]) || isDigit(line[i])) {
		i++
	}
	if i == 1 {
		return c, line, false
	}
	c.name, rest = strings.ToUpper(line[:i]), line[i:]
	switch {
	case strings.HasPrefix(rest, "=?"):
		c.op, rest = 't', rest[2:]
	case strings.HasPrefix(rest, "?"):
		c.op, rest = '?', rest[1:]
	case strings.HasPrefix(rest, "="):
		c.op = '='
		c.value, rest = upTo(rest[1:], ";")
		c.value = strings.TrimRight(c.value, " ")
	}
	return c, rest, true
}

// upTo splits s before the first of stop, which stays in rest.
func upTo(s, stop string) (head, rest string) {
	if i := strings.Index(s, stop); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// String writes the command as parse reads it.
func (c command) String() string {
	switch {
	case c.name == "D":
		return "D" + c.value
	case c.name[0] == '+' || c.name[0] == '#':
		switch c.op {
		case 't':
			return c.name + "=?;"
		case '=':
			return c.name + "=" + c.value + ";"
		case '?':
			return c.name + "?;"
		}
		return c.name + ";"
	case c.op == '=':
		return c.name + strconv.Itoa(c.n) + "=" + c.value + " "
	case c.op == '?':
		return c.name + strconv.Itoa(c.n) + "?"
	}
	return c.name + strconv.Itoa(c.n)
}
