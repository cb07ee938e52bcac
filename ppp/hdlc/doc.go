// Package hdlc frames PPP packets for an asynchronous line: RFC 1662's
// octet-stuffed HDLC-like framing with the 16-bit FCS.
//
//	packet --AppendFrame--> 7e | escaped(header payload FCS) | 7e --> line
//	packet <--Next-- Deframer <------------- any cut of those bytes <-- line
//
// It knows nothing of what is in a packet: address, control and protocol
// fields are the caller's, handed in as the header and found at the front of
// a received frame. Nothing here allocates per frame, and a Deframer's
// memory is bounded whatever arrives.
package hdlc
