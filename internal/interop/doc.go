// Package interop is the tests in which Postern meets strangers: programs that
// others wrote, unmodified, on both of its sides.
//
//	QEMU guest (Debian's kernel)      this machine
//	+---------------------------+     +--------------------------------------+
//	| curl -- pppd -- chat -- tty --> emulated modem == telephone == modem   |
//	+---------------------------+     | network (dialup/exchange)       |    |
//	                                  |                    tcp:// line  |    |
//	                                  |   Dovecot <--TLS--  appliance <-'    |
//	                                  |   Exim    <--TLS--  (the binary)     |
//	                                  +--------------------------------------+
//
// It has no code of its own, only tests, and those are built with the tag
// "interop" because they need Debian packages and minutes:
//
//	internal/interop/prepare && go test -tags interop -parallel 3 ./internal/interop/...
//
// prepare installs what is in packages.txt when it may and builds the guest.
// A test whose peer is missing fails; leaving the tests out is the caller's
// decision, made by not naming the tag. A guest mostly waits, for the timers of
// PPP and of modems, so that three at a time suit two cores.
package interop
