// Package mppc is the codec of Microsoft Point-to-Point Compression (RFC 2118):
// LZ77 over a history of 8,192 octets that both ends keep.
//
//	packet --Compressor.Append--> bits A B C + data --Decompressor.Append--> packet
//	             |                                            |
//	        history (8192)  ........ the same ........  history (8192)
//
// The header that carries the bits, its coherency count, the Reset-Requests and
// the encryption that goes over it are in package mppe, which is CCP's option 18 whole.
//
// Nothing here allocates per packet.
package mppc
