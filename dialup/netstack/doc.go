// Package netstack is the TCP/IP of one call: gVisor's user-space stack behind
// a handful of methods. It is the only importer of gVisor, so that a caller is
// walled off from the box's own network: there is no route, no TUN and no
// kernel PPP, only the listeners that were opened here.
//
//	line --Deliver--> [ Stack: ICMP, UDP, TCP ] --Next--> line
//	                        |            ^
//	                 Listen, ListenPacket, Dial
//
// One Stack per call; its life is the call's, and Close leaves nothing behind.
//
// The TCP is tuned for a telephone line (tune.go): what is sent waits in the
// sender's small buffer, where congestion control sees it, and not in a queue
// in front of the modem; and on a clean line no byte is sent twice.
package netstack
