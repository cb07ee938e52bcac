package mailrelay

import "net"

// scriptedConn is scripted with an address and an end.
type scriptedConn struct{ scripted }

func (*scriptedConn) Close() error         { return nil }
func (*scriptedConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (*scriptedConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }
