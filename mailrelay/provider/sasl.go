package provider

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/emersion/go-sasl"
)

// mechanisms are the SASL mechanisms on offer.
func (p *Provider) mechanisms(usual ...string) []string {
	if m := p.fault().Mechanisms; m != nil {
		return m
	}
	return usual
}

// newMechanism starts the server's side of one, nil if it is not known. admit
// hears who got in. For OAUTHBEARER and XOAUTH2 the token is the password.
func (p *Provider) newMechanism(name string, admit func(user string)) sasl.Server {
	judge := func(user, password string) error {
		err := p.check(user, password)
		if err == nil {
			admit(user)
		}
		return err
	}
	switch name {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return judge(user, password) })
	case sasl.Login:
		return &loginServer{judge: judge}
	case "CRAM-MD5":
		return &cramServer{p: p, admit: admit}
	case "SCRAM-SHA-1":
		return &scramServer{p: p, hash: sha1.New, admit: admit}
	case "SCRAM-SHA-256":
		return &scramServer{p: p, hash: sha256.New, admit: admit}
	case sasl.OAuthBearer, "XOAUTH2":
		return &bearerServer{judge: judge}
	}
	return nil
}

// loginServer is the server's side of LOGIN, which go-sasl has no more.
type loginServer struct {
	judge func(user, password string) error
	asked int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	if l.asked == 1 {
		if response == nil {
			return []byte("Username:"), false, nil
		}
		l.asked++
	}
	if l.asked == 2 {
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.judge(l.user, string(response))
}

// cramServer is RFC 2195.
type cramServer struct {
	p         *Provider
	admit     func(string)
	challenge string
}

func (c *cramServer) Next(response []byte) ([]byte, bool, error) {
	if c.challenge == "" {
		c.challenge = "<" + rand.Text() + "@" + Host + ">"
		return []byte(c.challenge), false, nil
	}
	user, digest, _ := strings.Cut(string(response), " ")
	password, known := c.p.password(user)
	h := hmac.New(md5.New, []byte(password))
	h.Write([]byte(c.challenge))
	if !known || digest != hex.EncodeToString(h.Sum(nil)) {
		return nil, true, c.p.refusal(digest)
	}
	c.admit(user)
	return nil, true, c.p.enter(user)
}

// scramServer is RFC 5802 without channel binding.
type scramServer struct {
	p     *Provider
	hash  func() hash.Hash
	admit func(string)

	step               int
	user, bare, server string
	salted             []byte
}

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	if response == nil && s.step == 0 {
		return []byte{}, false, nil
	}
	s.step++
	switch s.step {
	case 1:
		return s.first(string(response))
	case 2:
		return s.final(string(response))
	}
	s.admit(s.user)
	return nil, true, s.p.enter(s.user)
}

func (s *scramServer) first(message string) ([]byte, bool, error) {
	bare, ok := strings.CutPrefix(message, "n,,")
	name, nonce, ok2 := strings.Cut(strings.TrimPrefix(bare, "n="), ",r=")
	if !ok || !ok2 {
		return nil, true, errors.New("not SCRAM")
	}
	s.bare, s.user = bare, strings.NewReplacer("=3D", "=", "=2C", ",").Replace(name)
	password, known := s.p.password(s.user)
	if !known {
		return nil, true, s.p.refusal(s.user)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	var err error
	if s.salted, err = pbkdf2.Key(s.hash, password, salt, 4096, s.hash().Size()); err != nil {
		return nil, true, err
	}
	s.server = fmt.Sprintf("r=%s%s,s=%s,i=4096", nonce, rand.Text(), base64.StdEncoding.EncodeToString(salt))
	return []byte(s.server), false, nil
}

func (s *scramServer) final(message string) ([]byte, bool, error) {
	withoutProof, proof64, _ := strings.Cut(message, ",p=")
	proof, err := base64.StdEncoding.DecodeString(proof64)
	all := s.bare + "," + s.server + "," + withoutProof
	key := s.mac(s.salted, "Client Key")
	stored := s.hash()
	stored.Write(key)
	want := s.mac(stored.Sum(nil), all)
	for i := range want {
		want[i] ^= key[i]
	}
	if err != nil || !hmac.Equal(proof, want) {
		return nil, true, s.p.refusal(s.user)
	}
	if s.p.fault().SkipSCRAM {
		s.admit(s.user)
		return nil, true, nil
	}
	signature := s.mac(s.mac(s.salted, "Server Key"), all)
	if s.p.fault().LieInSCRAM {
		signature[0] ^= 1
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), false, nil
}

func (s *scramServer) mac(key []byte, message string) []byte {
	h := hmac.New(s.hash, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// bearerServer is OAUTHBEARER (RFC 7628) and XOAUTH2: a refusal is explained
// first and given after the client has answered.
type bearerServer struct {
	judge  func(user, token string) error
	denied error
}

func (b *bearerServer) Next(response []byte) ([]byte, bool, error) {
	if b.denied != nil {
		return nil, true, b.denied
	}
	if response == nil {
		return []byte{}, false, nil
	}
	var user, token string
	for _, part := range strings.Split(string(response), "\x01") {
		if t, ok := strings.CutPrefix(part, "auth=Bearer "); ok {
			token = t
		}
		if u, ok := strings.CutPrefix(part, "user="); ok {
			user = u
		}
		if u, ok := strings.CutPrefix(part, "n,a="); ok {
			user = strings.TrimSuffix(u, ",")
		}
	}
	if b.denied = b.judge(user, token); b.denied != nil {
		return []byte(`{"status":"invalid_token"}`), false, nil
	}
	return nil, true, nil
}
