package ppp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"postern/ppp/bsdcomp"
	"postern/ppp/deflate"
	"postern/ppp/mppe"
)

// method is one way to make packets, taken from its option. The zero method is none.
type method struct {
	kind byte
	bits uint32 // ccpMPPE's; ccpBSD's code length
}

func (m method) encrypts() bool { return m.kind == ccpMPPE && m.bits&strengthBits != 0 }

// methodOf returns what an option stands for.
func methodOf(o option) method {
	m := method{kind: o.kind}
	switch {
	case o.kind == ccpMPPE:
		v, _ := o.uint32()
		m.bits = v&^strengthBits | strongest(v)
	case o.kind == ccpBSD && len(o.data) == 1 && o.data[0]>>5 == 1: // version 1
		m.bits = uint32(o.data[0] & 0x1f)
	}
	return m
}

// sender makes the 0x00fd packets of one direction, in whatever way CCP agreed on.
type sender interface {
	// seal appends what carries pkt, which begins with a protocol field of two octets. ok
	// is false if that gains nothing, and pkt is to be sent as it is, now.
	seal(dst, pkt []byte) (out []byte, ok bool)
	// reset answers a Reset-Request, and reports whether by a Reset-Ack.
	reset() (ack bool)
}

// receiver reads the 0x00fd packets of one direction.
type receiver interface {
	open(dst, info []byte) ([]byte, mppe.Result)
	// native must be told of every packet that comes as it is.
	native(proto uint16, info []byte)
	// acknowledged takes the peer's Reset-Ack.
	acknowledged()
}

type mppeSender struct{ *mppe.Sender }

func (s mppeSender) seal(dst, pkt []byte) ([]byte, bool) { return s.Append(dst, pkt), true }

// A flushed packet is the whole answer; Windows code-rejects a Reset-Ack (RFC 3078
// section 8.2).
func (s mppeSender) reset() bool { s.Reset(); return false }

type mppeReceiver struct{ *mppe.Receiver }

func (r mppeReceiver) open(dst, info []byte) ([]byte, mppe.Result) { return r.Open(dst, info) }
func (r mppeReceiver) native(uint16, []byte)                       {}
func (r mppeReceiver) acknowledged()                               {}

// compressor is what deflate.Sender and bsdcomp.Sender are alike in.
type compressor interface {
	Append(dst []byte, protocol uint16, data []byte) ([]byte, bool)
	Reset()
}

type compressSender struct{ compressor }

func (s compressSender) seal(dst, pkt []byte) ([]byte, bool) {
	return s.Append(dst, binary.BigEndian.Uint16(pkt), pkt[2:])
}

func (s compressSender) reset() bool { s.Reset(); return true }

// decompressor is what deflate.Receiver and bsdcomp.Receiver are alike in.
type decompressor interface {
	Open(dst, packet []byte) ([]byte, error)
	Native(protocol uint16, data []byte)
	Reset()
}

type compressReceiver struct{ decompressor }

func (r compressReceiver) open(dst, info []byte) ([]byte, mppe.Result) {
	dst, err := r.Open(dst, info)
	switch {
	case err == nil:
		return dst, mppe.Opened
	case errors.Is(err, deflate.ErrNeedReset), errors.Is(err, bsdcomp.ErrNeedReset):
		return dst, mppe.NeedReset
	}
	return dst, mppe.Dropped
}

func (r compressReceiver) native(proto uint16, info []byte) { r.Native(proto, info) }
func (r compressReceiver) acknowledged()                    { r.Reset() }

// start makes what both directions need.
func (l *ccpLayer) start(out, in method) (err error) {
	switch out.kind {
	case ccpMPPE:
		var tx *mppe.Sender
		cfg := l.config(out)
		tx, err = mppe.NewSender(cfg, l.s.keys.Send(cfg.Strength.KeyLen()))
		l.tx = mppeSender{tx}
	case ccpBSD:
		var tx *bsdcomp.Sender
		tx, err = bsdcomp.NewSender(int(out.bits))
		l.tx = compressSender{tx}
	case ccpDeflate, ccpDeflateDraft:
		var tx *deflate.Sender
		tx, err = deflate.NewSender()
		l.tx = compressSender{tx}
	}
	if err != nil {
		return err
	}
	switch in.kind {
	case ccpMPPE:
		var rx *mppe.Receiver
		cfg := l.config(in)
		rx, err = mppe.NewReceiver(cfg, l.s.keys.Receive(cfg.Strength.KeyLen()))
		l.rx = mppeReceiver{rx}
	case ccpBSD:
		var rx *bsdcomp.Receiver
		rx, err = bsdcomp.NewReceiver(int(in.bits), maxPacket)
		l.rx = compressReceiver{rx}
	case ccpDeflate, ccpDeflateDraft:
		l.rx = compressReceiver{deflate.NewReceiver(maxPacket)}
	}
	return err
}

// maxPacket bounds what a packet may decompress to: our MRU and a protocol field.
const maxPacket = defaultMRU + 2

func (l *ccpLayer) config(m method) mppe.Config {
	return mppe.Config{
		Strength:     strengthOf(strongest(m.bits)),
		Stateless:    m.bits&bitStateless != 0,
		Compress:     m.bits&bitMPPC != 0,
		RekeyOnFlush: l.s.cfg.RekeyOnFlush,
		MaxPacket:    maxPacket,
	}
}

// cipher describes the encryption of one direction.
func (m method) cipher() string {
	if !m.encrypts() {
		return ""
	}
	mode := "stateful"
	if m.bits&bitStateless != 0 {
		mode = "stateless"
	}
	return fmt.Sprintf("MPPE %v, %s", strengthOf(strongest(m.bits)), mode)
}

// packer describes the compression of one direction.
func (m method) packer() string {
	switch {
	case m.kind == ccpMPPE && m.bits&bitMPPC != 0:
		return "MPPC"
	case m.kind == ccpBSD:
		return "BSD-Compress"
	case m.kind == ccpDeflate, m.kind == ccpDeflateDraft:
		return "Deflate"
	}
	return ""
}

// both describes both directions in one.
func both(out, in string) string {
	if out == in {
		return out
	}
	none := func(s string) string {
		if s == "" {
			return "nothing"
		}
		return s
	}
	return none(out) + " out; " + none(in) + " in"
}
