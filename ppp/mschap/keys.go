package mschap

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
)

// Keys holds the MPPE start keys that one authentication yields, for every
// strength that CCP may settle on later (StartKey in RFC 3078 §7.3). The zero value
// has none. It prints as a fixed text, whatever the verb.
type Keys struct {
	// A closure, because fmt cannot look into one: it prints what is in somebody's
	// unexported field without asking its Format method.
	of func(length int) startKeys
}

// startKeys are the keys of one length; nil where there is none.
type startKeys struct{ send, receive []byte }

func newKeys(short, long startKeys) Keys {
	return Keys{func(length int) startKeys {
		switch length {
		case 8:
			return short
		case 16:
			return long
		}
		return startKeys{}
	}}
}

// KeysV1 derives the start keys of MS-CHAP (RFC 3079 §2): the LM hash makes those of 40
// and 56 bits, the NT hash and the authenticator's challenge that of 128. Both
// directions share them. A nil lmHash (see LMHash) leaves 128 bits only.
func KeysV1(lmHash *[16]byte, ntHash [16]byte, challenge [8]byte) Keys {
	var short []byte
	if lmHash != nil {
		short = bytes.Clone(lmHash[:8])
	}
	// Get_Start_Key, RFC 3079 §2.4
	hashHash := HashNTHash(ntHash)
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(hashHash[:])
	h.Write(challenge[:])
	long := h.Sum(nil)[:16]
	return newKeys(startKeys{short, short}, startKeys{long, long})
}

// KeysV2 derives the start keys of MS-CHAPv2 (RFC 3079 §3) from the peer's NT hash and
// its NT response. authenticator says which end of the call we are, the one
// that asked for authentication (RFC 3079's "server") or the one that answered:
// each direction has a key of its own.
func KeysV2(ntHash [16]byte, ntResponse [24]byte, authenticator bool) Keys {
	// GetMasterKey, RFC 3079 §3.4
	hashHash := HashNTHash(ntHash)
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(ntResponse[:])
	h.Write([]byte("This is the MPPE Master Key"))
	master := [16]byte(h.Sum(nil)[:16])

	fromClient := asymmetricStartKey(master, clientSends)
	fromServer := asymmetricStartKey(master, clientReceives)
	send, receive := fromClient, fromServer
	if authenticator {
		send, receive = fromServer, fromClient
	}
	// The short keys are the front of the long ones: the same digest, cut.
	return newKeys(startKeys{send[:8:8], receive[:8:8]}, startKeys{send, receive})
}

// Magic2 and Magic3 of RFC 3079 §3.4.
const (
	clientSends    = "On the client side, this is the send key; on the server side, it is the receive key."
	clientReceives = "On the client side, this is the receive key; on the server side, it is the send key."
)

func asymmetricStartKey(master [16]byte, magic string) []byte {
	var pad1, pad2 [40]byte
	for i := range pad2 {
		pad2[i] = 0xf2
	}
	h := sha1.New()
	h.Write(master[:])
	h.Write(pad1[:])
	h.Write([]byte(magic))
	h.Write(pad2[:])
	return h.Sum(nil)[:16]
}

// Send returns the start key of the packets that we send, of 8 octets (40 and 56
// bits) or of 16 (128 bits); nil if the authentication yields none of that
// length. The caller must not change it.
func (k Keys) Send(length int) []byte {
	if k.of == nil {
		return nil
	}
	return k.of(length).send
}

// Receive is Send for the packets that the peer sends.
func (k Keys) Receive(length int) []byte {
	if k.of == nil {
		return nil
	}
	return k.of(length).receive
}

// Format implements fmt.Formatter, so that no verb prints a key.
func (Keys) Format(s fmt.State, _ rune) { io.WriteString(s, "[MPPE keys]") }
