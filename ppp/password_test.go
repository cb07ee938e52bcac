package ppp

import (
	"strings"
	"testing"

	"postern/ppp/mschap"
)

// changePassword sends the Change-Password packet that answers the last Failure.
func (p *peer) changePassword(from, to string) {
	p.t.Helper()
	c := p.Session.auth.(*chapServer)
	oldNT, newNT := mschap.NTHash(from), mschap.NTHash(to)
	block, check, err := mschap.NewPassword(seeded(9), to, oldNT)
	if err != nil {
		p.t.Fatal(err)
	}
	data := append(append([]byte(nil), block[:]...), check[:]...)
	code := chapChangeV3
	if c.method == MSCHAP {
		code = chapChangeV2
		data = append(data, make([]byte, 516+16+24)...) // no LM
		nt := mschap.Response([8]byte(c.challenge), newNT)
		data = append(append(data, nt[:]...), 0, 1)
	} else {
		nt := mschap.ResponseV2([16]byte(c.challenge), [16]byte{5}, "alice", newNT)
		data = append(append(data, 5), make([]byte, 15+8)...)
		data = append(append(data, nt[:]...), 0, 0)
	}
	p.raw(protoCHAP, packet{code, c.id, data}.append(nil))
}

func TestExpiredPasswordIsChangedInTheSameCall(t *testing.T) {
	const fresh = "newPass"
	for _, m := range []AuthMethod{MSCHAP, MSCHAPv2} {
		for _, known := range []string{password, "guess"} {
			cfg := answererConfig()
			cfg.Auth, cfg.PasswordChange = []AuthMethod{m}, true
			p := newPeer(t, cfg)
			stored := password
			p.judge = func(r AuthRequest) Answer {
				if r.Change == nil {
					return Answer{Code: 648}
				}
				next, err := NewPassword(r, stored)
				if err != nil {
					return Answer{Code: 709}
				}
				a := Check(r, next)
				if a.OK {
					stored = next
				}
				return a
			}
			p.openLCP()
			c := p.Session.auth.(*chapServer)
			p.raw(protoCHAP, packet{chapResponse, c.id, append(append([]byte{49}, make([]byte, 48)...), "\x01alice"...)}.append(nil))
			got := p.expect("c223 04 01 *")
			if text := string(bytesOf(t, got[0][11:])); !strings.HasPrefix(text, "E=648 R=0 C=") {
				t.Errorf("Failure says %q", text)
			}
			p.changePassword(known, fresh)
			if known == password {
				if stored != fresh || !p.known {
					t.Errorf("%v: stored %q, let in %v", m, stored, p.known)
				}
				p.expect("c223 03 02*", "80fd 01 *", "8021 01 *")
			} else if stored != password || p.cause.Code != CodeAuthFailed || !strings.Contains(p.cause.Text, "could not be changed") {
				t.Errorf("%v: stored %q, %+v", m, stored, p.cause)
			}
		}
	}
}

func TestPasswordIsNotChangedUnasked(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.PasswordChange = []AuthMethod{MSCHAPv2}, true
	p := newPeer(t, cfg)
	p.openLCP()
	p.changePassword(password, "newPass")
	if p.authings != 0 {
		t.Error("a password was changed before it had expired")
	}
	if _, err := NewPassword(AuthRequest{}, password); err == nil {
		t.Error("a request without a new password has one")
	}
}
