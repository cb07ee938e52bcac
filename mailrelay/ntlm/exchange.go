package ntlm

import (
	"encoding/binary"
	"strings"
)

// Exchange is one authentication of a client.
type Exchange struct {
	target    string
	challenge [8]byte
	flags     uint32 // as chosen by Challenge
}

// New begins an exchange. target is the name of this server, which clients may
// show to their user. challenge must be random.
func New(target string, challenge [8]byte) *Exchange {
	if target, _, _ = strings.Cut(target, "."); target == "" {
		target = "MAIL"
	}
	// NetBIOS names have 15 characters and are in upper case.
	return &Exchange{target: strings.ToUpper(target[:min(len(target), 15)]), challenge: challenge}
}

// Challenge answers a NEGOTIATE_MESSAGE ([MS-NLMP] section 2.2.1.1) by a
// CHALLENGE_MESSAGE (2.2.1.2). The error is ErrMessage.
func (e *Exchange) Challenge(negotiate []byte) ([]byte, error) {
	kind, ok := messageType(negotiate)
	if !ok || kind != typeNegotiate {
		return nil, ErrMessage
	}
	// The oldest clients send no more than the type and know code pages only.
	offered := uint32(flagOEM | flagNTLM)
	if len(negotiate) >= 16 {
		offered = binary.LittleEndian.Uint32(negotiate[12:])
	}
	const understood = flagRequestTarget | flagAlwaysSign | flagExtendedSecurity | flag128 | flag56
	e.flags = offered&understood | flagNTLM | flagTargetServer
	name := []byte(e.target)
	var info []byte
	if offered&flagUnicode != 0 {
		e.flags |= flagUnicode | flagTargetInfo
		name = toUTF16(e.target)
		// What NTLMv2 clients put into their answer. There is no time stamp on
		// purpose: it would oblige them to a check of integrity (MIC) that needs
		// a session key.
		info = appendAV(info, avDomainName, name)
		info = appendAV(info, avComputerName, name)
		info = appendAV(info, avEnd, nil)
	} else {
		e.flags |= flagOEM
	}

	const headerSize = 48
	m := append([]byte(signature), typeChallenge, 0, 0, 0)
	m = appendField(m, len(name), headerSize)
	m = binary.LittleEndian.AppendUint32(m, e.flags)
	m = append(m, e.challenge[:]...)
	m = append(m, make([]byte, 8)...)
	m = appendField(m, len(info), headerSize+len(name))
	m = append(m, name...)
	return append(m, info...), nil
}

// Authenticate takes an AUTHENTICATE_MESSAGE ([MS-NLMP] section 2.2.1.3) apart.
// Who sent it is not proved before Login.Check. The error is ErrMessage.
func (e *Exchange) Authenticate(message []byte) (*Login, error) {
	kind, ok := messageType(message)
	if !ok || kind != typeAuthenticate {
		return nil, ErrMessage
	}
	l := &Login{challenge: e.challenge, extended: e.flags&flagExtendedSecurity != 0}
	var domain, user []byte
	for _, f := range []struct {
		at int
		to *[]byte
	}{{12, &l.lm}, {20, &l.nt}, {28, &domain}, {36, &user}} {
		if *f.to, ok = field(message, f.at); !ok {
			return nil, ErrMessage
		}
	}
	// The flags at the end are missing in messages of old clients, who then do
	// as the challenge told them.
	decode := func(b []byte) string { return string(b) }
	if e.flags&flagUnicode != 0 {
		decode = fromUTF16
	}
	l.User, l.Domain = decode(user), decode(domain)
	return l, nil
}
