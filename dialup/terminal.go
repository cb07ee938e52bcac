package dialup

import (
	"fmt"
	"strings"
	"time"

	"postern/ppp"
)

// Limits of a person's session.
const (
	loginWait   = time.Minute     // to log in; getty's LOGIN_TIMEOUT
	menuWait    = 5 * time.Minute // without a key in the menu
	greetWait   = 10 * time.Second
	refusedWait = time.Second // the least that a wrong password costs
	loginTries  = 3
	typedMax    = 64 // characters of a line
)

// Terminal is what a caller may do who types instead of speaking PPP: the
// terminal window after dialling, a script, somebody with minicom.
type Terminal struct {
	// Host is what the box is called in the prompt; empty: PPP's Hostname.
	Host string
	// Greet sends the login prompt at once, for scripts that wait for it. PPP
	// then starts with the caller's first frame, or after 10 s of silence.
	// Without it PPP starts at once and the prompt comes with the Return key.
	Greet bool
	// IfNeeded lets a log-in here count for the PPP that is started behind it
	// (Cisco's "ppp authentication pap if-needed", getty with a pppd of the
	// user's own), unless the user's line must be encrypted: that takes the keys of an
	// authentication. Otherwise PPP authenticates as always.
	IfNeeded bool
	// Mailbox says how a user's mail stands, in a sentence.
	Mailbox func(user string) string
}

// terminalWish is what a person's session wants done.
type terminalWish int

const (
	noWish terminalWish = iota
	judgeLogin
	showMailbox
	startPPP
	endCall // reason says why
)

type terminalState int

const (
	askName terminalState = iota
	askPassword
	waiting // for the answer to a wish; what is typed meanwhile is lost
	refused
	inMenu
)

const terminalMenu = "\r\n" +
	"  1  status of my mailbox\r\n" +
	"  2  start PPP\r\n" +
	"  3  who am I\r\n" +
	"  4  bye\r\n"

// terminal is a person's session: keys and time in, text and wishes out. It
// holds a bounded line and echoes no password.
type terminal struct {
	host      string
	clearText bool // passwords may be typed, as PAP may send them

	state    terminalState
	line     []byte
	name     string // as typed
	password string
	user     string // who has logged in
	tries    int
	touched  bool // a key was pressed
	deadline time.Time
	out      []byte
	wish     terminalWish
	reason   ppp.Reason
}

func newTerminal(host string, clearText bool, now time.Time) *terminal {
	t := &terminal{host: host, clearText: clearText}
	t.ask(now, askName)
	t.deadline = now.Add(loginWait)
	return t
}

// ask writes the prompt of a state and enters it.
func (t *terminal) ask(now time.Time, s terminalState) {
	t.state, t.line = s, t.line[:0]
	switch {
	case s == askName && !t.clearText:
		t.say("\r\n%s takes no typed passwords: they would cross the line in clear text.\r\nStart PPP now.\r\n", t.host)
	case s == askName:
		t.say("\r\n%s login: ", t.host)
	case s == askPassword:
		t.say("Password: ")
	case s == inMenu:
		t.deadline = now.Add(menuWait)
		t.say("\r\n%s> ", t.user)
	}
}

func (t *terminal) say(format string, args ...any) { t.out = fmt.Appendf(t.out, format, args...) }

// output appends what is to be sent to dst.
func (t *terminal) output(dst []byte) []byte {
	dst = append(dst, t.out...)
	t.out = t.out[:0]
	return dst
}

// next takes what the session wants done.
func (t *terminal) next() terminalWish {
	w := t.wish
	t.wish = noWish
	return w
}

// input takes what was typed.
func (t *terminal) input(now time.Time, p []byte) {
	for _, b := range p {
		t.touched = true
		if t.state == inMenu {
			t.deadline = now.Add(menuWait)
		}
		if t.state == waiting || t.state == refused || !t.clearText {
			continue
		}
		t.key(now, b)
	}
}

func (t *terminal) key(now time.Time, b byte) {
	switch {
	case b == '\r':
		t.say("\r\n")
		t.enter(now, string(t.line))
	case b == '\b' || b == 0x7f:
		if n := len(t.line); n > 0 {
			t.line = t.line[:n-1]
			t.echo("\b \b")
		}
	case b == 0x15: // Ctrl-U takes back the line
		for range t.line {
			t.echo("\b \b")
		}
		t.line = t.line[:0]
	case b == 0x04: // Ctrl-D
		t.end(ppp.Peer, ppp.CodePeerHangup, "the peer hung up")
	case b >= ' ' && len(t.line) < typedMax:
		t.line = append(t.line, b)
		t.echo(string([]byte{b}))
	}
}

func (t *terminal) echo(s string) {
	if t.state != askPassword {
		t.out = append(t.out, s...)
	}
}

// enter is the Return key.
func (t *terminal) enter(now time.Time, line string) {
	switch t.state {
	case askName:
		if t.name = strings.TrimSpace(line); t.name == "" {
			t.ask(now, askName)
			return
		}
		t.ask(now, askPassword)
	case askPassword:
		t.password = line
		clear(t.line[:cap(t.line)])
		t.state, t.wish = waiting, judgeLogin
	case inMenu:
		t.choose(now, strings.ToLower(strings.TrimSpace(line)))
	}
}

func (t *terminal) choose(now time.Time, word string) {
	switch word {
	case "1", "status", "mail":
		t.state, t.wish = waiting, showMailbox
		return
	case "2", "ppp", "start ppp":
		t.say("Starting PPP.\r\n")
		t.state, t.wish = waiting, startPPP
		return
	case "3", "who", "who am i", "whoami":
		t.say("You are %s, on %s.\r\n", t.user, t.host)
	case "4", "bye", "exit", "quit", "logout":
		t.say("Goodbye.\r\n")
		t.end(ppp.Peer, ppp.CodePeerHangup, "the peer hung up")
		return
	case "":
	default:
		t.say("%s", terminalMenu)
	}
	t.ask(now, inMenu)
}

// judged is the answer to judgeLogin.
func (t *terminal) judged(now time.Time, user string, ok bool) {
	t.password = ""
	if ok {
		t.user = user
		t.say("\r\nWelcome, %s. This is %s.\r\n%s", user, t.host, terminalMenu)
		t.ask(now, inMenu)
		return
	}
	t.state, t.deadline = refused, now.Add(refusedWait)
}

// told is the answer to showMailbox.
func (t *terminal) told(now time.Time, text string) {
	t.say("%s\r\n", text)
	t.ask(now, inMenu)
}

// advance does what is due.
func (t *terminal) advance(now time.Time) {
	if now.Before(t.deadline) || t.state == waiting {
		return
	}
	switch t.state {
	case refused:
		t.say("\r\nLogin incorrect\r\n")
		if t.tries++; t.tries == loginTries {
			t.end(ppp.Peer, ppp.CodeAuthFailed, fmt.Sprintf("the caller typed %d wrong names or passwords", loginTries))
			return
		}
		t.ask(now, askName)
		t.deadline = now.Add(loginWait)
	case inMenu:
		t.say("\r\nNothing was typed for %s. Goodbye.\r\n", spoken(menuWait))
		t.end(ppp.Us, ppp.CodeIdleLimit, "nothing was typed for "+spoken(menuWait))
	default:
		t.say("\r\nNobody has logged in. Goodbye.\r\n")
		t.end(ppp.Peer, codeLoginTimeout, "the caller pressed Return and then did not log in within "+spoken(loginWait))
	}
}

// due is when advance has something to do; zero while the session waits.
func (t *terminal) due() time.Time {
	if t.state == waiting {
		return time.Time{}
	}
	return t.deadline
}

func (t *terminal) end(side ppp.Side, code, text string) {
	t.state, t.wish = waiting, endCall
	t.reason = ppp.Reason{Side: side, Code: code, Text: text}
}
