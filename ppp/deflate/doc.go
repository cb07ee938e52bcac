// Package deflate makes and reads the packets of PPP Deflate (RFC 1979), CCP's option
// 26 and, as pppd also offers it, 24.
//
//	protocol + data --Sender.Append--> |sequence| deflate blocks          PPP protocol 0x00fd
//	                         '-------> protocol + data, as they were      (what did not shrink)
//	protocol + data <--Receiver.Open-- |sequence| deflate blocks
//	     history    <--Receiver.Native-- protocol + data
//
// One deflate stream runs over all packets of a direction, those in their native form
// too. A lost one is noticed by the sequence number; the receiver then has a
// Reset-Request sent and is deaf until the Reset-Ack.
//
// Sending is the standard library's compress/flate. Receiving is our own inflate: a
// flate.Reader cannot pause at the end of a packet and go on with the next, allocates for its
// tables, and has no bound on what it gives.
package deflate
