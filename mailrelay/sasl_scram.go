package mailrelay

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"unicode"

	"github.com/emersion/go-sasl"
	"golang.org/x/text/unicode/norm"
)

// scramIterations is RFC 7677 section 4's least. We keep clear passwords, so
// more would slow only log-ins down, and those on a small board most.
const scramIterations = 4096

// saslSCRAM is the server of SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC
// 7677) without channel binding.
type saslSCRAM struct {
	hash     func() hash.Hash
	accounts Accounts
	admit    func(Account)
	salt     []byte
	nonce    string // our part of it

	step        int
	gs2         string // the client's gs2-header
	account     Account
	known       bool
	password    string
	fullNonce   string
	clientFirst string // client-first-message-bare
	serverFirst string
}

func newSCRAMServer(h func() hash.Hash) func(Accounts, func(Account)) sasl.Server {
	return func(accounts Accounts, admit func(Account)) sasl.Server {
		salt := make([]byte, 16)
		rand.Read(salt) // never fails
		return &saslSCRAM{hash: h, accounts: accounts, admit: admit, salt: salt, nonce: rand.Text()}
	}
}

func (s *saslSCRAM) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.step == 0 && response == nil {
		return []byte{}, false, nil // the client speaks first
	}
	s.step++
	switch s.step {
	case 1:
		challenge, err = s.first(string(response))
		return challenge, false, err
	case 2:
		challenge, err = s.final(string(response))
		return challenge, false, err
	case 3:
		// POP3 and SMTP have no room for data with their success, so our
		// signature went as a challenge, and this is its empty answer.
		if len(response) > 0 {
			return nil, false, errSASL
		}
		s.admit(s.account)
		return nil, true, nil
	}
	return nil, false, errSASL
}

// first answers the client-first-message: gs2-cbind-flag "," [authzid] ","
// "n=" name ",r=" nonce ["," extensions].
func (s *saslSCRAM) first(message string) ([]byte, error) {
	parts := strings.SplitN(message, ",", 3)
	if len(parts) != 3 {
		return nil, errSASL
	}
	// "y" says that the client could bind and thinks that we cannot: true.
	if parts[0] != "n" && parts[0] != "y" {
		return nil, errSASL
	}
	s.gs2, s.clientFirst = parts[0]+","+parts[1]+",", parts[2]
	attributes := strings.Split(s.clientFirst, ",")
	if len(attributes) < 2 {
		return nil, errSASL
	}
	name, ok := scramName(attributes[0], "n=")
	nonce, isNonce := strings.CutPrefix(attributes[1], "r=")
	if !ok || !isNonce || nonce == "" {
		return nil, errSASL
	}
	s.account, s.password, s.known = passwordOf(s.accounts, name)
	if parts[1] != "" {
		// Acting for others is not for mail users.
		if identity, ok := scramName(parts[1], "a="); !ok || identity != name {
			return nil, errLogin
		}
	}
	s.fullNonce = nonce + s.nonce
	s.serverFirst = "r=" + s.fullNonce + ",s=" + base64.StdEncoding.EncodeToString(s.salt) + ",i=" + strconv.Itoa(scramIterations)
	return []byte(s.serverFirst), nil
}

// final checks the client-final-message: "c=" gs2-header ",r=" nonce
// ["," extensions] ",p=" proof.
func (s *saslSCRAM) final(message string) ([]byte, error) {
	i := strings.LastIndex(message, ",p=")
	if i < 0 {
		return nil, errSASL
	}
	withoutProof := message[:i]
	proof, err := base64.StdEncoding.DecodeString(message[i+len(",p="):])
	if err != nil {
		return nil, errSASL
	}
	attributes := strings.Split(withoutProof, ",")
	if len(attributes) < 2 || attributes[0] != "c="+base64.StdEncoding.EncodeToString([]byte(s.gs2)) || attributes[1] != "r="+s.fullNonce {
		return nil, errLogin // somebody between us may have changed it
	}
	salted, err := pbkdf2.Key(s.hash, saslPrep(s.password), s.salt, scramIterations, s.hash().Size())
	if err != nil {
		return nil, err
	}
	authMessage := s.clientFirst + "," + s.serverFirst + "," + withoutProof
	clientKey := s.hmac(salted, "Client Key")
	signature := s.hmac(s.sum(clientKey), authMessage)
	if len(proof) != len(signature) {
		return nil, errLogin
	}
	subtle.XORBytes(proof, proof, signature)
	if subtle.ConstantTimeCompare(proof, clientKey) != 1 || !s.known {
		return nil, errLogin
	}
	ours := s.hmac(s.hmac(salted, "Server Key"), authMessage)
	return []byte("v=" + base64.StdEncoding.EncodeToString(ours)), nil
}

func (s *saslSCRAM) hmac(key []byte, message string) []byte {
	mac := hmac.New(s.hash, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func (s *saslSCRAM) sum(b []byte) []byte {
	h := s.hash()
	h.Write(b)
	return h.Sum(nil)
}

// scramName takes a saslname from behind prefix: "=2C" is a comma, "=3D" an
// equals sign, and no other "=" may be in it.
func scramName(s, prefix string) (string, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok || s == "" || strings.Contains(strings.NewReplacer("=2C", "", "=3D", "").Replace(s), "=") {
		return "", false
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s), true
}

// saslPrep is RFC 4013's mapping: other spaces become the space, what is not
// seen vanishes, and compatible forms become one (NFKC). Passwords come out of
// our own configuration, so what RFC 4013 prohibits is left alone.
func saslPrep(s string) string {
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		switch {
		case r > unicode.MaxASCII && unicode.Is(unicode.Zs, r):
			return ' '
		case strings.ContainsRune("\u00ad\u034f\u1806\u180b\u180c\u180d\u200b\u200c\u200d\u2060\ufeff", r), r >= 0xfe00 && r <= 0xfe0f:
			return -1 // RFC 3454 table B.1
		}
		return r
	}, s))
}
