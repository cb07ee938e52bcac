// Package mailrelay is the mail service of the box: callers fetch from its
// spool and hand mail in to it, and it relays both to and from their providers.
//
//	caller --POP3--> POP3Server <--Lock, Open, Delete--.             .--Deliver-- fetch <--POP3+TLS-- provider
//	                     |                              \           /
//	                  Accounts                        spool.Spool <
//	                     |                              /           \
//	caller --SMTP--> SMTPServer --------------Accept---'             '--Queue--> submit --SMTP+TLS--> provider
//
// The two halves meet only in the spool (package spool), so a caller on a slow
// line never waits for a provider, and a provider that is down never shows to a
// caller. The servers know a net.Listener and nothing of modems or PPP: the link
// encryption of the call is the protection of their clear-text log-ins.
//
// Messages pass octet for octet in both directions; nothing is added to them,
// not even a Received field. Only a bare LF that a caller hands in goes upstream
// as CR LF, since RFC 5321 section 2.3.8 forbids it there.
package mailrelay
