package ppp

import (
	"encoding/binary"
	"errors"

	"postern/ppp/bsdcomp"
	"postern/ppp/deflate"
	"postern/ppp/mppe"
)

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
