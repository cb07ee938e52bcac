package dialup

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
)

// code is the meaning of one line that a modem sent (V.250 section 5.7.1 and
// the extensions that modem makers share).
type code int

// info is every line that is no result: an answer to ATI, an echo, noise.
const (
	info code = iota
	ok
	connect
	ring
	noCarrier
	failed // ERROR
	noDialtone
	busy
	noAnswer
	callerID // one field of caller ID: key, value
	modulation
)

// result is one line from the modem.
type result struct {
	code code
	text string // the line, without its line end and outer white space
	rate int    // bit/s; connect and modulation, 0 if the line has none
	// key is "NMBR", "NAME", "DATE" or "TIME" of a callerID line.
	key, value string
}

// maxLine bounds what the scanner keeps of a line. The longest CONNECT seen is
// under 80 characters; a line that never ends is noise on a bad cable.
const maxLine = 256

// maxHeld bounds the lines that wait in a scanner, in octets.
const maxHeld = 64 << 10

// lineScanner cuts the modem's byte stream into results. It never looks past
// the line end of the result it returns, because what follows CONNECT is PPP's.
type lineScanner struct {
	// numeric is whether lines of digits are result codes: until ATV1 has been
	// accepted the modem may be set to V0.
	numeric bool

	buf      []byte
	fragment string // a line that may be the first half of a split code
}

// feed takes what the modem sent. The oldest is lost of a flood that nobody
// takes results from: a socket brings gigabytes while a write is stuck.
func (s *lineScanner) feed(p []byte) {
	s.buf = append(s.buf, p...)
	if over := len(s.buf) - maxHeld; over > 0 {
		s.buf = append(s.buf[:0], s.buf[over:]...)
	}
}

// next returns the next complete line that is not empty.
func (s *lineScanner) next() (result, bool) {
	for {
		end := bytes.IndexAny(s.buf, "\r\n")
		if end < 0 {
			if over := len(s.buf) - maxLine; over > 0 {
				s.buf = append(s.buf[:0], s.buf[over:]...)
			}
			return result{}, false
		}
		text := cleanLine(s.buf[max(0, end-maxLine):end])
		s.buf = append(s.buf[:0], s.buf[end+1:]...)
		if text == "" {
			continue
		}
		return s.judge(text), true
	}
}

// rest hands over what was read behind the last result. The LF of that
// result's line end is dropped if it has already come; if not, it is an octet
// before the first frame, which PPP passes over.
func (s *lineScanner) rest() []byte {
	p := bytes.TrimPrefix(s.buf, []byte("\n"))
	s.buf = nil
	return p
}

// judge parses text, joined with the line before when a stray line end has cut
// a code in two ("NO CAR", "RIER"): dial-up servers that trusted one read to
// hold one code lost one call in three.
func (s *lineScanner) judge(text string) result {
	fragment := s.fragment
	s.fragment = ""
	r := parseResult(text, s.numeric)
	if r.code != info {
		return r
	}
	if fragment != "" {
		for _, glue := range []string{"", " "} {
			if joined := parseResult(fragment+glue+text, false); joined.code != info {
				return joined
			}
		}
	}
	if startsCode(text) {
		s.fragment = text
	}
	return r
}

// cleanLine drops the control characters and bytes above ASCII that line noise
// leaves around a result at the loss of a carrier.
func cleanLine(p []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, string(p)))
}

// words are the verbose codes that take no argument. "NO DIAL TONE" is what
// some families say for V.250's "NO DIALTONE".
var words = map[string]code{
	"OK":           ok,
	"RING":         ring,
	"NO CARRIER":   noCarrier,
	"ERROR":        failed,
	"NO DIALTONE":  noDialtone,
	"NO DIAL TONE": noDialtone,
	"BUSY":         busy,
	"NO ANSWER":    noAnswer,
}

// numbers are the numeric codes (ATV0) on which the families agree. From 10 on
// they differ (12 is CONNECT 9600 with Rockwell and VOICE with USRobotics).
var numbers = map[string]result{
	"0":  {code: ok},
	"1":  {code: connect},
	"2":  {code: ring},
	"3":  {code: noCarrier},
	"4":  {code: failed},
	"5":  {code: connect, rate: 1200},
	"6":  {code: noDialtone},
	"7":  {code: busy},
	"8":  {code: noAnswer},
	"10": {code: connect, rate: 2400},
}

// startsCode reports whether text is a proper beginning of a verbose code.
func startsCode(text string) bool {
	if len(text) < 2 {
		return false
	}
	text = strings.ToUpper(text)
	for word := range words {
		if len(text) < len(word) && strings.HasPrefix(word, text) {
			return true
		}
	}
	return strings.HasPrefix("CONNECT", text) || strings.HasPrefix("CARRIER", text)
}

// parseResult reads one clean line.
func parseResult(text string, numeric bool) result {
	if numeric {
		if r, found := numbers[text]; found {
			r.text = text
			return r
		}
		// A bare number from 11 on is some family's CONNECT with a rate.
		if n, err := strconv.Atoi(text); err == nil && len(text) == 2 && n > 10 {
			return result{code: connect, text: text}
		}
	}
	upper := strings.ToUpper(text)
	if c, found := words[upper]; found {
		return result{code: c, text: text}
	}
	switch {
	case hasWord(upper, "CONNECT"):
		return result{code: connect, text: text, rate: connectRate(upper)}
	case hasWord(upper, "RING"), hasWord(upper, "+CRING"):
		// "RING A" (distinctive ring), "RING;", "+CRING: ASYNC" (cellular).
		return result{code: ring, text: text}
	case hasWord(upper, "CARRIER"), hasWord(upper, "+MRR"):
		if rate := firstNumber(upper); rate > 0 {
			return result{code: modulation, text: text, rate: rate}
		}
	case hasWord(upper, "PROTOCOL"), hasWord(upper, "COMPRESSION"), hasWord(upper, "+MCR"), hasWord(upper, "+ER"), hasWord(upper, "+DR"):
		return result{code: modulation, text: text}
	case hasWord(upper, "+CME ERROR"), hasWord(upper, "+CMS ERROR"):
		return result{code: failed, text: text}
	case hasWord(upper, "+CLIP"):
		return clip(text)
	}
	return callerField(text)
}

// hasWord reports whether line begins with word, not followed by a letter.
func hasWord(line, word string) bool {
	rest, found := strings.CutPrefix(line, word)
	return found && (rest == "" || !unicode.IsLetter(rune(rest[0])))
}

// connectRate finds the bit rate of the telephone line in a CONNECT. Modems
// that report the DTE rate first put the line's own behind it ("CONNECT
// 115200/V34/LAPM/V42BIS/33600:TX/31200:RX").
func connectRate(line string) int {
	for field := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == '/' || r == ' ' }) {
		if rate, found := strings.CutSuffix(field, ":TX"); found {
			return firstNumber(rate)
		}
	}
	return firstNumber(line)
}

// firstNumber returns the first run of digits in line that stands by itself,
// so that V42BIS is not a rate. 0 if there is none that a modem could mean.
func firstNumber(line string) int {
	for field := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune("/ :;,", r) }) {
		digits := strings.TrimRightFunc(field, unicode.IsLetter) // "28800EC", "33600bps"
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && n < 1_000_000 {
			return n
		}
	}
	return 0
}

// callerField reads "NMBR = 5550100" and its spellings without spaces or with
// a colon. P and O (private, out of area) become words.
func callerField(text string) result {
	cut := strings.IndexAny(text, "=:")
	if cut < 0 {
		return result{code: info, text: text}
	}
	key, value := strings.ToUpper(strings.TrimSpace(text[:cut])), strings.TrimSpace(text[cut+1:])
	switch key {
	case "NMBR", "NUMBER", "CALLER NUMBER", "CID":
		key = "NMBR"
	case "NAME", "CALLER NAME":
		key = "NAME"
	case "DATE", "TIME":
	default:
		return result{code: info, text: text}
	}
	if key == "NMBR" || key == "NAME" {
		switch value {
		case "P", "-1":
			value = "private"
		case "O", "-2":
			value = "out of area"
		}
	}
	return result{code: callerID, text: text, key: key, value: value}
}

// clip reads 3GPP 27.007's +CLIP: "5550100",129.
func clip(text string) result {
	_, after, _ := strings.Cut(text, `"`)
	number, _, found := strings.Cut(after, `"`)
	if !found {
		return result{code: info, text: text}
	}
	if number == "" {
		number = "private"
	}
	return result{code: callerID, text: text, key: "NMBR", value: number}
}
