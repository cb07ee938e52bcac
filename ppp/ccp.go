package ppp

import (
	"fmt"
	"slices"
	"time"

	"postern/ppp/mppe"
)

// ccpMPPE is the one CCP option we take: Microsoft's, for compression and encryption
// (RFC 2118 section 3, RFC 3078 section 2). Its value is a set of bits.
const (
	ccpMPPE byte = 18

	bitStateless uint32 = 0x01000000 // H
	bit56        uint32 = 0x00000080 // M
	bit128       uint32 = 0x00000040 // S
	bit40        uint32 = 0x00000020 // L
)

// maxAsks is how often a peer that asks for something else is told what we would have.
// Windows with optional encryption needs it once, stateless mode once more.
const maxAsks = 3

// ccpLayer is the Compression Control Protocol, RFC 1962, used for MPPE. What an end
// requests is how it wants to receive.
type ccpLayer struct {
	s *Session

	allowed uint32   // strengths that the policy allows and there are keys for
	offers  []uint32 // to be requested, the present one first; none left: refused
	naks    int      // of the peer, in a row

	theirs      uint32 // what the peer requested last
	asks        int    // how often we have Nak'ed it
	announced   string
	rx          *mppe.Receiver
	tx          *mppe.Sender
	deaf        bool      // a Reset-Request is unanswered
	resetAt     time.Time // when it was sent
	heardCipher bool      // the peer has begun to encrypt
}

// strengthOf maps a single strength bit to the strength.
func strengthOf(bit uint32) mppe.Strength {
	switch bit {
	case bit128:
		return mppe.Bits128
	case bit56:
		return mppe.Bits56
	}
	return mppe.Bits40
}

// strongest returns the strongest of a set as a set of one.
func strongest(set uint32) uint32 {
	for _, b := range [...]uint32{bit128, bit56, bit40} {
		if set&b != 0 {
			return b
		}
	}
	return 0
}

// prepare makes the list of offers. One strength at a time comes first: a peer that does
// it needs no Nak, and pppd rejects what it does not. What it rejected is followed by
// all the weaker ones, then by all without stateless mode, for Windows 95
// before DUN 1.3.
func (l *ccpLayer) prepare() {
	for _, bit := range [...]uint32{bit128, bit56, bit40} {
		st := strengthOf(bit)
		if slices.Contains(l.s.cfg.MPPE, st) && l.s.keys.Send(st.KeyLen()) != nil {
			l.allowed |= bit
		}
	}
	if l.allowed == 0 {
		return
	}
	mode := l.s.cfg.MPPEMode
	best := strongest(l.allowed)
	rest := l.allowed &^ best
	if mode != StatefulOnly {
		l.offers = append(l.offers, best|bitStateless)
		if rest != 0 {
			l.offers = append(l.offers, rest|bitStateless)
		}
	}
	if mode != StatelessOnly {
		l.offers = append(l.offers, l.allowed)
	}
}

func (l *ccpLayer) request() []option {
	if len(l.offers) == 0 {
		return nil
	}
	return []option{option32(ccpMPPE, l.offers[0])}
}

func (l *ccpLayer) judge(opts []option) (reject, nak []option) {
	l.theirs = 0
	seen := false
	for _, o := range opts {
		v, ok := o.uint32()
		if o.kind != ccpMPPE || !ok || seen || len(l.offers) == 0 {
			reject = append(reject, o)
			continue
		}
		seen = true
		if want := l.want(v); want == v {
			l.theirs = v
		} else if l.asks < maxAsks {
			nak = append(nak, option32(ccpMPPE, want))
		} else {
			reject = append(reject, o)
		}
	}
	if !seen && len(reject) == 0 && len(l.offers) > 0 && l.asks < maxAsks {
		nak = append(nak, option32(ccpMPPE, l.offers[0]))
	}
	if len(reject) == 0 && len(nak) > 0 {
		l.asks++
	}
	return reject, nak
}

// want returns what the peer's request should have been: itself if it is all right.
func (l *ccpLayer) want(v uint32) uint32 {
	common := v & l.allowed
	// Both directions alike if possible, as Windows has it.
	if common&l.offers[0] != 0 && l.asks == 0 {
		common &= l.offers[0]
	}
	if common == 0 {
		return strongest(l.offers[0]) | l.offers[0]&bitStateless
	}
	want := strongest(common)
	switch {
	case l.s.cfg.MPPEMode == StatefulOnly:
		return want
	case v&bitStateless != 0, l.s.cfg.MPPEMode == StatelessOnly, l.asks == 0:
		// A peer that can do stateless mode says so when it is asked.
		return want | bitStateless
	}
	return want
}

func (l *ccpLayer) naked(opts []option) {
	o, _ := find(opts, ccpMPPE)
	v, _ := o.uint32()
	pick := strongest(v & l.allowed)
	l.naks++
	if pick == 0 || l.naks > maxFailure || len(l.offers) == 0 {
		l.nextOffer()
		return
	}
	pick |= v & bitStateless
	switch l.s.cfg.MPPEMode {
	case StatelessOnly:
		pick |= bitStateless
	case StatefulOnly:
		pick &^= bitStateless
	}
	if pick == l.offers[0] {
		l.nextOffer()
		return
	}
	l.offers = append([]uint32{pick}, l.offers[1:]...)
}

func (l *ccpLayer) rejected([]option) { l.nextOffer() }

func (l *ccpLayer) nextOffer() {
	if len(l.offers) > 0 {
		l.offers = l.offers[1:]
	}
	if len(l.offers) == 0 {
		l.refuse()
	}
}

// refuse gives encryption up.
func (l *ccpLayer) refuse() {
	if l.s.encryption == EncryptionRequire {
		l.s.end(l.s.noEncryption(l.s.them() + " refuses encryption"))
		return
	}
	l.s.ccp.close()
}

func (l *ccpLayer) up() {
	if len(l.offers) == 0 || l.theirs == 0 {
		l.refuse()
		return
	}
	in, out := l.config(l.offers[0]), l.config(l.theirs)
	rx, err := mppe.NewReceiver(in, l.s.keys.Receive(in.Strength.KeyLen()))
	if err == nil {
		l.rx = rx
		l.tx, err = mppe.NewSender(out, l.s.keys.Send(out.Strength.KeyLen()))
	}
	if err != nil {
		l.s.end(Reason{Us, CodeEncryptionRequired, fmt.Sprintf("encryption cannot start: %v", err)})
		return
	}
	l.deaf, l.heardCipher = false, false
	l.announce(words(out, in))
	l.s.encryptionUp()
}

func (l *ccpLayer) config(bits uint32) mppe.Config {
	return mppe.Config{
		Strength:     strengthOf(strongest(bits)),
		Stateless:    bits&bitStateless != 0,
		RekeyOnFlush: l.s.cfg.RekeyOnFlush,
	}
}

// words describes the encryption of both directions.
func words(out, in mppe.Config) string {
	one := func(c mppe.Config) string {
		if c.Stateless {
			return c.Strength.String() + ", stateless"
		}
		return c.Strength.String() + ", stateful"
	}
	if out == in {
		return "MPPE " + one(out)
	}
	return "MPPE " + one(out) + " out; " + one(in) + " in"
}

func (l *ccpLayer) announce(text string) {
	if text != l.announced {
		l.announced = text
		l.s.emit(Event{Kind: EventEncrypted, Encryption: text})
	}
}

func (l *ccpLayer) down() {
	l.rx, l.tx = nil, nil
	l.asks, l.naks = 0, 0
}

// finished says that there will be no encryption.
func (l *ccpLayer) finished() {
	if l.s.phase != phaseNetwork {
		return
	}
	l.announce("")
	if l.s.encryption == EncryptionRequire {
		l.s.end(l.s.noEncryption(l.s.them() + " did not agree on encryption"))
	}
}

// terminated takes the peer's word that it will have none of what we offer. To ask on
// until the counters run out would only keep the caller waiting.
func (l *ccpLayer) terminated([]byte) {
	if l.s.encryption == EncryptionRequire {
		l.refuse()
	}
}

// mustEncrypt reports whether IP must not pass in clear, here and now. Once the
// peer has sent encrypted packets, a clear one is not its own.
func (l *ccpLayer) mustEncrypt() bool {
	return l.s.encryption == EncryptionRequire || l.rx != nil && l.heardCipher
}

// control takes CCP's own packets. A Reset-Request is answered by a flushed packet, and by
// no Reset-Ack, which Windows code-rejects (RFC 3078 section 8.2).
func (l *ccpLayer) control(p packet) bool {
	switch p.code {
	case codeResetRequest:
		if l.tx != nil {
			l.tx.Reset()
		}
	case codeResetAck:
	default:
		return false
	}
	return true
}

// lost takes what became of an encrypted packet that could not be read.
func (l *ccpLayer) lost(r mppe.Result) {
	switch {
	case r == mppe.Broken:
		l.s.end(Reason{Peer, CodeEncryptionBroken, l.s.them() + " sends encrypted packets that make no sense: both ends disagree about the keys"})
	case r == mppe.NeedReset, l.deaf && l.s.now.Sub(l.resetAt) >= l.s.pace.period():
		// Again after a while: the request or its answer may have been lost too.
		l.deaf, l.resetAt = true, l.s.now
		l.s.ccp.id++
		l.s.send(protoCCP, packet{codeResetRequest, l.s.ccp.id, nil})
	}
}

// found says that an encrypted packet could be read.
func (l *ccpLayer) found() { l.deaf, l.heardCipher = false, true }

// noEncryption is the Reason when it is required and cannot be had.
func (s *Session) noEncryption(why string) Reason {
	text := why + ", and it is required"
	if s.cfg.Role == Answerer && s.user != "" {
		text += " for " + s.user
	}
	return Reason{Peer, CodeEncryptionRequired, text}
}
