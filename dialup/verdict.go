package dialup

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/status"
	"postern/ppp"
)

// Codes of verdicts besides package ppp's.
const (
	codeNoConnect    = "no-connect"     // the modems never trained
	codeServices     = "services-fault" // our side could not serve the call
	codePort         = "port-gone"      // the modem was unplugged
	codeHangup       = "hangup"         // Caller.Close
	codeLoginTimeout = "login-timeout"  // a person never logged in
)

// phase is how far a call has come; a verdict names it.
type phase int

const (
	training phase = iota
	negotiating
	authenticating
	addressing
	online
)

func (p phase) String() string {
	return [...]string{"training", "negotiation", "authentication", "the set-up of IP", "the session"}[p]
}

// outcome is how a carrier's PPP ended.
type outcome struct {
	role     ppp.Role // ours
	reason   ppp.Reason
	phase    phase
	user     string
	login    login
	lasted   time.Duration
	up, down int64 // octets on the line
}

// verdict puts the outcome into one sentence with a side and a code.
func (o outcome) verdict() status.Verdict {
	v := status.Verdict{Side: sideOf(o.reason.Side), Code: o.reason.Code}
	who := o.user
	switch {
	case o.role == ppp.Caller:
		who = "the answering side"
	case who == "":
		who = "the caller"
	}
	when := "during " + o.phase.String()
	if o.phase == online {
		when = "after " + spoken(o.lasted)
	}
	switch o.reason.Code {
	case ppp.CodePeerHangup:
		// The engine's text goes on with what the peer said about it.
		_, said, _ := strings.Cut(o.reason.Text, "hung up")
		v.Text = fmt.Sprintf("%s hung up %s%s", who, when, said)
	case ppp.CodeCarrierLost:
		v.Text = fmt.Sprintf("the line lost its carrier %s", when)
	case ppp.CodeEchoTimeout:
		v.Text = fmt.Sprintf("the line went dead %s: %s", when, o.reason.Text)
	case codeHangup:
		v.Text = fmt.Sprintf("this end hung up %s", when)
	case ppp.CodeIdleLimit, ppp.CodeSessionLimit, ppp.CodeShutdown, ppp.CodeAdmin, codeServices:
		v.Text = fmt.Sprintf("this box ended the call with %s %s: %s", who, when, o.reason.Text)
	case codePort:
		v.Text = fmt.Sprintf("the modem vanished %s: %s", when, o.reason.Text)
	default:
		v.Text = o.reason.Text
	}
	v.Text = sentence(v.Text)
	return v
}

func sideOf(s ppp.Side) status.Side {
	switch s {
	case ppp.Peer:
		return status.Peer
	case ppp.Line:
		return status.Wire
	}
	return status.Us
}

// sentence begins text with a capital letter, unless it begins with a name
// that has its own way (a user's).
func sentence(text string) string {
	for _, start := range []string{"the ", "this ", "no ", "a ", "an "} {
		if strings.HasPrefix(text, start) {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text
}

// spoken writes a duration as a person says it: "42 s", "3 min 12 s", "2 h 5 min".
func spoken(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
}
