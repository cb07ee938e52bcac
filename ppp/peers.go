package ppp

import (
	"bytes"
	"strings"
)

// A profile is how a known kind of peer shows itself. What it does not name does not
// matter.
type profile struct {
	name   string
	ident  string // how an Identification begins
	lcp    []byte // the types of its first LCP request, in order
	has    []byte // types that are among them
	source string // where that is known from
}

// profiles is in the order in which they are tried: the surest signs first.
var profiles = [...]profile{
	{name: "Windows Vista or 7", ident: "MSRASV5.20", source: "traces"},
	{name: "Windows XP", ident: "MSRASV5.10", source: "traces; Server 2003 says the same"},
	{name: "Windows 2000", ident: "MSRASV5.00", source: "traces"},
	{name: "Postern", ident: "Postern", source: "Config.Ident"},
	{name: "Windows NT", has: []byte{lcpCallback, lcpMRRU}, source: "Q161368: NT 4 SP2 always asks for multilink"},
	{name: "Windows", has: []byte{lcpCallback}, source: `Q143200: "Request LCP extensions" is CBCP`},
	{name: "pppd or lwIP", lcp: []byte{lcpACCM, lcpMagic, lcpPFC, lcpACFC}, source: "pppd 2.4 with asyncmap 0; lwIP's PPP is made from it"},
	{name: "pppd or lwIP", lcp: []byte{lcpMRU, lcpACCM, lcpMagic, lcpPFC, lcpACFC}, source: "pppd 2.4 with an MRU"},
}

// The types of options that we do not take: multilink's.
const (
	lcpMRRU              byte = 17 // RFC 1990 section 5.1.1
	lcpShortSequence     byte = 18 // RFC 1990 section 5.1.2
	lcpEndpoint          byte = 19 // RFC 1990 section 5.1.3
	lcpLinkDiscriminator byte = 23 // RFC 2125 section 6.1, BAP
)

func (p profile) fits(lcp []byte, idents []string) bool {
	if p.lcp != nil && !bytes.Equal(p.lcp, lcp) {
		return false
	}
	for _, kind := range p.has {
		if bytes.IndexByte(lcp, kind) < 0 {
			return false
		}
	}
	if p.ident == "" {
		return true
	}
	for _, t := range idents {
		if strings.HasPrefix(t, p.ident) {
			return true
		}
	}
	return false
}

// Peer says what the peer seems to be, "Windows XP" or "pppd or lwIP", going by what
// it asked for first and how it calls itself; "unknown" if that is like nobody
// known. It is for people to read: nothing depends on it.
func (s *Session) Peer() string {
	for _, p := range profiles {
		if p.fits(s.link.first, s.link.ident) {
			return p.name
		}
	}
	return "unknown"
}

// maxIdent is how many Identifications are kept, the newest.
const maxIdent = 4

func (l *lcpLayer) identified(text string) {
	for _, t := range l.ident {
		if t == text {
			return
		}
	}
	if len(l.ident) == maxIdent {
		l.ident = l.ident[1:]
	}
	l.ident = append(l.ident, text)
}

// printable makes text of what the peer sent: bounded, and safe to show.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(clip(b, maxText)))
}
