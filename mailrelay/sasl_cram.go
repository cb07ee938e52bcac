package mailrelay

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/emersion/go-sasl"
)

// saslCRAM is the server of CRAM-MD5 (RFC 2195).
type saslCRAM struct {
	accounts  Accounts
	admit     func(Account)
	challenge string
	asked     bool
}

func newCRAMServer(accounts Accounts, admit func(Account)) sasl.Server {
	return &saslCRAM{accounts: accounts, admit: admit, challenge: "<" + rand.Text() + "@postern>"}
}

func (c *saslCRAM) Next(response []byte) (challenge []byte, done bool, err error) {
	if !c.asked {
		if len(response) > 0 {
			return nil, false, errSASL // the server speaks first
		}
		c.asked = true
		return []byte(c.challenge), false, nil
	}
	// The name may hold spaces, the digest does not.
	i := strings.LastIndexByte(string(response), ' ')
	if i < 0 {
		return nil, false, errSASL
	}
	name, digest := string(response[:i]), string(response[i+1:])
	if a, ok := proved(c.accounts, name); ok {
		c.admit(a)
		return nil, true, nil
	}
	a, password, ok := passwordOf(c.accounts, name)
	if !same(strings.ToLower(digest), cramDigest(c.challenge, password)) || !ok {
		return nil, true, errLogin
	}
	c.admit(a)
	return nil, true, nil
}

func cramDigest(challenge, password string) string {
	mac := hmac.New(md5.New, []byte(password))
	mac.Write([]byte(challenge))
	return hex.EncodeToString(mac.Sum(nil))
}
