// Package status is what the box knows about itself right now, in one model
// that every face (web page, lamps, serial console) shows in the same words.
//
//	dialup ----.                          .--> web panel
//	            Event --> Board.Post      |--> lamps
//	mailrelay -'            |  apply      |--> serial console
//	                        v             |
//	                     Snapshot --Watch-'
//
// Event is a closed set (events.go); each event changes a Snapshot by a pure
// apply. Counters in a Snapshot only grow, so a watcher that missed some
// snapshots still sees that something happened from the difference.
// The package does no I/O and knows nobody else of ours.
package status
