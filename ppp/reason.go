package ppp

// Side is where the end of a session began.
type Side int

const (
	Us   Side = iota + 1 // this end
	Peer                 // the other end
	Line                 // what lies between the two
)

func (s Side) String() string {
	switch s {
	case Us:
		return "us"
	case Peer:
		return "peer"
	case Line:
		return "line"
	}
	return "nobody"
}

// Reason says why a session ended: whose side it began on, a stable code for
// programs and one sentence for people. The zero Reason is none.
type Reason struct {
	Side Side
	Code string // one of the Code constants, or what was handed to Close
	Text string
}

func (r Reason) String() string { return r.Text }

// IsZero reports whether r says nothing.
func (r Reason) IsZero() bool { return r == Reason{} }

// The codes of the engine's own Reasons. Owners of a Session may hand further
// ones to Close, such as CodeIdleLimit.
const (
	CodePeerHangup         = "peer-hangup"         // the peer ended the session in order
	CodeAuthFailed         = "auth-failed"         // name or password refused
	CodeAuthRefused        = "auth-refused"        // no authentication that both sides allow
	CodeAuthTimeout        = "auth-timeout"        // authentication began and never ended
	CodeCallback           = "callback"            // the caller is to be called back
	CodeCallbackFailed     = "callback-failed"     // no callback that both sides allow
	CodeServerNotVerified  = "server-not-verified" // MS-CHAPv2: the answering side does not know the password
	CodeEncryptionRequired = "encryption-required" // no encryption that both sides allow
	CodeEncryptionBroken   = "encryption-broken"   // encrypted packets that nobody can read
	CodeLCPTimeout         = "lcp-timeout"         // the peer never answered PPP
	CodeLCPFailed          = "lcp-failed"          // LCP did not converge or was refused
	CodeIPCPFailed         = "ipcp-failed"         // no IP addresses that both sides allow
	CodeSetupTimeout       = "setup-timeout"       // IP was not up after Config.SetupLimit
	CodeEchoTimeout        = "echo-timeout"        // the line is dead
	CodeQuality            = "quality"             // reports say that the line is too bad
	CodeLoopback           = "loopback"            // our own packets come back
	CodeCarrierLost        = "carrier-lost"        // for Close: the modem says the call is gone
	CodeAdmin              = "admin"               // for Close: a person ended the call
	CodeIdleLimit          = "idle-limit"          // for Close
	CodeSessionLimit       = "session-limit"       // for Close
	CodeShutdown           = "shutdown"            // for Close: the box is going down
	CodeNoRandomness       = "no-randomness"       // Config.Rand failed
)
