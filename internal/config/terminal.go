package config

// Terminal is what the box does for callers who type instead of speaking PPP.
type Terminal struct {
	Login   TerminalLogin `toml:"login"`
	PPPAuth PPPAuth       `toml:"ppp_auth"`
}

// TerminalLogin says when a caller is asked to log in at a terminal.
type TerminalLogin int

// The ways to come to a login prompt.
const (
	LoginOnReturn TerminalLogin = iota // when Return is pressed
	LoginAtOnce                        // behind CONNECT, for scripts that wait for it
	LoginOff                           // never
)

// String is the value as it is written in the file.
func (l TerminalLogin) String() string { return [...]string{"return", "prompt", "off"}[l] }

// UnmarshalText parses a value.
func (l *TerminalLogin) UnmarshalText(b []byte) error {
	return choose(l, string(b), "terminal log-in", LoginOnReturn, LoginAtOnce, LoginOff)
}

// PPPAuth says whether PPP asks again who has logged in at the terminal.
type PPPAuth int

// The two ways, by Cisco's words.
const (
	PPPAuthAlways PPPAuth = iota
	PPPAuthIfNeeded
)

// String is the value as it is written in the file.
func (p PPPAuth) String() string { return [...]string{"always", "if-needed"}[p] }

// UnmarshalText parses a value.
func (p *PPPAuth) UnmarshalText(b []byte) error {
	return choose(p, string(b), "way to authenticate", PPPAuthAlways, PPPAuthIfNeeded)
}
