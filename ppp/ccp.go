package ppp

import (
	"fmt"
	"slices"
	"time"

	"postern/ppp/bsdcomp"
	"postern/ppp/deflate"
	"postern/ppp/mppe"
)

// CCP's Configuration Options (RFC 1962 section 4). Types not named here are rejected.
const (
	ccpMPPE         byte = 18 // RFC 2118 section 3, RFC 3078 section 2: a set of bits
	ccpBSD          byte = 21 // RFC 1977 section 3
	ccpDeflateDraft byte = 24 // as pppd offers Deflate too
	ccpDeflate      byte = 26 // RFC 1979 section 3

	bitStateless uint32 = 0x01000000 // H
	bit56        uint32 = 0x00000080 // M
	bit128       uint32 = 0x00000040 // S
	bit40        uint32 = 0x00000020 // L
	bitMPPC      uint32 = 0x00000001 // C

	strengthBits = bit56 | bit128 | bit40
)

// maxAsks is how often a peer that asks for something else is told what we would have.
// Windows with optional encryption needs it once, stateless mode once more.
const maxAsks = 3

// ccpLayer is the Compression Control Protocol, RFC 1962, for encryption and
// compression. What an end requests is how it wants to receive.
type ccpLayer struct {
	s *Session

	allowed uint32     // strengths that the policy allows and there are keys for
	mppc    uint32     // bitMPPC if that is allowed
	offers  [][]option // requests to be tried, the present one first; none left: refused
	naks    int        // of the peer, in a row

	theirs method // what the peer requested last, and we shall send
	asks   int    // how often we have Nak'ed it

	tx          sender
	rx          receiver
	rxEncrypts  bool
	deaf        bool      // a Reset-Request is unanswered,
	resetID     byte      // this one,
	resetAt     time.Time // sent then
	heardCipher bool      // the peer has begun to encrypt

	cipher, packer string // as announced
}

// strengthOf maps a single strength bit to the strength.
func strengthOf(bit uint32) mppe.Strength {
	switch bit {
	case bit128:
		return mppe.Bits128
	case bit56:
		return mppe.Bits56
	case bit40:
		return mppe.Bits40
	}
	return mppe.None
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

// prepare makes the list of offers, and reports whether there is any. All strengths are
// offered at once, for the peer to pick one by its Nak: a single one would spare that
// round trip, but a pppd that requires another hangs up on it. Then come all without
// stateless mode, for Windows 95 before DUN 1.3, and then, if it may be, mere compression.
func (l *ccpLayer) prepare(encryption Policy) bool {
	cfg := &l.s.cfg
	if slices.Contains(cfg.Compression, MPPC) {
		l.mppc = bitMPPC
	}
	for _, bit := range [...]uint32{bit128, bit56, bit40} {
		st := strengthOf(bit)
		if encryption != EncryptionOff && slices.Contains(cfg.MPPE, st) && l.s.keys.Send(st.KeyLen()) != nil {
			l.allowed |= bit
		}
	}
	offer := func(bits uint32) { l.offers = append(l.offers, []option{option32(ccpMPPE, bits|l.mppc)}) }
	if l.allowed != 0 && cfg.MPPEMode != StatefulOnly {
		offer(l.allowed | bitStateless)
	}
	if l.allowed != 0 && cfg.MPPEMode != StatelessOnly {
		offer(l.allowed)
	}
	if opts := compressions(cfg.Compression); len(opts) > 0 && encryption != EncryptionRequire {
		l.offers = append(l.offers, opts)
	}
	return len(l.offers) > 0
}

// compressions lists what we can decompress, for a peer to choose from.
func compressions(list []Compression) (opts []option) {
	for _, c := range list {
		switch c {
		case MPPC:
			opts = append(opts, option32(ccpMPPE, bitMPPC))
		case Deflate:
			opts = append(opts, deflateOption(ccpDeflate), deflateOption(ccpDeflateDraft))
		case BSDCompress:
			opts = append(opts, bsdOption())
		}
	}
	return opts
}

// deflateOption asks for the largest window and sequence numbers.
func deflateOption(kind byte) option {
	return option{kind, []byte{(deflate.Window-8)<<4 | 8, 0}}
}

// bsdOption asks for version 1 and the longest codes.
func bsdOption() option { return option{ccpBSD, []byte{1<<5 | bsdcomp.MaxBits}} }

func (l *ccpLayer) request() []option {
	if len(l.offers) == 0 {
		return nil
	}
	return l.offers[0]
}

func (l *ccpLayer) judge(opts []option) (reject, nak []option) {
	l.theirs = method{}
	encrypt := l.wantsEncryption()
	_, microsoft := find(opts, ccpMPPE)
	if l.s.encryption != EncryptionRequire && l.asks > 0 && !microsoft {
		encrypt = false // it has been told, and does not even name encryption
	}
	for _, o := range opts {
		want, ok := l.want(o, encrypt)
		switch {
		case !ok && encrypt && !microsoft && l.grants(o.kind):
			// To be had if it turns out that there is no encryption; a Reject would
			// be for good.
		case !ok:
			reject = append(reject, o)
		case !want.equal(o):
			nak = append(nak, want)
		case l.theirs.kind == 0:
			l.theirs = methodOf(o) // of several the first counts, as with pppd
		}
	}
	if encrypt && len(reject) == 0 && len(nak) == 0 && !l.theirs.encrypts() {
		nak = append(nak, l.wish())
	}
	if len(reject) == 0 && len(nak) > 0 {
		if l.asks++; l.asks > maxAsks {
			return opts, nil
		}
	}
	return reject, nak
}

// wantsEncryption reports whether the peer is still asked to encrypt.
func (l *ccpLayer) wantsEncryption() bool {
	return l.allowed != 0 && (l.asks < maxAsks || l.s.encryption == EncryptionRequire)
}

// want returns what an option of the peer's should have been: itself if it is all
// right. ok is false if nothing of its type will do.
func (l *ccpLayer) want(o option, encrypt bool) (want option, ok bool) {
	switch {
	case o.kind == ccpMPPE && encrypt:
		v, ok := o.uint32()
		return option32(ccpMPPE, l.wantBits(v)), ok
	case o.kind == ccpMPPE:
		v, ok := o.uint32()
		return option32(ccpMPPE, v&(bitStateless|bitMPPC)), ok && v&l.mppc != 0
	case encrypt || !l.grants(o.kind):
		return o, false // nothing but MPPC goes with MPPE
	case o.kind == ccpBSD:
		if m := methodOf(o); m.bits >= bsdcomp.MinBits && m.bits <= bsdcomp.MaxBits {
			return o, true
		}
		return bsdOption(), true
	}
	return deflateOption(o.kind), true
}

// grants reports whether a compression other than Microsoft's is allowed.
func (l *ccpLayer) grants(kind byte) bool {
	switch kind {
	case ccpDeflate, ccpDeflateDraft:
		return slices.Contains(l.s.cfg.Compression, Deflate)
	case ccpBSD:
		return slices.Contains(l.s.cfg.Compression, BSDCompress)
	}
	return false
}

// wish is the encryption that the peer should ask for: what we ask for ourselves. It may
// be several strengths, since a peer that named none may not do the strongest.
func (l *ccpLayer) wish() option {
	bits := l.allowed
	if o, ok := find(l.request(), ccpMPPE); ok {
		if v, _ := o.uint32(); v&l.allowed != 0 {
			bits = v & (l.allowed | bitStateless)
		}
	}
	return option32(ccpMPPE, bits)
}

// wantBits returns what an MPPE request should have been: itself if it is all right.
func (l *ccpLayer) wantBits(v uint32) uint32 {
	common := v & l.allowed
	wish, _ := l.wish().uint32()
	// Both directions alike if possible, as Windows has it.
	if common&wish != 0 && l.asks == 0 {
		common &= wish
	}
	if common == 0 {
		return wish | v&l.mppc
	}
	want := strongest(common) | v&l.mppc
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
	if l.naks++; l.naks > maxFailure || len(l.offers) == 0 {
		l.nextOffer()
		return
	}
	present := l.offers[0]
	if !methodOf(present[0]).encrypts() {
		// The peer would have us encrypt, or wants other parameters. It is told
		// the same again until it takes that or rejects it.
		if o, ok := find(opts, ccpBSD); ok && methodOf(o).bits >= bsdcomp.MinBits && methodOf(o).bits <= bsdcomp.MaxBits {
			for i := range present {
				if present[i].kind == ccpBSD {
					present[i] = option{ccpBSD, slices.Clone(o.data)}
				}
			}
		}
		return
	}
	o, _ := find(opts, ccpMPPE)
	v, _ := o.uint32()
	pick := strongest(v & l.allowed)
	if pick == 0 {
		l.nextOffer()
		return
	}
	pick |= v & (bitStateless | l.mppc)
	switch l.s.cfg.MPPEMode {
	case StatelessOnly:
		pick |= bitStateless
	case StatefulOnly:
		pick &^= bitStateless
	}
	better := option32(ccpMPPE, pick)
	if present[0].equal(better) {
		l.nextOffer()
		return
	}
	l.offers[0] = []option{better}
}

// rejected leaves out what the peer does not know.
func (l *ccpLayer) rejected(opts []option) {
	if len(l.offers) == 0 {
		return
	}
	var rest []option
	for _, o := range l.offers[0] {
		if _, ok := find(opts, o.kind); !ok {
			rest = append(rest, o)
		}
	}
	if l.offers[0] = rest; len(rest) == 0 {
		l.nextOffer()
	}
}

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
	var in method
	if opts := l.request(); len(opts) > 0 {
		in = methodOf(opts[0])
	}
	out := l.theirs
	switch {
	case in.kind == 0 && out.kind == 0,
		in.encrypts() != out.encrypts(),
		l.s.encryption == EncryptionRequire && !in.encrypts():
		l.refuse()
		return
	}
	if err := l.start(out, in); err != nil {
		l.s.end(Reason{Us, CodeEncryptionBroken, fmt.Sprintf("what CCP agreed on cannot start: %v", err)})
		return
	}
	l.deaf, l.heardCipher, l.rxEncrypts = false, false, in.encrypts()
	l.announce(both(out.cipher(), in.cipher()), both(out.packer(), in.packer()))
	l.s.encryptionUp()
}

func (l *ccpLayer) announce(cipher, packer string) {
	if cipher != l.cipher {
		l.cipher = cipher
		l.s.emit(Event{Kind: EventEncrypted, Encryption: cipher})
	}
	if packer != l.packer {
		l.packer = packer
		l.s.emit(Event{Kind: EventCompressed, Compression: packer})
	}
}

func (l *ccpLayer) down() {
	l.rx, l.tx = nil, nil
	l.asks, l.naks = 0, 0
	if l.s.phase < phaseTerminate {
		l.announce("", "")
	}
}

// finished says that there will be neither encryption nor compression.
func (l *ccpLayer) finished() {
	if l.s.phase != phaseNetwork {
		return
	}
	l.announce("", "")
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
	return l.s.encryption == EncryptionRequire || l.rxEncrypts && l.rx != nil && l.heardCipher
}

// encrypts reports whether encryption is up.
func (l *ccpLayer) encrypts() bool { return l.tx != nil && l.rxEncrypts }

// control takes CCP's own packets.
func (l *ccpLayer) control(p packet) bool {
	switch p.code {
	case codeResetRequest:
		if l.tx != nil && l.tx.reset() {
			l.s.send(protoCCP, packet{codeResetAck, p.id, nil})
		}
	case codeResetAck:
		if l.deaf && p.id == l.resetID && l.rx != nil {
			l.deaf = false
			l.rx.acknowledged()
		}
	default:
		return false
	}
	return true
}

// lost takes what became of a packet that could not be read.
func (l *ccpLayer) lost(r mppe.Result) {
	switch {
	case r == mppe.Broken:
		l.s.end(Reason{Peer, CodeEncryptionBroken, l.s.them() + " sends encrypted packets that make no sense: both ends disagree about the keys"})
	case r == mppe.NeedReset, l.deaf && l.s.now.Sub(l.resetAt) >= l.s.pace.period():
		// Again after a while: the request or its answer may have been lost too.
		if !l.deaf {
			l.s.ccp.id++
			l.resetID = l.s.ccp.id
		}
		l.deaf, l.resetAt = true, l.s.now
		l.s.send(protoCCP, packet{codeResetRequest, l.resetID, nil})
	}
}

// found says that a packet could be read.
func (l *ccpLayer) found() { l.deaf, l.heardCipher = false, true }

// noEncryption is the Reason when it is required and cannot be had.
func (s *Session) noEncryption(why string) Reason {
	text := why + ", and it is required"
	if s.cfg.Role == Answerer && s.user != "" {
		text += " for " + s.user
	}
	return Reason{Peer, CodeEncryptionRequired, text}
}
