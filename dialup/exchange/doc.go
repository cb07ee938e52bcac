// Package exchange is a telephone network in software: Hayes modems with
// numbers, joined by lines that have a rate, a delay and noise. Tests call
// through it under testing/synctest, the demo and emulators in real time.
//
//	Port (DTE) --bytes--> Modem 5550101            Modem 5550100 <--bytes-- Port (DTE)
//	  in process           AT commands              AT commands      TCP (an emulator)
//	  TCP, pty             S-registers              RING, caller ID  pty
//	                           |                        |
//	                           |   call: dial, ring, answer, train, clear
//	                           |                        |
//	                           +---- pump: rate, delay, noise ---->
//	                           <---- pump: rate, delay, noise ----+
//
// One mutex, the Exchange's, guards every modem and call: what happens on a
// telephone network happens to two modems at once. There is no goroutine in
// the core. Bytes have computed due times, a blocked Read or Write sleeps
// until the next of them on its own timer, and what happens by itself (a ring,
// the end of training, a guard time) is a time.AfterFunc. So nothing is left
// over when the last port is closed, and an hour of calls under synctest takes
// no time.
//
// The line is an asynchronous one, as V.14 and every terminal program count
// it: ten bits a byte, start and stop bit included.
package exchange
