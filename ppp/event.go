package ppp

import (
	"fmt"
	"io"
	"net/netip"

	"postern/ppp/mschap"
)

// EventKind says what an Event tells, and which of its fields count.
type EventKind int

const (
	NoEvent            EventKind = iota // nothing waits
	EventLinkUp                         // LCP is up; the log-in begins, if there is to be one
	EventAuth                           // Auth is to be judged: call Authenticate with the answer
	EventAuthenticated                  // the caller has proved who it is: Auth.Name, Auth.Method
	EventCallback                       // the caller is to be called back as Callback says; EventEnded follows
	EventEncrypted                      // Encryption protects the line; empty: no longer
	EventCompressed                     // Compression shortens the packets; empty: no longer
	EventIPUp                           // Local, Peer, DNS and MTU are agreed on
	EventIPDown                         // no longer: SendIP refuses until the next EventIPUp
	EventIPv6Up                         // Local, Peer (link-local) and MTU are agreed on
	EventIPv6Down                       // no longer
	EventPacket                         // Packet has come
	EventEnded                          // Reason says why; nothing follows but Output, see Session
)

func (k EventKind) String() string {
	switch k {
	case NoEvent:
		return "none"
	case EventLinkUp:
		return "link-up"
	case EventAuth:
		return "auth"
	case EventAuthenticated:
		return "authenticated"
	case EventCallback:
		return "callback"
	case EventEncrypted:
		return "encrypted"
	case EventCompressed:
		return "compressed"
	case EventIPUp:
		return "ip-up"
	case EventIPDown:
		return "ip-down"
	case EventIPv6Up:
		return "ipv6-up"
	case EventIPv6Down:
		return "ipv6-down"
	case EventPacket:
		return "packet"
	case EventEnded:
		return "ended"
	}
	return "unknown event"
}

// Event is something that a Session has to tell its owner.
type Event struct {
	Kind        EventKind
	Packet      []byte // an IP packet, valid until the next Input
	Auth        AuthRequest
	Encryption  string // in words: "MPPE 128 bit, stateless"
	Compression string // in words: "MPPC"
	Local, Peer netip.Addr
	DNS         [2]netip.Addr // Caller: what the answering side named
	MTU         int           // the longest IP packet that the peer takes, in octets
	Reason      Reason
	Callback    CallbackRequest
}

// AuthRequest is what a caller gave to prove who it is: all that a password file or a
// RADIUS server needs to judge it. It prints without its secrets.
type AuthRequest struct {
	Method AuthMethod
	Name   string // as it came, perhaps DOMAIN\user

	Password string // PAP only

	// CHAP: the packet's identifier, the challenge we sent (16 octets, MS-CHAP 8)
	// and the response value that came (16 octets, MS-CHAP and MS-CHAPv2 49).
	ID        byte
	Challenge []byte
	Response  []byte

	// Change, if not nil, is a new password under the old one: see NewPassword. The
	// response is then made with the new password.
	Change *PasswordChange
}

// OnlyLM reports whether an MS-CHAP response is to be judged by its LM part, which Check
// does not do (see CheckLM).
func (r AuthRequest) OnlyLM() bool {
	v, ok := parseV1(r)
	return ok && r.Method == MSCHAP && !v.useNT
}

// String leaves out all that helps to guess a password.
func (r AuthRequest) String() string { return fmt.Sprintf("%v request of %q", r.Method, r.Name) }

// Format implements fmt.Formatter, so that no verb prints a secret.
func (r AuthRequest) Format(s fmt.State, _ rune) { io.WriteString(s, r.String()) }

// MarshalText keeps secrets out of logs, which encode rather than print.
func (r AuthRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Answer is the judgement on an AuthRequest.
type Answer struct {
	OK bool

	// Code says why not, as a RAS error: 646 hours, 647 account disabled, 648
	// password expired, 649 no dial-in permission, 691 wrong name or password
	// (also 0).
	Code    int
	Message string // for the caller's screen; may be empty

	AuthenticatorResponse string      // MS-CHAPv2: the "S=…" that proves our side
	Keys                  mschap.Keys // MS-CHAP and MS-CHAPv2: for MPPE

	Encryption *Policy    // for this user; nil: Config.Encryption
	PeerIP     netip.Addr // for this user; zero: Config.PeerIP
	Callback   Callback   // for this user, if Config.Callback is not zero; zero: Config.Callback
}
