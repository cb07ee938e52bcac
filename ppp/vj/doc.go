// Package vj compresses the TCP/IP headers of a slow line: RFC 1144, Van
// Jacobson.
//
//	IP packet --Compressor--> IP | UncompressedTCP | CompressedTCP --> line
//	                                (0021)  (002f)           (002d)
//	IP packet <--Decompressor-- the same three <--------------------- line
//
// Both ends keep the last header of each TCP connection in a numbered slot. A
// compressed packet carries what changed since, mostly 3 to 5 octets in the place of
// 40. A packet lost on the line leaves the slots out of step; the TCP checksum,
// which travels whole, has the receiving TCP drop what comes out wrong, and the
// retransmission, which does not compress, brings the slot back into step.
//
// Nothing here allocates per packet.
package vj
