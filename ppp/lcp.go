package ppp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// LCP's Configuration Options. Types not named here are rejected: among them
// multilink's MRRU (17), short sequence numbers (18) and endpoint discriminator (19),
// which Windows asks for and goes on without.
const (
	lcpMRU     byte = 1 // RFC 1661 section 6.1
	lcpACCM    byte = 2 // RFC 1662 section 7.1
	lcpAuth    byte = 3 // RFC 1661 section 6.2
	lcpQuality byte = 4 // RFC 1661 section 6.3, RFC 1989 section 2.5
	lcpMagic   byte = 5 // RFC 1661 section 6.4
	lcpPFC     byte = 7 // RFC 1661 section 6.5
	lcpACFC    byte = 8 // RFC 1661 section 6.6

	lcpCallback byte = 13 // RFC 1570 section 2.3; CBCP is its operation 6
)

// CHAP's algorithms in the authentication option (IANA "PPP Authentication
// Algorithms").
const (
	algorithmMD5      = 0x05
	algorithmMSCHAP   = 0x80
	algorithmMSCHAPv2 = 0x81
)

const (
	defaultMRU = 1500
	minMRU     = 128

	maxLoops = 4 // equal magic numbers in a row until the line is said to be looped
	maxText  = 80
)

// lcpOptions is what one end asked for in LCP and the other end granted: how to send to it.
type lcpOptions struct {
	mru       int
	accm      uint32
	magic     uint32
	pfc, acfc bool
	reports   reporting  // that it wants of the other end
	callback  []byte     // operation and message of RFC 1570 section 2.3; empty: not asked for
	auth      AuthMethod // how the other end must authenticate itself
}

var lcpDefaults = lcpOptions{mru: defaultMRU, accm: allControls}

// lcpLayer is the Link Control Protocol, RFC 1661.
type lcpLayer struct {
	s *Session

	refused  [256]bool    // options of ours, by type, that the peer rejected
	magic    uint32       // ours
	accm     uint32       // what we ask the peer to escape
	auth     []AuthMethod // to be asked for, the present one first
	reports  reporting    // to be asked for
	theirs   []string     // what the peer said it would do instead
	asked    lcpOptions   // the peer's last request
	peer     lcpOptions   // the one in force
	first    []byte       // the types of the peer's first request, see profiles
	declined []byte       // types of options that were rejected, in order
	loops    int          // own magic numbers received in a row
	ident    []string
}

func newLCP(s *Session) *lcpLayer {
	l := &lcpLayer{s: s, peer: lcpDefaults}
	if s.cfg.Role == Answerer {
		l.auth = append(l.auth, s.cfg.Auth...)
	}
	l.reports = s.cfg.reports()
	l.newMagic()
	return l
}

func (l *lcpLayer) newMagic() {
	var b [4]byte
	for l.magic = 0; l.magic == 0; l.magic = binary.BigEndian.Uint32(b[:]) {
		if !l.s.random(b[:]) {
			l.magic = 1 // the session is at its end
			return
		}
	}
}

func (l *lcpLayer) request() []option {
	var opts []option
	add := func(o option) {
		if !l.refused[o.kind] {
			opts = append(opts, o)
		}
	}
	add(option32(lcpACCM, l.accm))
	if len(l.auth) > 0 {
		add(l.auth[0].option())
	}
	if l.reports.wanted {
		add(l.reports.option())
	}
	add(option32(lcpMagic, l.magic))
	add(option{kind: lcpPFC})
	add(option{kind: lcpACFC})
	return opts
}

// option is the method as LCP's authentication option.
func (m AuthMethod) option() option {
	switch m {
	case PAP:
		return option16(lcpAuth, protoPAP)
	case CHAPMD5:
		return option{lcpAuth, []byte{byte(protoCHAP >> 8), byte(protoCHAP & 0xff), algorithmMD5}}
	case MSCHAP:
		return option{lcpAuth, []byte{byte(protoCHAP >> 8), byte(protoCHAP & 0xff), algorithmMSCHAP}}
	default:
		return option{lcpAuth, []byte{byte(protoCHAP >> 8), byte(protoCHAP & 0xff), algorithmMSCHAPv2}}
	}
}

// authMethod is the reverse of AuthMethod.option, with words for what we do not know.
func authMethod(o option) (AuthMethod, string) {
	for m := PAP; m <= MSCHAPv2; m++ {
		if m.option().equal(o) {
			return m, m.String()
		}
	}
	switch {
	case len(o.data) >= 2 && o.data[0] == 0xc2 && o.data[1] == 0x27:
		return 0, "EAP"
	case len(o.data) >= 2 && o.data[0] == 0xc0 && o.data[1] == 0x27:
		return 0, "SPAP"
	}
	return 0, fmt.Sprintf("protocol %x", o.data)
}

func (l *lcpLayer) judge(opts []option) (reject, nak []option) {
	if want, looped := l.loop(opts); looped {
		return nil, []option{want} // before anything else: it may be our own request
	}
	if l.first == nil {
		l.first = kinds(opts)
	}
	asked := lcpDefaults
	for _, o := range opts {
		if o.kind == lcpAuth && !l.authenticates() || o.kind == lcpCallback && !l.callsBack() || !asked.take(o) {
			reject = append(reject, o)
			if bytes.IndexByte(l.declined, o.kind) < 0 {
				l.declined = append(l.declined, o.kind)
			}
			continue
		}
		if want, ok := l.better(o, &asked); ok {
			nak = append(nak, want)
		}
	}
	l.asked = asked
	return reject, nak
}

// authenticates reports whether we would say who we are. The answering side does not:
// what it proves, it proves in MS-CHAPv2.
func (l *lcpLayer) authenticates() bool { return l.s.cfg.Role == Caller && len(l.s.cfg.Auth) > 0 }

// take notes an option of a request, if its form is right, and reports whether
// we know its type.
func (p *lcpOptions) take(o option) bool {
	switch o.kind {
	case lcpMRU:
		v, _ := o.uint16()
		p.mru = int(v)
	case lcpACCM:
		p.accm, _ = o.uint32()
	case lcpAuth:
		p.auth, _ = authMethod(o)
	case lcpQuality:
		p.reports = reportingOf(o)
	case lcpMagic:
		p.magic, _ = o.uint32()
	case lcpCallback:
		p.callback = bytes.Clone(o.data)
	case lcpPFC:
		p.pfc = len(o.data) == 0
	case lcpACFC:
		p.acfc = len(o.data) == 0
	default:
		return false
	}
	return true
}

// better returns what we would rather have than o, if o cannot be granted.
func (l *lcpLayer) better(o option, asked *lcpOptions) (option, bool) {
	switch o.kind {
	case lcpMRU:
		return option16(lcpMRU, defaultMRU), asked.mru < minMRU
	case lcpACCM:
		return option32(lcpACCM, 0), len(o.data) != 4
	case lcpQuality:
		want := asked.reports.agreeable()
		return want.option(), asked.reports != want
	case lcpMagic:
		if asked.magic == 0 {
			return l.otherMagic(), true
		}
	case lcpAuth:
		return l.s.cfg.Auth[0].option(), !l.s.cfg.allows(asked.auth)
	case lcpCallback:
		return option{lcpCallback, []byte{callbackCBCP}}, !l.grantsCallback(o)
	case lcpPFC, lcpACFC:
		return option{kind: o.kind}, len(o.data) != 0
	}
	return option{}, false
}

// loop looks for our own magic number in a request (RFC 1661 section 6.4): the line
// hands our packets back, or both ends drew the same number.
func (l *lcpLayer) loop(opts []option) (want option, looped bool) {
	o, _ := find(opts, lcpMagic)
	if v, ok := o.uint32(); !ok || v != l.magic || l.refused[lcpMagic] {
		l.loops = 0
		return option{}, false
	}
	if l.loops++; l.loops >= maxLoops {
		l.s.end(Reason{Line, CodeLoopback, "our own packets come back: the modem is in command mode, or the line is looped"})
	}
	return l.otherMagic(), true
}

// otherMagic is a magic number for the peer to use.
func (l *lcpLayer) otherMagic() option {
	var b [4]byte
	l.s.random(b[:])
	return option{lcpMagic, b[:]}
}

func (l *lcpLayer) naked(opts []option) {
	for _, o := range opts {
		switch o.kind {
		case lcpACCM:
			v, _ := o.uint32()
			l.accm |= v
		case lcpQuality:
			l.otherReports(o)
		case lcpMagic:
			l.newMagic()
		}
	}
	if _, ok := find(opts, lcpAuth); ok && len(l.auth) > 0 {
		l.nextAuth(opts)
	}
}

// nextAuth takes a Nak of the method we ask for. If the peer names one that we
// allow, that is next; if not, our next one may still suit it.
func (l *lcpLayer) nextAuth(nak []option) {
	l.auth = l.auth[1:]
	for _, o := range nak {
		if o.kind != lcpAuth {
			continue
		}
		m, words := authMethod(o)
		l.theirs = append(l.theirs, words)
		for i, a := range l.auth {
			if a == m {
				copy(l.auth[1:i+1], l.auth[:i])
				l.auth[0] = m
				return
			}
		}
	}
	if len(l.auth) == 0 {
		l.s.end(Reason{Peer, CodeAuthRefused, fmt.Sprintf("%s offers only %s to log in, and %s is asked for",
			l.s.them(), strings.Join(l.theirs, ", "), methods(l.s.cfg.Auth))})
	}
}

// methods lists methods in words: "MS-CHAPv2 or PAP".
func methods(list []AuthMethod) string {
	var names []string
	for _, m := range list {
		names = append(names, m.String())
	}
	return strings.Join(names, " or ")
}

func (l *lcpLayer) rejected(opts []option) {
	for _, o := range opts {
		if o.kind == lcpAuth {
			l.s.end(Reason{Peer, CodeAuthRefused, fmt.Sprintf("%s refuses to log in, and %s is asked for",
				l.s.them(), methods(l.s.cfg.Auth))})
		}
		l.refused[o.kind] = true
	}
}

// control takes the packets that LCP has beyond the automaton's own.
func (l *lcpLayer) control(p packet) bool {
	switch p.code {
	case codeProtocolReject:
		if l.s.lcp.state == opened && len(p.data) >= 2 {
			l.s.protocolRejected(binary.BigEndian.Uint16(p.data))
		}
	case codeEchoRequest:
		if len(p.data) >= 4 {
			l.s.send(protoLCP, packet{codeEchoReply, p.id, append(l.magicNow(), p.data[4:]...)})
		}
	case codeEchoReply:
		l.s.quality.echoed(p.id)
	case codeDiscardRequest, codeTimeRemaining:
		// That it came is all that matters.
	case codeIdentification:
		if len(p.data) > 4 {
			l.identified(printable(p.data[4:]))
		}
	default:
		return false
	}
	return true
}

// clipText bounds a text that we send.
func clipText(s string) string { return s[:min(len(s), maxText)] }

// magicNow returns our magic number as LCP's packets bear it: zero if the peer would not
// have one.
func (l *lcpLayer) magicNow() []byte {
	if l.refused[lcpMagic] {
		return make([]byte, 4)
	}
	return binary.BigEndian.AppendUint32(nil, l.magic)
}

func (l *lcpLayer) up() {
	l.peer = l.asked
	if text := l.s.cfg.Ident; text != "" {
		l.s.lcp.id++
		l.s.send(protoLCP, packet{codeIdentification, l.s.lcp.id, append(l.magicNow(), clipText(text)...)})
	}
	if !l.refused[lcpACCM] {
		l.s.deframer.ACCM = l.accm
	}
	l.s.quality.start()
	l.s.lcpUp()
}

func (l *lcpLayer) down() {
	l.peer = lcpDefaults
	l.s.quality.stop()
	l.s.deframer.ACCM = allControls
	l.s.lcpDown()
}

func (l *lcpLayer) finished() {
	text := l.s.them() + " never answered PPP"
	code := CodeLCPTimeout
	if l.s.deframer.Counts().Good > 0 {
		text, code = l.s.them()+" spoke PPP, but no agreement on the link was reached", CodeLCPFailed
	}
	l.s.blame(Reason{Peer, code, text})
	l.s.die()
}

// terminated takes the peer's reason. A caller that does not try again has been refused,
// whatever it says.
func (l *lcpLayer) terminated(data []byte) {
	if l.s.phase == phaseAuthenticate && !l.s.refusal.IsZero() {
		l.s.blame(l.s.refusal)
	}
	l.s.blame(farewell(l.s.them(), data))
	if l.s.lcp.state == opened {
		l.s.leave()
	}
}

// mtu is the longest packet that the peer takes.
func (l *lcpLayer) mtu() int { return min(l.peer.mru, defaultMRU) }
