// Package mimetree finds the parts of a message (RFC 2045, 2046) by their
// offsets, so that a server can give out any of them octet for octet:
//
//	octets --Parse--> Part -+- Header       octets Start to Body
//	                        +- body         octets Body to End
//	                        +- Parts        of a multipart
//	                        '- Message      of a message/rfc822
//
// A message is read once, in a stream, and never held in memory. Anything at all
// has a tree: messages come from strangers, and a client must be able to fetch
// what is broken, too. Depth, number of parts and the memory for header fields
// are bounded; what is beyond them belongs to the part that it is in.
package mimetree
