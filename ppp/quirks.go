package ppp

import (
	"slices"
	"strings"
)

// A Quirk is something that a kind of peer does, or cannot bear, and that other peers do not.
type Quirk struct {
	Peer   string // as Session.Peer begins
	Reason string // what it does, and where that is known from
	Manner string // what the engine does about it
	Shown  string // a transcript of testdata/callers, or a test
}

// quirks is what the engine knows of peculiar peers. Nothing hangs on the peer's name: Session.Peer
// goes by the options that a peer sends, and is a guess. Windows 95 without "LCP extensions" sends
// what pppd sends, and to treat it as the other would cost it its encryption. So each manner is
// one that no other peer minds, and is had by all, or it is a setting of Config.
var quirks = [...]Quirk{
	{"Windows", "sends callback in LCP by default (Q143200)",
		"the option is rejected, or CBCP offers to go on without: Config.Callback", "windows-2000-callback"},
	{"Windows", "binds NetBEUI and IPX and waits for an answer (Q130079: Windows 95)",
		"protocols that are not spoken are Protocol-Rejected at once", "windows-95"},
	{"Windows", "answers with the LM response alone (Q237691: Windows 95 as shipped)",
		"judged by CheckLM if the user may have it: Config.AllowLM", "windows-95"},
	{"Windows", "knows stateful encryption only before DUN 1.3 (Q154091)",
		"stateless mode is asked for first and given up: Config.MPPEMode", "windows-95"},
	{"Windows", "begins with MPPC alone where encryption is optional (traces)",
		"encryption is asked for by Nak, three times at most", "windows-98"},
	{"Windows", "code-rejects the Reset-Ack of MPPE (RFC 3078 section 8.2)",
		"a flushed packet is the whole answer", "TestResetRequestIsAnsweredByAFlushedPacketOnly"},
	{"Windows NT", "always asks for multilink (Q161368: NT 4 SP2)",
		"multilink's options are rejected, others are not touched", "windows-nt4"},
	{"Windows NT", "repeats a request before a satellite can have brought the answer, and starts over (Q219353)",
		"a copy of a request gets the same answer and restarts nothing", "windows-nt4"},
	{"Windows NT", "sends IP in clear before CCP is open (traces)",
		"such packets are dropped and counted, the call goes on", "windows-nt4"},
	{"Windows NT", "breaks when LCP is negotiated again (Q176502)",
		"who calls is asked again by CHAP alone: Config.Rechallenge", "windows-nt4"},
	{"Windows NT", "hangs on an Echo-Request of more than 8 octets (Q128977: NT 3.5)",
		"Echo-Requests have 8", "TestEchoRequestsHaveEightOctets"},
	{"Windows XP", "ends CCP with error 732 when it gets no MPPC (traces)",
		"that ends compression and not the call, unless encryption is required", "windows-xp"},
	{"pppd", "requires one strength of MPPE and hangs up on an offer of another",
		"all strengths are offered at once", "TestPPPDWithDeflate"},
	{"pppd", "says \"MPPE disabled\" at the end of every encrypted call",
		"not shown as its reason", "TestPPPDsGoodbyeIsNoReason"},
	{"pppd", "changes the key at each flushed packet in stateful mode, unlike RFC 3078 section 8.2 and Windows",
		"a setting, Config.RekeyOnFlush; pppd's own default is stateless mode, where it is no matter", "TestStatefulRecoversFromEveryLoss"},
	{"pppd", "has room for VJ only if it may send it itself, and Naks other numbers of slots (ppp_generic.c)",
		"the Nak is taken, and VJ is sent only if it is taken too", "TestANakOfVJIsTakenAndVJIsNotSentByWhoDoesNotTakeIt"},
}

// Quirks lists what is known of peers of the kind that this one seems to be. It is for people to
// read.
func (s *Session) Quirks() []Quirk {
	var known []Quirk
	for _, q := range quirks {
		if strings.HasPrefix(s.Peer(), q.Peer) {
			known = append(known, q)
		}
	}
	return known
}

// lcpNames are options that no end of ours takes, in words.
var lcpNames = map[byte]string{
	lcpCallback:          "callback",
	lcpMRRU:              "multilink",
	lcpShortSequence:     "multilink with short sequence numbers",
	lcpEndpoint:          "endpoint discriminator",
	lcpLinkDiscriminator: "bandwidth allocation",
}

// Declined lists in words the LCP options that the peer asked for and did without: "multilink",
// "callback". It is for people to read, beside Peer.
func (s *Session) Declined() []string {
	var words []string
	for _, kind := range s.link.declined {
		if name, ok := lcpNames[kind]; ok && !slices.Contains(words, name) {
			words = append(words, name)
		}
	}
	return words
}
