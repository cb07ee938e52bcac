// Package hw is the box's hardware as the kernel shows it: today the ports
// that modems hang on.
//
//	        +-- tarm/serial: speed, raw mode, reads ------.
//	Serial -+                                              +-- /dev/ttyUSB0 -- modem
//	        +-- second descriptor: DTR, DCD, RTS/CTS, ----'
//	            lock, flush, writes that a close can end
//
//	TCP ------- a socket with small buffers --- modem server or emulator
//
// Modem lines belong to the device and not to a descriptor, so a second one
// reaches what tarm/serial has no call for. Linux only.
package hw
