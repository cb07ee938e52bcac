// Package ppp is the protocol engine of a dial-up line: RFC 1661's
// Point-to-Point Protocol with everything an old caller speaks inside it.
// Bytes and time go in, bytes and events come out; it does no I/O, starts no
// goroutine, takes no lock and never looks at a clock.
//
//	wire --Input--> hdlc --> protocol field --+--> LCP, CCP, IPCP, IPV6CP: automaton + layer
//	                                          +--> LQM
//	                                          +--> PAP, CHAP
//	                                          +--> CBCP
//	                                          '--> decrypt, decompress, VJ --> EventPacket
//	wire <--Output-- hdlc <-- encrypt <-- compress <-- VJ <-- SendIP
//	time --Advance--> timers, the earliest of which is Deadline
//
// PPP is symmetric, and so is the engine: Answerer is the box that picks up the
// telephone, Caller is the one that dialled. LCP, CCP, IPCP and IPV6CP are each a
// layer, a small set of decisions about options; one automaton, whose
// table is the RFC's own, does the rest.
//
// Whoever owns a Session calls it like this, from one goroutine:
//
//	s := ppp.New(cfg, now)
//	for every read of the line: s.Input(now, bytes)
//	at s.Deadline():            s.Advance(now)
//	after each of these:        drain s.NextEvent(), write s.Output
//
// Checking a caller may need somebody else, who takes time. EventAuth hands the
// request out, and the session goes on when Authenticate brings the answer; Check makes
// one from a clear password.
package ppp
