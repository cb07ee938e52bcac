// Package mschap computes what PPP's challenge authentication needs: the
// responses of CHAP with MD5 (RFC 1994), MS-CHAP (RFC 2433) and MS-CHAPv2
// (RFC 2759), and the MPPE keys that the latter two yield (RFC 3079).
//
//	password --NTHash, LMHash--> hash --Response, ResponseV2--> 24 octets
//	                              |
//	                              +--AuthenticatorResponse--> "S=…"
//	                              '--KeysV1, KeysV2--> Keys --> package mppe
//
// Everything but the hashes themselves works on hashes, so a store or a RADIUS
// server that has no clear password serves as well. All functions are pure;
// none keeps a secret.
package mschap
