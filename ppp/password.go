package ppp

import (
	"errors"

	"postern/ppp/mschap"
)

// The codes of MS-CHAP's Change-Password packets: version 2 for MS-CHAP (RFC 2433 section
// 10) and version 3 for MS-CHAPv2 (RFC 2759 section 7). Version 1 sends hashes in the
// clear and is not taken.
const (
	chapChangeV2 byte = 6
	chapChangeV3 byte = 7
)

// PasswordChange is what a Change-Password packet holds of both passwords.
type PasswordChange struct {
	block mschap.PasswordBlock
	check [16]byte
}

var errNoChange = errors.New("ppp: the request changes no password")

// NewPassword returns the password that a request with a Change asks for, if the caller
// knows the old one. It fails if not. Whoever keeps the passwords then has Check
// judge the request against the new one, and keeps that if the Answer is OK. What
// it cannot allow it answers with Code 709.
func NewPassword(r AuthRequest, oldPassword string) (string, error) {
	if r.Change == nil {
		return "", errNoChange
	}
	return r.Change.block.Password(mschap.NTHash(oldPassword), r.Change.check)
}

// changed takes a Change-Password packet. Its response is put into the form of an
// ordinary one.
func (c *chapServer) changed(in packet) {
	change, response, ok := parseChange(c.method, in)
	if !ok {
		c.s.counts.Ignored++
		return
	}
	r := c.request
	r.ID, r.Challenge, r.Response, r.Change = in.id, c.challenge, response, change
	c.judge(r)
}

func parseChange(m AuthMethod, in packet) (change *PasswordChange, response []byte, ok bool) {
	const block, check = 516, 16
	change = new(PasswordChange)
	b := in.data
	switch {
	case m == MSCHAPv2 && in.code == chapChangeV3 && len(b) == block+check+16+8+24+2:
		response = append(response, b[block+check:block+check+16+8+24]...)
		response = append(response, 0)
	case m == MSCHAP && in.code == chapChangeV2 && len(b) == 2*(block+check)+24+24+2:
		response = append(response, b[2*(block+check):2*(block+check)+48]...)
		response = append(response, b[len(b)-1]&msFlagNT)
	default:
		return nil, nil, false
	}
	copy(change.block[:], b)
	copy(change.check[:], b[block:])
	return change, response, true
}
