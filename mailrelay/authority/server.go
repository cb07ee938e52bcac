package authority

import (
	"crypto/tls"
	"net/netip"
	"slices"
)

// OldCertificate is what clients of TLS 1.1 and older are shown.
type OldCertificate int

// The certificates.
const (
	SHA256RSA2048 OldCertificate = iota // Windows XP SP3 and later
	SHA1RSA1024                         // what is older, and small controllers
)

// OldClients says who is served as the years before TLS 1.2 had it. The zero
// value is nobody.
type OldClients struct {
	// Allowed is asked with the client's address; nil allows nobody.
	Allowed     func(netip.Addr) bool
	Certificate OldCertificate
}

// oldSuites are all that Go can do, the weak ones included. Go prefers the
// better of what a client offers whatever the order here. RC4-MD5, DES and the
// export suites it does not have.
func oldSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA,
		tls.TLS_RSA_WITH_RC4_128_SHA,
	}
}

// ServerConfig is TLS as the box's servers speak it: 1.2 and newer with Go's
// suites; for old clients, where allowed, from 1.0 on with RSA key exchange,
// 3DES and RC4 as well.
//
// All is said in fields of tls.Config: the GODEBUG switches for the same go
// away in Go 1.27.
func (a *Authority) ServerConfig(old OldClients) *tls.Config {
	modern := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: a.modernCertificate,
	}
	oldest := &tls.Config{
		MinVersion:   tls.VersionTLS10,
		CipherSuites: oldSuites(),
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if newest(hello) >= tls.VersionTLS12 {
				return a.modernCertificate(hello)
			}
			// Not the elliptic curves: of those years' clients few have them.
			if old.Certificate == SHA1RSA1024 {
				return a.server(oldKind)
			}
			return a.server(rsaKind)
		},
	}
	modern.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		from := addressOf(hello)
		if old.Allowed != nil && old.Allowed(from) {
			return oldest, nil
		}
		if best := newest(hello); best < tls.VersionTLS12 {
			a.cfg.Log.Warn("a mail program's TLS is too old, and from there old clients are not allowed", "from", from, "speaks", tls.VersionName(best))
		}
		return nil, nil // modern
	}
	return modern
}

// modernCertificate is the smallest that the client understands.
func (a *Authority) modernCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := a.server(ecKind)
	if err == nil && hello.SupportsCertificate(c) != nil {
		return a.server(rsaKind)
	}
	return c, err
}

// newest is the newest version that the client speaks; 0x0300, SSL 3.0, stands
// for all that is older than TLS.
func newest(hello *tls.ClientHelloInfo) uint16 {
	return slices.Max(append([]uint16{0x0300}, hello.SupportedVersions...))
}

func addressOf(hello *tls.ClientHelloInfo) netip.Addr {
	if hello.Conn == nil {
		return netip.Addr{}
	}
	from, err := netip.ParseAddrPort(hello.Conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}
