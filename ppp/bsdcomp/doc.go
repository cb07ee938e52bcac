// Package bsdcomp makes and reads the packets of PPP BSD Compress (RFC 1977), CCP's option
// 21: the LZW of Unix compress, with a dictionary that lasts from packet to packet.
//
//	protocol + data --Sender.Append--> |sequence| codes of 9 to 15 bits   PPP protocol 0x00fd
//	                         '-------> protocol + data, as they were      (what did not shrink)
//	protocol + data <--Receiver.Open-- |sequence| codes
//	    dictionary  <--Receiver.Native-- protocol + data
//
// Both ends learn from every packet, those in their native form too, and decide by the same
// arithmetic when the dictionary is no good any more and is cleared. A lost packet is noticed by
// the sequence number; the receiver then has a Reset-Request sent and is deaf until the
// Reset-Ack.
//
// Nothing here allocates per packet.
package bsdcomp
