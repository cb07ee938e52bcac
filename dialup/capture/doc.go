// Package capture keeps and shows what passed on the line during a call, without its
// secrets.
//
//	                .--> deframe --> blank --> blocks in memory --Write, Save--> pcapng
//	wire bytes -----|                         (Tap, of a Recorder)
//	(Tee)           '--> deframe --> blank --> one line a packet --> Feed --> watchers
//	                                          (Trace)
//
// A Recorder is the box's flight recorder: the last calls' frames, bounded in number
// and octets, as pcapng files of link type 204 that Wireshark opens. A Trace is what a
// technician reads while the call goes on; Print gives the same lines from a file.
//
// Blanking cuts and fills. What is secret up to the end of its frame, such as TCP's
// data, is cut off, as a short snap length would; the length it had stays in the
// record. What has something to keep behind it, such as a password in front of a
// name, is filled with zeros. Wireshark then speaks of a limited capture, never of a
// malformed packet.
//
// Nothing here blocks, starts a goroutine or can fail a call: what cannot be decoded is
// left out and counted.
package capture
