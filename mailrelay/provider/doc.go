// Package provider is a mail provider in one process: POP3 and SMTP over TLS
// under an authority of its own, with mailboxes in memory. The demo relays its
// mail through it, and tests make it misbehave.
//
//	AddMessage --> mailbox --POP3 (STLS or TLS)--> the box
//	Received   <-- list   <--SMTP (STARTTLS or TLS)-- the box
//	SetFaults  --> what goes wrong: certificate, TLS, log-in, replies, drops
package provider
