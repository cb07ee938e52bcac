// Package dialup keeps telephone lines: it answers a modem, carries one PPP
// call after another between the line and a TCP/IP stack of the call's own,
// and says in one sentence how each call ended. The same loop dials out.
//
//	Port <- wire: reader, writer -> +---------------- carry ----------------+
//	                                | one select loop a call                |
//	  modem: AT dialogue  --CONNECT-+-> ppp.Session  <- packets -> Stack ---+-> Services
//	  (init, RING, ATA, hang up)    |   carrierWatch, limits, byte counts   |   DNS
//	                                +------------- status.Event, Verdict ---+
//
// Line.Run is an appliance's line, for ever: absent, starting, ready, ringing,
// training, a call, hanging up. Caller is the other end, for self-tests and
// the demo. Everything that a call starts is joined before the modem is made
// ready for the next one. What outlives a call is the Pool, and in Methods how
// callers want to log in.
package dialup
