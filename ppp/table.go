package ppp

// state is a state of RFC 1661 section 4.2, with the RFC's number.
type state uint8

const (
	initial state = iota
	starting
	closed
	stopped
	closing
	stopping
	reqSent
	ackRcvd
	ackSent
	opened
	illegal // the dash in the RFC's table: the event cannot happen here
)

func (s state) String() string {
	return [...]string{"Initial", "Starting", "Closed", "Stopped", "Closing", "Stopping",
		"Req-Sent", "Ack-Rcvd", "Ack-Sent", "Opened", "-"}[s]
}

// event is an event of RFC 1661 section 4.3, in the order of the table's rows.
type event uint8

const (
	evUp event = iota
	evDown
	evOpen
	evClose
	evTOPlus
	evTOMinus
	evRCRPlus
	evRCRMinus
	evRCA
	evRCN
	evRTR
	evRTA
	evRUC
	evRXJPlus
	evRXJMinus
	evRXR
	numEvents
)

// action is a set of the actions of RFC 1661 section 4.4. The bits are in the
// one order in which the automaton carries them out: first what tells the
// upper layers that the ground is gone, then counters, then packets, and last
// what lets the upper layers go on (they may send, or close this very layer).
type action uint16

const (
	tld      action = 1 << iota // This-Layer-Down
	irc                         // Initialize-Restart-Count
	zrc                         // Zero-Restart-Count
	scr                         // Send-Configure-Request
	sca                         // Send-Configure-Ack
	scn                         // Send-Configure-Nak/Rej
	str                         // Send-Terminate-Request
	sta                         // Send-Terminate-Ack
	scj                         // Send-Code-Reject
	ser                         // Send-Echo-Reply
	tls                         // This-Layer-Started
	tlu                         // This-Layer-Up
	tlf                         // This-Layer-Finished
	noAction action = 0
)

// cell is one cell of the table: what to do, and where it leads.
type cell struct {
	do   action
	next state
}

var no = cell{next: illegal}

// transitions is the State Transition Table of RFC 1661 section 4.1. The
// options of its footnotes are not taken: no restart of an opened layer by
// Open (r), no passive start (p); crossed connections (x) need no care because
// a reply to no outstanding request is dropped before it becomes an event.
var transitions = [numEvents][10]cell{
	//            Initial        Starting        Closed          Stopped                Closing       Stopping       Req-Sent         Ack-Rcvd         Ack-Sent         Opened
	evUp:       {{0, closed}, {irc | scr, reqSent}, no, no, no, no, no, no, no, no},
	evDown:     {no, no, {0, initial}, {tls, starting}, {0, initial}, {0, starting}, {0, starting}, {0, starting}, {0, starting}, {tld, starting}},
	evOpen:     {{tls, starting}, {0, starting}, {irc | scr, reqSent}, {0, stopped}, {0, stopping}, {0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {0, opened}},
	evClose:    {{0, initial}, {tlf, initial}, {0, closed}, {0, closed}, {0, closing}, {0, closing}, {irc | str, closing}, {irc | str, closing}, {irc | str, closing}, {tld | irc | str, closing}},
	evTOPlus:   {no, no, no, no, {str, closing}, {str, stopping}, {scr, reqSent}, {scr, reqSent}, {scr, ackSent}, no},
	evTOMinus:  {no, no, no, no, {tlf, closed}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, no},
	evRCRPlus:  {no, no, {sta, closed}, {irc | scr | sca, ackSent}, {0, closing}, {0, stopping}, {sca, ackSent}, {sca | tlu, opened}, {sca, ackSent}, {tld | scr | sca, ackSent}},
	evRCRMinus: {no, no, {sta, closed}, {irc | scr | scn, reqSent}, {0, closing}, {0, stopping}, {scn, reqSent}, {scn, ackRcvd}, {scn, reqSent}, {tld | scr | scn, reqSent}},
	evRCA:      {no, no, {sta, closed}, {sta, stopped}, {0, closing}, {0, stopping}, {irc, ackRcvd}, {scr, reqSent}, {irc | tlu, opened}, {tld | scr, reqSent}},
	evRCN:      {no, no, {sta, closed}, {sta, stopped}, {0, closing}, {0, stopping}, {irc | scr, reqSent}, {scr, reqSent}, {irc | scr, ackSent}, {tld | scr, reqSent}},
	evRTR:      {no, no, {sta, closed}, {sta, stopped}, {sta, closing}, {sta, stopping}, {sta, reqSent}, {sta, reqSent}, {sta, reqSent}, {tld | zrc | sta, stopping}},
	evRTA:      {no, no, {0, closed}, {0, stopped}, {tlf, closed}, {tlf, stopped}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {tld | scr, reqSent}},
	evRUC:      {no, no, {scj, closed}, {scj, stopped}, {scj, closing}, {scj, stopping}, {scj, reqSent}, {scj, ackRcvd}, {scj, ackSent}, {scj, opened}},
	evRXJPlus:  {no, no, {0, closed}, {0, stopped}, {0, closing}, {0, stopping}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {0, opened}},
	evRXJMinus: {no, no, {tlf, closed}, {tlf, stopped}, {tlf, closed}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tld | irc | str, stopping}},
	evRXR:      {no, no, {0, closed}, {0, stopped}, {0, closing}, {0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {ser, opened}},
}
