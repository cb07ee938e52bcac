package mailrelay

import "crypto/tls"

// mayStartTLS tells whether STLS is to be offered.
func (p *pop3Session) mayStartTLS() bool {
	_, already := p.conn.(*tls.Conn)
	return p.server.TLS != nil && !already
}

// stls is RFC 2595 section 4. What came behind the command in the clear was put
// there by somebody on the way, and must not count as said by the client under
// TLS (CVE-2011-0411): it is dropped, and so is what the client said before.
func (p *pop3Session) stls() error {
	if !p.mayStartTLS() {
		return p.senseless("TLS cannot be started here")
	}
	p.ok("begin TLS")
	if err := p.w.Flush(); err != nil {
		return err
	}
	conn := tls.Server(p.conn, p.server.TLS)
	if err := handshake(p.ctx, conn); err != nil {
		return err
	}
	p.conn = conn
	p.r.Reset(conn)
	p.w.Reset(conn)
	p.user = ""
	return nil
}

// utf8 is RFC 6856 section 2. Names, passwords and messages pass as octets, so
// that nothing changes with it. A message with UTF-8 in its header is not put
// into a surrogate for clients that have not asked (section 4): it would not be
// the message any more, and its signature broken. They show the letters wrong.
func (p *pop3Session) utf8() error {
	return p.ok("UTF-8 it is")
}
