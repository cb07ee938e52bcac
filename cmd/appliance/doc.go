// Command appliance is Postern: it answers modem lines, speaks PPP, gives the
// caller POP3 and SMTP from its own spool, and relays that mail over TLS.
//
//	serve   the box itself              check   is this configuration right?
//	demo    a whole call, no hardware   version
//	dial    call somebody, as a PC does     exchange  a telephone network
//	selftest  have the configured box called
//
// This is the only place that knows all rooms. It turns the configuration into
// their settings, opens their ports, and joins them:
//
//	dialup.Line --Authenticate--> users      (callers.go)
//	            --Open----------> mail       (services.go)
//	mailrelay.Upstream <--spool--> mail      (appliance.go)
//	every room --status.Event--> status.Board --> web
package main
