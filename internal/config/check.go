package config

import (
	"fmt"
	"net"
	"net/mail"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// minPoll is the shortest time between two visits to a provider.
const minPoll = time.Second

// check finds what is wrong between the values, one fault a line.
func (c *Config) check() error {
	f := Faults{}
	if !filepath.IsAbs(c.StateDir) {
		f.add("state_dir: %q is not an absolute path", c.StateDir)
	}
	if !isHostName(c.Hostname) {
		f.add("hostname: %q is not a host name", c.Hostname)
	}
	for _, a := range c.Aliases {
		if !isHostName(a) {
			f.add("aliases: %q is not a host name", a)
		}
	}
	c.checkLines(&f)
	c.checkPPP(&f)
	c.checkUsers(&f)
	c.checkUpstreams(&f)
	c.checkMail(&f)
	c.LAN.check(&f)
	if c.Capture.Octets > 4<<20 || c.Capture.Keep < 0 || c.Capture.Keep > 10_000 {
		f.add("[capture]: octets is at most 4MiB a call, and keep 0 to 10000 files")
	}
	if c.Web.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Web.Listen); err != nil {
			f.add("[web] listen: %q is not host:port", c.Web.Listen)
		}
	}
	return f.err()
}

// isHostName reports whether DNS can answer for name and SMTP greet with it
// (RFC 1123 section 2.1, and the underscores of Windows networks).
func isHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	return len(name) <= 253
}

// holes are the places in a user name at the provider that are filled in.
var holes = regexp.MustCompile(`\{[^{}]*\}`)

// isAddress reports whether a is one bare address (RFC 5322 section 3.4.1). Of
// quoted local parts only those are taken that cannot be read as two addresses.
func isAddress(a string) bool {
	parsed, err := mail.ParseAddress(a)
	return err == nil && parsed.Name == "" && parsed.Address == a &&
		!strings.ContainsAny(a, "<>(),; ") && !strings.ContainsFunc(a, unicode.IsControl)
}

func (c *Config) checkLines(f *Faults) {
	names, ports := map[string]bool{}, map[string]bool{}
	for i, l := range c.Lines {
		entry := fmt.Sprintf("[[line]] %q", l.Name)
		if l.Name == "" {
			f.add("the %s [[line]] has no name", ordinal(i))
		}
		if names[l.Name] {
			f.add("%s: the name is used twice", entry)
		}
		if p := l.Port.String(); p == "" {
			f.add("%s: no port; set port to its device or to tcp://host:port", entry)
		} else if ports[p] {
			f.add("%s: %s belongs to another line already", entry, p)
		}
		names[l.Name], ports[l.Port.String()] = true, true
		if l.Baud < 300 || l.Baud > 4_000_000 {
			f.add("%s: baud %d is out of range", entry, l.Baud)
		}
		if l.Rings < 1 || l.Rings > 20 {
			f.add("%s: rings %d is out of range; 1 to 20", entry, l.Rings)
		}
		for _, cmd := range l.Init {
			if len(cmd) < 2 || !strings.EqualFold(cmd[:2], "AT") || strings.ContainsFunc(cmd, func(r rune) bool { return r < ' ' || r > '~' }) {
				f.add("%s: init: %q is not an AT command", entry, cmd)
			}
		}
	}
	if len(c.Lines) == 0 {
		f.add("there is no [[line]]; Postern answers nothing")
	}
}

func (c *Config) checkPPP(f *Faults) {
	if len(c.PPP.Auth) == 0 {
		f.add("[ppp] auth: is empty; nobody could log in")
	}
	if len(c.PPP.MPPE) == 0 {
		f.add("[ppp] mppe: is empty; leave it out, and set encryption to \"off\" if no encryption is wanted")
	}
	if c.PPP.Encryption == EncryptionRequire && !c.microsoftAllowed() {
		f.add("[ppp] encryption = \"require\" needs mschapv2 or mschap in auth: only these make keys")
	}
	if c.PPP.Tries < 1 || c.PPP.Tries > 10 {
		f.add("[ppp] tries: %d is out of range; 1 to 10", c.PPP.Tries)
	}
	if c.PPP.GuessLimit < 0 || c.PPP.GuessLimit > 100 {
		f.add("[ppp] guess_limit: %d is out of range; 1 to 100, or 0 to refuse no number", c.PPP.GuessLimit)
	}
	if c.PPP.PasswordChange && !c.microsoftAllowed() {
		f.add("[ppp] password_change needs mschapv2 or mschap in auth: only these can change a password")
	}
	// Windows' dialog takes 256 characters (MS-CHAP's Change-Password packet).
	if c.PPP.MinPassword < 1 || c.PPP.MinPassword > 256 {
		f.add("[ppp] password_min_length: %d is out of range; 1 to 256", c.PPP.MinPassword)
	}
	if len(c.PPP.WINS) > 2 {
		f.add("[ppp] wins: PPP tells a caller at most 2 servers")
	}
	for _, a := range c.PPP.WINS {
		if !a.Is4() {
			f.add("[ppp] wins: %v is not an IPv4 address", a)
		}
	}
	if !c.PPP.LocalIP.Is4() {
		f.add("[ppp] local_ip: %v is not an IPv4 address", c.PPP.LocalIP)
	}
	room := 1<<(32-c.PPP.Pool.Bits()) - 2
	if c.PPP.Pool.Contains(c.PPP.LocalIP) {
		room--
	}
	if room < len(c.Lines) {
		f.add("[ppp] pool: %v has room for %d callers and there are %d lines", c.PPP.Pool, room, len(c.Lines))
	}
}

func (c *Config) microsoftAllowed() bool {
	return slices.Contains(c.PPP.Auth, MSCHAPv2) || slices.Contains(c.PPP.Auth, MSCHAP)
}

func (c *Config) checkUsers(f *Faults) {
	names, addresses := map[string]bool{}, map[string]string{}
	for i, u := range c.Users {
		entry := fmt.Sprintf("[[user]] %q", u.Name)
		if u.Name == "" {
			f.add("the %s [[user]] has no name", ordinal(i))
		}
		if strings.ContainsAny(u.Name, "\\/\x00\r\n \t") {
			f.add("%s: a name has no spaces, slashes or backslashes", entry)
		}
		// Windows callers type their names in any case.
		if key := strings.ToLower(u.Name); names[key] {
			f.add("%s: the name is used twice", entry)
		} else {
			names[key] = true
		}
		if u.DialPassword.Empty() && u.DialPasswordFile == "" {
			f.add("%s: no dial_password", entry)
		}
		if len(u.Addresses) == 0 {
			f.add("%s: no addresses; the first one is the sender of the user's mail", entry)
		}
		for _, a := range u.Addresses {
			if !isAddress(a) {
				f.add("%s: %q is not a mail address", entry, a)
			}
			if other, taken := addresses[strings.ToLower(a)]; taken {
				f.add("%s: %s belongs to %q already", entry, a, other)
			}
			addresses[strings.ToLower(a)] = u.Name
		}
		if _, ok := c.UpstreamOf(u); !ok {
			f.add("%s: upstream %q is not defined by any [[upstream]]", entry, u.Upstream)
		}
		if u.LM && !slices.Contains(c.PPP.Auth, MSCHAP) {
			f.add("%s: lm needs mschap in [ppp] auth: it is a part of MS-CHAP v1", entry)
		}
		if u.LM && u.dialPasswordHasNoLM() {
			f.add("%s: lm needs a dial_password of 14 ASCII characters or less: LM has no longer ones", entry)
		}
		if u.MustChangePassword && !c.PPP.PasswordChange {
			f.add("%s: must_change_password needs password_change = true in [ppp], or the user could never log in", entry)
		}
		if u.Encryption != nil && *u.Encryption == EncryptionRequire && !c.microsoftAllowed() {
			f.add("%s: encryption = \"require\" needs mschapv2 or mschap in [ppp] auth", entry)
		}
	}
	if len(c.Users) == 0 {
		f.add("there is no [[user]]; nobody could log in")
	}
}

// dialPasswordHasNoLM reports whether no LM hash can be made of it: package
// mschap has them for ASCII, where all code pages agree.
func (u User) dialPasswordHasNoLM() bool {
	password := u.DialPassword.Reveal()
	return len(password) > 14 || strings.ContainsFunc(password, func(r rune) bool { return r > unicode.MaxASCII })
}

func (c *Config) checkUpstreams(f *Faults) {
	names := map[string]bool{}
	for i, up := range c.Upstreams {
		entry := fmt.Sprintf("[[upstream]] %q", up.Name)
		if up.Name == "" {
			f.add("the %s [[upstream]] has no name", ordinal(i))
		}
		if names[up.Name] {
			f.add("%s: the name is used twice", entry)
		}
		names[up.Name] = true
		for _, must := range [...]struct{ key, value string }{{"fetch", up.Fetch}, {"submit", up.Submit}, {"username", up.Username}} {
			if must.value == "" {
				f.add("%s: no %s", entry, must.key)
			}
		}
		for _, hole := range holes.FindAllString(up.Username, -1) {
			if hole != "{user}" && hole != "{address}" {
				f.add("%s: username: %q stands for nothing; write {user} for the user's name or {address} for the first address", entry, hole)
			}
		}
		if up.Password.Empty() && up.PasswordFile == "" {
			f.add("%s: no password", entry)
		}
		if up.Poll < Duration(minPoll) {
			f.add("%s: poll: %v is shorter than %v; providers lock out whoever asks that often", entry, up.Poll, minPoll)
		}
	}
}

func ordinal(i int) string {
	words := [...]string{"first", "second", "third", "fourth", "fifth"}
	if i < len(words) {
		return words[i]
	}
	return fmt.Sprintf("%dth", i+1)
}
