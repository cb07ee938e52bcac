// Package mppe encrypts and decrypts the packets of Microsoft Point-to-Point
// Encryption (RFC 3078): CCP option 18.
//
//	protocol + data --Sender.Append--> |A B C D count| RC4(protocol + data)
//	                                              PPP protocol 0x00fd
//	protocol + data <--Receiver.Open-- |A B C D count| RC4(protocol + data)
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
