// Package mailrelay is the mail service of the box: callers fetch from its
// spool and hand mail in to it, and it relays both to and from their providers.
//
//	caller --POP3--> POP3Server <--Lock, Open, Delete--.             .--Deliver-- fetch <--POP3+TLS-- provider
//	                     |                              \           /
//	                  Accounts                        spool.Spool <
//	                     |                              /           \
//	caller --SMTP--> SMTPServer --------------Accept---'             '--Queue--> submit --SMTP+TLS--> provider
//
// IMAPServer stands beside POP3Server, on spool.Folder and Watch; package mimetree
// finds the parts of the messages that it gives out.
//
// The two halves meet only in the spool (package spool), so a caller on a slow
// line never waits for a provider, and a provider that is down never shows to a
// caller. The servers know a net.Listener and nothing of modems or PPP. They offer
// TLS (package authority has the certificates) and do not demand it: of the
// callers' programs many have none that can be spoken today, and then the link
// encryption of the call is the protection of their clear-text log-ins.
//
// # Exactly once, as far as SMTP can
//
// A client that lost our 250 and sends again is told 250 again, and nothing is
// queued twice (spool.ErrResent). Towards the provider a message goes through
// these states, each on disk before the next begins:
//
//	queued --mark--> in doubt --final dot--> (the provider takes it) --250--> sent
//	   ^                |                                             4xx, 5xx --> queued, bounced
//	   |                '-- no answer, or we died --> waits DoubtDelay --repeat, once
//	   '-- whatever broke before the final dot
//
// RFC 5321 has no way to ask whether a message was taken. So when its answer is
// lost (RFC 1047) the box says "may have been delivered; trying again at …",
// waits, and meanwhile takes a copy that is fetched under the same Message-ID (to
// oneself, from a list, or of the provider's own sent mail) as the answer. Then
// the message is repeated once; nobody's poke hastens it. If that answer is lost
// too there is no third copy: a report in the sender's mailbox says how things
// stand, and he decides. What the box can promise is therefore: no message lost
// without a report, and no more than one copy too many, that only if a connection
// broke in the moment between the final dot and its answer.
//
// Messages pass octet for octet in both directions; nothing is added to them,
// not even a Received field. Only a bare LF that a caller hands in goes upstream
// as CR LF, since RFC 5321 section 2.3.8 forbids it there.
package mailrelay
