// Package mppe makes and reads the packets of CCP's option 18: Microsoft
// Point-to-Point Encryption (RFC 3078), Microsoft Point-to-Point Compression (RFC 2118), or
// the one over the other.
//
//	protocol + data --Sender.Append--> |A B C D count| RC4(MPPC(protocol + data))
//	                                              PPP protocol 0x00fd
//	protocol + data <--Receiver.Open-- |A B C D count| RC4(MPPC(protocol + data))
//
// Each direction has a start key (package mschap derives them), a session key
// that is replaced as the 12-bit coherency count moves, and RC4 tables. In stateless
// mode the key is replaced at each packet, and a lost packet costs nothing but itself. In
// stateful mode it is replaced every 256 packets and the tables run on from packet to
// packet: a lost one leaves the receiver deaf until its CCP Reset-Request has been
// answered by a packet with the FLUSHED bit. There is no Reset-Ack in MPPE, and
// Windows code-rejects one.
//
// Nothing here allocates per packet.
package mppe
