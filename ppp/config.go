package ppp

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"postern/ppp/mppe"
)

// Role is which end of the telephone call we are.
type Role int

const (
	Answerer Role = iota // picked up, and asks who is calling
	Caller               // dialled, and says who it is
)

// AuthMethod is a way in which the caller proves who it is.
type AuthMethod int

const (
	PAP      AuthMethod = iota + 1 // RFC 1334: the password in clear
	CHAPMD5                        // RFC 1994
	MSCHAP                         // RFC 2433
	MSCHAPv2                       // RFC 2759
)

func (m AuthMethod) String() string {
	switch m {
	case PAP:
		return "PAP"
	case CHAPMD5:
		return "CHAP-MD5"
	case MSCHAP:
		return "MS-CHAP"
	case MSCHAPv2:
		return "MS-CHAPv2"
	}
	return "none"
}

// Policy says what is thought of link encryption (MPPE).
type Policy int

const (
	EncryptionOff     Policy = iota // never
	EncryptionPrefer                // if the peer can and the authentication yields keys
	EncryptionRequire               // or there is no IP
)

func (p Policy) String() string {
	switch p {
	case EncryptionOff:
		return "off"
	case EncryptionPrefer:
		return "prefer"
	case EncryptionRequire:
		return "require"
	}
	return "unknown policy"
}

// MPPEMode says which of MPPE's modes are allowed.
type MPPEMode int

const (
	AnyMode       MPPEMode = iota // stateless if the peer can, stateful if not
	StatelessOnly                 // as pppd has it by default
	StatefulOnly                  // as Windows 95 before DUN 1.3 has it
)

// Compression is a way to make packets shorter.
type Compression int

const (
	MPPC        Compression = iota + 1 // RFC 2118, Windows'; the only one that goes with MPPE
	Deflate                            // RFC 1979, pppd's
	BSDCompress                        // RFC 1977, likewise
)

func (c Compression) String() string {
	switch c {
	case MPPC:
		return "MPPC"
	case Deflate:
		return "Deflate"
	case BSDCompress:
		return "BSD-Compress"
	}
	return "none"
}

// Config says how to hold one end of a call. It prints without its secrets.
type Config struct {
	Role     Role
	Rand     io.Reader // all randomness: magic numbers and challenges
	Hostname string    // our name in challenges
	Ident    string    // what to call ourselves in LCP Identification (RFC 1570); empty: nothing

	// Tries is how often a caller may type its password in one call, in MS-CHAP and
	// MS-CHAPv2, which can ask for it again; zero is 3.
	Tries int

	// Auth is, for the Answerer, what to ask the caller for, in this order; empty
	// lets anybody in. For the Caller it is what to agree to.
	Auth []AuthMethod

	// AllowLM lets MS-CHAP responses with nothing but the weak LM hash be judged.
	AllowLM bool

	// PasswordChange lets a caller of MS-CHAP whose password has expired (Answer.Code
	// 648) give a new one in the same call.
	PasswordChange bool

	// Callback is what the Answerer offers a caller that asks about callback, in LCP's option
	// 13 or CBCP. Zero rejects the option: Windows then goes on without, and saves a round trip.
	Callback Callback

	// Rechallenge is how often a caller of CHAP must prove itself again; zero is never.
	Rechallenge time.Duration

	Encryption Policy
	MPPE       []mppe.Strength // the strengths allowed; empty: all
	MPPEMode   MPPEMode
	// RekeyOnFlush is mppe.Config's: for peers that take RFC 3078 as Linux does.
	RekeyOnFlush bool

	// LocalIP and PeerIP are, for the Answerer, our address and the one the
	// caller is given. The Caller leaves them zero to take what it is given.
	LocalIP, PeerIP netip.Addr
	DNS             [2]netip.Addr // told to a caller that asks (RFC 1877)
	NBNS            [2]netip.Addr // likewise, Windows' WINS servers

	// IPv6 brings up link-local IPv6 beside IPv4 (RFC 5072): EventIPv6Up names the addresses, and
	// packets of both versions pass. Off, its packets are Protocol-Rejected at once.
	IPv6 bool

	Compression []Compression // what is allowed, the best first; empty: none
	NoVJ        bool          // no VJ header compression (RFC 1144)

	Name, Password string // Caller: who we are

	// EchoInterval is the silence after which an LCP Echo-Request is sent, and
	// again after each further one; EchoFailures of them unanswered mean that the line
	// is dead. Zero values are 3 s and 5: a dead line is noticed after 18 s. A negative
	// interval sends none.
	EchoInterval time.Duration
	EchoFailures int

	// QualityInterval is how often the peer is asked to report what it gets and loses (Link
	// Quality Monitoring, RFC 1989), 1 s to 1 h; zero does not ask. A peer that does not know that
	// is sent an Echo-Request as often. Counts has what they tell. Reports that a peer asks us
	// for it gets in any case.
	QualityInterval time.Duration
	// QualityFailures of the last QualityWindow (at most 64) reports that are missing, or say that
	// more than QualityLoss percent were lost one way, end the call; zero never does.
	QualityFailures, QualityWindow int
	QualityLoss                    float64

	// LineRate is the line's speed in bit/s, each way; zero is unknown, and fast. Below 2,400 or
	// so it counts: at 300 a full frame takes 50 s, longer than a dead line is waited for. What is
	// waited for an answer, and the silence before an Echo-Request, grow by what frames take.
	LineRate int

	// SetupLimit bounds the time until IP is up; zero is 3 minutes.
	SetupLimit time.Duration
}

func (c Config) withDefaults() Config {
	if len(c.MPPE) == 0 {
		c.MPPE = []mppe.Strength{mppe.Bits128, mppe.Bits56, mppe.Bits40}
	}
	if c.EchoInterval == 0 {
		c.EchoInterval = 3 * time.Second
	}
	if c.EchoFailures <= 0 {
		c.EchoFailures = 5
	}
	if c.Tries <= 0 {
		c.Tries = 3
	}
	if c.SetupLimit <= 0 {
		c.SetupLimit = 3 * time.Minute
	}
	return c
}

func (c Config) allows(m AuthMethod) bool {
	for _, a := range c.Auth {
		if a == m {
			return true
		}
	}
	return false
}

// String leaves the password out.
func (c Config) String() string {
	return fmt.Sprintf("ppp.Config{role %d, auth %v, encryption %v, MPPE %v, local %v, peer %v, name %q}",
		int(c.Role), c.Auth, c.Encryption, c.MPPE, c.LocalIP, c.PeerIP, c.Name)
}

// Format implements fmt.Formatter, so that no verb prints the password.
func (c Config) Format(s fmt.State, _ rune) { io.WriteString(s, c.String()) }

// MarshalText keeps the password out of logs, which encode rather than print.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
