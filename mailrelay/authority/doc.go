// Package authority is the box's own certificate authority. No public one
// certifies mail.postern.lan or 10.64.64.1, so the box has a root of its own,
// which a person installs once on the PCs that call, and issues the certificate
// of its mail servers under it.
//
//	dir/root.pem          made once, kept for ever: RSA 2048, SHA-256
//	  |-- server-ec.pem   ECDSA P-256, SHA-256: the fewest octets on a slow line
//	  |-- server-rsa.pem  RSA 2048, SHA-256: for clients without elliptic curves
//	  '-- server-old.pem  RSA 1024, SHA-1: only if set so, for TLS 1.1 and older
//
// Each file holds the certificate and its key (PEM, mode 0600) and is replaced
// as a whole. The root cannot be renewed without a walk to every PC, and so it
// lasts as long as old clients can count, and a damaged one is an error, not
// made anew. Server certificates are reissued under the same key when they near
// their end or when the names change.
//
// The box's clock may show 1970 and that of an old PC 1980. Certificates made by
// an implausible clock are therefore valid from 1980 to 2049, and made again in
// the form that today's clients demand when the clock is set.
package authority
