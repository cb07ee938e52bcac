package mailrelay

import (
	"crypto/rand"

	"github.com/emersion/go-sasl"

	"postern/mailrelay/ntlm"
)

// saslNTLM carries NTLM in AUTH, as [MS-POP3] and [MS-SMTPNTLM] have it. The
// latter answers AUTH NTLM by "334 ntlm supported"; go-smtp sends the empty
// challenge that later versions of these clients, and curl, take as well.
type saslNTLM struct {
	accounts Accounts
	admit    func(Account)
	exchange *ntlm.Exchange
	step     int
}

func newNTLMServer(accounts Accounts, admit func(Account)) sasl.Server {
	var challenge [8]byte
	rand.Read(challenge[:]) // never fails
	return &saslNTLM{accounts: accounts, admit: admit, exchange: ntlm.New("POSTERN", challenge)}
}

func (n *saslNTLM) Next(response []byte) (challenge []byte, done bool, err error) {
	if n.step == 0 && response == nil {
		return []byte{}, false, nil // the client speaks first
	}
	n.step++
	switch n.step {
	case 1:
		challenge, err := n.exchange.Challenge(response)
		return challenge, false, err
	case 2:
		login, err := n.exchange.Authenticate(response)
		if err != nil {
			return nil, false, err
		}
		if a, ok := proved(n.accounts, login.User); ok {
			n.admit(a)
			return nil, true, nil
		}
		a, password, ok := passwordOf(n.accounts, login.User)
		if !login.Check(password) || !ok {
			return nil, true, errLogin
		}
		n.admit(a)
		return nil, true, nil
	}
	return nil, false, errSASL
}
