package mailrelay

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
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"golang.org/x/text/secure/precis"
)

// The mechanisms beside those that go-sasl names.
const (
	mechCRAMMD5     = "CRAM-MD5"      // RFC 2195
	mechSCRAMSHA1   = "SCRAM-SHA-1"   // RFC 5802
	mechSCRAMSHA256 = "SCRAM-SHA-256" // RFC 7677
	mechXOAUTH2     = "XOAUTH2"       // Google's and Microsoft's, before RFC 7628
)

// passwordMechanisms are in the order of preference. SCRAM goes first since
// even a server that got past the certificate does not learn the password from
// it. CRAM-MD5 goes last: under TLS it protects nothing, and servers that list
// it without knowing clear passwords refuse every log-in by it.
var passwordMechanisms = []string{mechSCRAMSHA256, mechSCRAMSHA1, sasl.Plain, sasl.Login, mechCRAMMD5}

// tokenMechanisms are those for an OAuth 2.0 access token.
var tokenMechanisms = []string{sasl.OAuthBearer, mechXOAUTH2}

// credentials prove a user to a provider: by an access token if there is one,
// by the client certificate if there is nothing else, else by the password.
type credentials struct {
	username    string
	password    string
	token       string
	certificate bool     // the TLS handshake showed one
	allowed     []string // mechanisms, nil: all
}

// mechanisms are those that fit the credentials, best first.
func (c credentials) mechanisms() []string {
	fitting := passwordMechanisms
	switch {
	case c.token != "":
		fitting = tokenMechanisms
	case c.password == "" && c.certificate:
		fitting = []string{sasl.External}
	}
	if c.allowed == nil {
		return fitting
	}
	var both []string
	for _, mech := range c.allowed { // in the order of whoever configured it
		for _, f := range fitting {
			if strings.EqualFold(mech, f) {
				both = append(both, f)
			}
		}
	}
	return both
}

// choose starts the best mechanism that the server offers, nil if none fits.
func (c credentials) choose(offered func(mech string) bool) sasl.Client {
	for _, mech := range c.mechanisms() {
		if !offered(mech) {
			continue
		}
		switch mech {
		case mechSCRAMSHA256:
			return newSCRAM(mech, sha256.New, c.username, c.password, rand.Text())
		case mechSCRAMSHA1:
			return newSCRAM(mech, sha1.New, c.username, c.password, rand.Text())
		case sasl.Plain:
			return sasl.NewPlainClient("", c.username, c.password)
		case sasl.Login:
			return &login{answers: []string{c.username, c.password}}
		case mechCRAMMD5:
			return &cramMD5{c.username, c.password}
		case sasl.OAuthBearer:
			return &bearer{mech: mech, first: "n,a=" + saslName(c.username) + ",\x01auth=Bearer " + c.token + "\x01\x01", dummy: "\x01"}
		case mechXOAUTH2:
			return &bearer{mech: mech, first: "user=" + c.username + "\x01auth=Bearer " + c.token + "\x01\x01"}
		case sasl.External:
			return sasl.NewExternalClient("")
		}
	}
	return nil
}

// verified says whether the server kept its part of a mechanism that proves
// both sides. A server that says yes early has not.
func verified(mech sasl.Client) error {
	if s, ok := mech.(*scram); ok && !s.done {
		return &fault{auth: true, text: "the provider's server let this box in without proving that it knows the password: somebody may pretend to be the provider; no mail was sent or fetched"}
	}
	return nil
}

// secrets are what must not be shown when a server echoes it.
func (c credentials) secrets() []string {
	return []string{c.password, c.token, plainResponse(c.username, c.password), base64.StdEncoding.EncodeToString([]byte(c.password))}
}

// clean says that no credential can break out of its line.
func (c credentials) clean() bool {
	return !strings.ContainsAny(c.username+c.password+c.token, "\r\n\x00\x01")
}

// plainResponse is the one message of SASL PLAIN (RFC 4616) in base64.
func plainResponse(username, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + username + "\x00" + password))
}

// bearer is OAUTHBEARER (RFC 7628) or XOAUTH2: one message, and a dummy answer
// to the server's explanation of a refusal.
type bearer struct {
	mech, first, dummy string
}

func (b *bearer) Start() (string, []byte, error) { return b.mech, []byte(b.first), nil }

func (b *bearer) Next([]byte) ([]byte, error) { return []byte(b.dummy), nil }

// login is LOGIN (draft-murchison-sasl-login-00). It sends no initial response,
// which some servers refuse, and does not read the prompts, which differ.
type login struct{ answers []string }

func (l *login) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (l *login) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, errors.New("the server asks for more than user name and password")
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}

// cramMD5 is RFC 2195.
type cramMD5 struct{ username, password string }

func (c *cramMD5) Start() (string, []byte, error) { return mechCRAMMD5, nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	h := hmac.New(md5.New, []byte(c.password))
	h.Write(challenge)
	return []byte(c.username + " " + hex.EncodeToString(h.Sum(nil))), nil
}

// maxIterations bounds the work that a server can make this box do: some
// seconds on the smallest board.
const maxIterations = 1_000_000

var errSCRAM = errors.New("the server's SCRAM message is malformed")

// scram is the client of RFC 5802 without channel binding.
type scram struct {
	mech      string
	hash      func() hash.Hash
	username  string
	password  string
	nonce     string
	step      int
	signature []byte // what the server must show
	done      bool   // and has shown
}

func newSCRAM(mech string, h func() hash.Hash, username, password, nonce string) *scram {
	return &scram{mech: mech, hash: h, username: prepared(username), password: prepared(password), nonce: nonce}
}

// prepared is the profile of RFC 8265 that took SASLprep's place; they differ
// for no password that people use.
func prepared(s string) string {
	if p, err := precis.OpaqueString.String(s); err == nil {
		return p
	}
	return s
}

// saslName escapes a name (RFC 5801 section 4).
func saslName(s string) string { return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s) }

func (s *scram) firstBare() string { return "n=" + saslName(s.username) + ",r=" + s.nonce }

func (s *scram) Start() (string, []byte, error) {
	return s.mech, []byte("n,," + s.firstBare()), nil
}

func (s *scram) Next(challenge []byte) ([]byte, error) {
	s.step++
	switch s.step {
	case 1:
		return s.final(string(challenge))
	case 2:
		v, ok := strings.CutPrefix(string(challenge), "v=")
		got, err := base64.StdEncoding.DecodeString(v)
		if !ok || err != nil || !hmac.Equal(got, s.signature) {
			return nil, &fault{auth: true, text: "the provider's server does not know this user's password and cannot prove itself: somebody may pretend to be the provider, or the password was changed there; no mail was sent or fetched"}
		}
		s.done = true
		return []byte{}, nil
	}
	return nil, errSCRAM
}

// final is the client-final-message for the server-first-message.
func (s *scram) final(serverFirst string) ([]byte, error) {
	// r=, s= and i= in this order; extensions may follow (RFC 5802 section 7),
	// mandatory ones (m=) would come first and are unknown to us.
	parts := strings.SplitN(serverFirst, ",", 4)
	if len(parts) < 3 {
		return nil, errSCRAM
	}
	nonce, isNonce := strings.CutPrefix(parts[0], "r=")
	salt64, isSalt := strings.CutPrefix(parts[1], "s=")
	count, isCount := strings.CutPrefix(parts[2], "i=")
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if !isNonce || !isSalt || !isCount || err != nil || len(nonce) <= len(s.nonce) || !strings.HasPrefix(nonce, s.nonce) {
		return nil, errSCRAM
	}
	iterations, err := strconv.Atoi(count)
	if err != nil || iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("%w: %q iterations", errSCRAM, legible(count, 20))
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size())
	if err != nil {
		return nil, err
	}
	withoutProof := "c=biws,r=" + nonce // base64 of "n,,"
	message := s.firstBare() + "," + serverFirst + "," + withoutProof
	clientKey := s.mac(salted, "Client Key")
	stored := s.hash()
	stored.Write(clientKey)
	proof := s.mac(stored.Sum(nil), message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = s.mac(s.mac(salted, "Server Key"), message)
	return []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func (s *scram) mac(key []byte, message string) []byte {
	h := hmac.New(s.hash, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
