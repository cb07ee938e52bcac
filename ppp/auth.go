package ppp

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"time"

	"postern/ppp/mschap"
)

// party is one end of one authentication protocol. EAP would be two more.
type party interface {
	protocol() uint16
	start()
	input(b []byte)
	timer() time.Time
	expire()
	// answer gives the answering side the judgement it asked for.
	answer(a Answer)
}

// patienceForLogin is how long a caller that must log in first may take to begin.
const patienceForLogin = 60 * time.Second

// lcpUp begins what LCP agreed on.
func (s *Session) lcpUp() {
	if s.phase >= phaseTerminate {
		return
	}
	s.emit(Event{Kind: EventLinkUp})
	m, answering := s.link.peer.auth, s.cfg.Role == Answerer
	if answering && len(s.link.auth) > 0 {
		m = s.link.auth[0]
	}
	s.method = m
	switch {
	case m == 0:
		s.loggedIn()
		return
	case answering && m == PAP:
		s.auth = &papServer{s: s}
	case answering:
		s.auth = &chapServer{s: s, method: m}
	case m == PAP:
		s.auth = &papClient{s: s}
	default:
		s.auth = &chapClient{s: s, method: m}
	}
	s.phase = phaseAuthenticate
	s.auth.start()
}

// lcpDown undoes everything that stood on LCP.
func (s *Session) lcpDown() {
	s.abandoned = s.judging
	s.auth, s.callback = nil, nil
	s.keys = mschap.Keys{}
	s.heldIPCP = s.heldIPCP[:0]
	s.ccp.lowerDown()
	s.ipcp.lowerDown()
	s.ipv6cp.lowerDown()
	if s.phase < phaseTerminate {
		s.phase = phaseEstablish
	}
}

// ask emits the one EventAuth that may be outstanding. It returns false while an answer to an
// earlier one, which LCP's restart made worthless, has not come in.
func (s *Session) ask(r AuthRequest) bool {
	if s.judging {
		return false
	}
	s.judging = true
	s.emit(Event{Kind: EventAuth, Auth: r})
	return true
}

// Authenticate gives the Answer to the last EventAuth. An answer that nobody waits for
// any more is dropped.
func (s *Session) Authenticate(now time.Time, a Answer) {
	s.now = now
	abandoned := s.abandoned || !s.judging
	s.judging, s.abandoned = false, false
	if abandoned || s.auth == nil || s.phase > phaseNetwork {
		return
	}
	s.auth.answer(a)
}

// authenticated goes on to the network phase.
func (s *Session) authenticated(name string, a Answer) {
	if s.phase != phaseAuthenticate {
		return
	}
	if s.known && name != s.user {
		// LCP started again and somebody else logged in; what was begun for the first
		// must not be had by the second.
		s.end(Reason{Peer, CodeAuthFailed, fmt.Sprintf("%s logged in as %q and then as %q", s.them(), s.user, name)})
		return
	}
	s.user, s.known = name, true
	s.keys = a.Keys
	s.encryption, s.peerIP, s.offer = s.cfg.Encryption, s.cfg.PeerIP, a.Callback
	if a.Encryption != nil {
		s.encryption = *a.Encryption
	}
	if a.PeerIP.IsValid() {
		s.peerIP = a.PeerIP
	}
	s.emit(Event{Kind: EventAuthenticated, Auth: AuthRequest{Method: s.method, Name: name}})
	s.loggedIn()
}

// refused ends the session after the Nak or Failure that told the caller.
func (s *Session) refused(name string, a Answer) {
	s.end(Reason{Us, CodeAuthFailed, fmt.Sprintf("%q was refused by %v: %s", name, s.method, a.words())})
}

func (a Answer) code() int {
	if a.Code == 0 {
		return rasWrongPassword
	}
	return a.Code
}

// words say why not: whoever judged knows best.
func (a Answer) words() string {
	if a.Message != "" {
		return a.Message
	}
	return rasWords(a.code())
}

// Check judges a request against the clear password of the user that it names, in
// constant time, and derives the keys for MPPE.
func Check(r AuthRequest, password string) Answer {
	var a Answer
	switch r.Method {
	case PAP:
		a.OK = subtle.ConstantTimeCompare([]byte(r.Password), []byte(password)) == 1
	case CHAPMD5:
		want := mschap.MD5Response(r.ID, password, r.Challenge)
		a.OK = subtle.ConstantTimeCompare(r.Response, want[:]) == 1
	case MSCHAP:
		v, ok := parseV1(r)
		if !ok {
			break
		}
		hash := mschap.NTHash(password)
		want := mschap.Response(v.challenge, hash)
		if a.OK = v.useNT && subtle.ConstantTimeCompare(v.nt[:], want[:]) == 1; a.OK {
			a.Keys = keysV1(password, hash, v.challenge)
		}
	case MSCHAPv2:
		v, ok := parseV2(r)
		if !ok {
			break
		}
		hash := mschap.NTHash(password)
		want := mschap.ResponseV2(v.challenge, v.peer, r.Name, hash)
		if a.OK = subtle.ConstantTimeCompare(v.nt[:], want[:]) == 1; a.OK {
			a.AuthenticatorResponse = mschap.AuthenticatorResponse(hash, v.nt, v.peer, v.challenge, r.Name)
			a.Keys = mschap.KeysV2(hash, v.nt, true)
		}
	}
	if !a.OK {
		return Answer{Code: rasWrongPassword}
	}
	return a
}

// CheckLM is Check for a request that OnlyLM: MS-CHAP as Windows 95 sends it. The LM hash is
// so weak that it is for users to whom it is allowed and for no others.
func CheckLM(r AuthRequest, password string) Answer {
	v, ok := parseV1(r)
	lm, hasLM := mschap.LMHash(password)
	if !ok || !hasLM || !r.OnlyLM() {
		return Answer{Code: rasWrongPassword}
	}
	want := mschap.Response(v.challenge, lm)
	if subtle.ConstantTimeCompare(v.lm[:], want[:]) != 1 {
		return Answer{Code: rasWrongPassword}
	}
	return Answer{OK: true, Keys: keysV1(password, mschap.NTHash(password), v.challenge)}
}

func keysV1(password string, ntHash [16]byte, challenge [8]byte) mschap.Keys {
	if lm, ok := mschap.LMHash(password); ok {
		return mschap.KeysV1(&lm, ntHash, challenge)
	}
	return mschap.KeysV1(nil, ntHash, challenge)
}

// responseLen is the length of MS-CHAP's response values, both versions.
const responseLen = 49

// responseV1 is MS-CHAP's response value, RFC 2433 section 4.
type responseV1 struct {
	challenge [8]byte
	lm, nt    [24]byte
	useNT     bool
}

func parseV1(r AuthRequest) (v responseV1, ok bool) {
	if len(r.Challenge) != len(v.challenge) || len(r.Response) != responseLen {
		return v, false
	}
	copy(v.challenge[:], r.Challenge)
	copy(v.lm[:], r.Response)
	copy(v.nt[:], r.Response[24:])
	v.useNT = r.Response[48] == msFlagNT
	return v, true
}

// responseV2 is MS-CHAPv2's response value, RFC 2759 section 4.
type responseV2 struct {
	challenge, peer [16]byte
	nt              [24]byte
}

func parseV2(r AuthRequest) (v responseV2, ok bool) {
	if len(r.Challenge) != len(v.challenge) || len(r.Response) != responseLen {
		return v, false
	}
	copy(v.challenge[:], r.Challenge)
	copy(v.peer[:], r.Response)
	copy(v.nt[:], r.Response[24:])
	return v, !bytes.Equal(v.nt[:], make([]byte, 24))
}
