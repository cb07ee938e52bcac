// Package spool keeps mail on disk between the caller and the provider: what
// waits for a caller (mailboxes) and what a caller handed in (the queue).
//
//	Deliver --> tmp/x --fsync, rename--> mail/<user>/<UID>   --> Maildrop (POP3)
//	                                          |  Delete
//	                                          v
//	                                     mail/<user>/journal --> Deletions, Known --> upstream
//
//	Accept  --> tmp/x --fsync, rename--> queue/<ID>.mail  --> Queue, OpenQueued --> upstream
//	                        Update  -->  queue/<ID>.state       Remove
//	                                     queue/<ID>.sent   <--  Sent
//
// A message is one file: a line of JSON about it, then its octets as they came
// over the wire. It is written and synced under tmp/ and then renamed, so the
// rename is the one instant at which the message and all that is known about
// it begin to exist; there is no second file that could disagree. The journal
// is replaced as a whole in the same manner, so a deletion of many messages
// happens at one instant too: the rename decides it, and unlinking the files is
// mere housekeeping that Open finishes if the power went away.
//
// The name of a queued message holds a part of its fingerprint (user, sender,
// recipients, Message-ID, body). So a client that lost the 250 and sends again
// is recognised while the message waits and, by the file that Sent leaves, for a
// window after it went; without a further write to the disk when it is accepted.
//
// A Folder is the same mailbox for IMAP, with a file of flags beside the messages,
// which is replaced like the journal; mail/<user> is its INBOX and sent/<user> its
// Sent. The arrival numbers that file names begin with are the UIDs.
//
// When a call returns nil, what it did survives a kill and a power cut.
//
// A file that cannot be one of ours, or that the disk cannot read, is moved to
// the folder aside and named in the log: it neither comes back at every start nor
// keeps anybody from the rest.
//
// All files are created and opened in one place (disk.go), which is where
// encryption at rest belongs.
package spool
