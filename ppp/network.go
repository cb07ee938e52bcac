package ppp

import "time"

// startNetwork begins the network phase: encryption if there is to be any, and IP, which
// waits for it if it must.
func (s *Session) startNetwork() {
	s.phase = phaseNetwork
	if !s.known {
		s.encryption, s.peerIP = s.cfg.Encryption, s.cfg.PeerIP
	}
	s.crypt = &ccpLayer{s: s}
	s.ccp = s.automaton(protoCCP, s.crypt)
	s.net = &ipcpLayer{s: s, local: s.cfg.LocalIP}
	s.ipcp = s.automaton(protoIPCP, s.net)
	s.prepareIPv6()
	offers := s.crypt.prepare(s.encryption)
	if s.encryption == EncryptionRequire && !offers {
		s.end(s.noEncryption(s.noKeys()))
		return
	}
	if offers {
		s.ccp.open()
		s.ccp.on(evUp)
	}
	s.ipcp.open()
	if s.encryption != EncryptionRequire {
		s.ipcp.on(evUp)
		s.startIPv6()
	}
}

func (s *Session) automaton(proto uint16, l layer) automaton {
	return automaton{proto: proto, layer: l, wire: s, pace: &s.pace}
}

// noKeys says why there are no keys to encrypt with.
func (s *Session) noKeys() string {
	switch s.method {
	case MSCHAP, MSCHAPv2:
		return s.method.String() + " yielded no keys for the encryption allowed here"
	case 0:
		return "without MS-CHAP there are no keys for encryption"
	}
	return s.method.String() + " yields no keys for encryption (MS-CHAP does)"
}

// encryptionUp lets the IP packets go that had to wait for it.
func (s *Session) encryptionUp() {
	if s.phase != phaseNetwork || s.ipcp.state != starting {
		return
	}
	s.ipcp.on(evUp)
	if len(s.heldIPCP) > 0 {
		s.ipcp.input(s.heldIPCP)
		s.heldIPCP = s.heldIPCP[:0]
	}
	s.startIPv6()
}

func (s *Session) setupDone() { s.setupBy, s.pace.spoiled = time.Time{}, time.Time{} }

// mppeOverhead is what encryption adds to a packet: MPPE's header and the
// protocol field inside.
const mppeOverhead = 4

// mtu is the longest IP packet that should be sent: the peer's MRU, less what encryption
// would add to it, whether it is up yet or not.
func (s *Session) mtu() int {
	if len(s.crypt.offers) > 0 && s.ccp.state > stopped {
		return s.link.mtu() - mppeOverhead
	}
	return s.link.mtu()
}

// protocolRejected takes the peer's Protocol-Reject.
func (s *Session) protocolRejected(proto uint16) {
	switch {
	case proto == protoLCP:
		s.lcp.on(evRXJMinus)
	case s.auth != nil && proto == s.auth.protocol() && s.phase == phaseAuthenticate:
		s.end(Reason{Peer, CodeAuthRefused, s.them() + " agreed to " + s.method.String() + " and then rejected it"})
	case proto == protoCBCP && s.phase == phaseCallback:
		s.callback.rejected()
	case s.phase != phaseNetwork:
	// The layer sends a Terminate-Request (RFC 1661 section 4.1), which such a peer does not answer:
	// what follows from the end of the layer does not wait for that.
	case proto == protoCCP, proto == protoCompressed:
		if s.ccp.state > starting {
			s.ccp.on(evRXJMinus)
			s.crypt.finished()
		}
	case proto == protoIPv6CP, proto == protoIPv6:
		if s.ipv6cp.state > starting {
			s.ipv6cp.on(evRXJMinus)
		}
	case proto == protoIPCP, proto == protoIP:
		if s.ipcp.state > starting {
			s.ipcp.on(evRXJMinus)
			s.net.finished()
		}
	}
}
