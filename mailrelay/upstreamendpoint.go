package mailrelay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"postern/internal/status"
)

// Endpoint is one server of a provider: where it is and how TLS is begun
// there. There is no form without TLS. The zero Endpoint means "none".
type Endpoint struct {
	Direction status.Direction // Fetch is POP3 (RFC 1939), Submit is SMTP (RFC 6409)
	Host      string           // a DNS name or an IP address; the certificate must carry it
	Port      uint16
	StartTLS  bool // STLS (RFC 2595) or STARTTLS (RFC 3207); else TLS from the first byte (RFC 8314)
}

// schemes are the URL forms of an Endpoint; Port is the default of RFC 8314
// section 3, and of RFC 1939 and RFC 6409 for the forms that begin in clear.
var schemes = map[string]Endpoint{
	"pop3s":         {Direction: status.Fetch, Port: 995},
	"pop3+starttls": {Direction: status.Fetch, Port: 110, StartTLS: true},
	"smtps":         {Direction: status.Submit, Port: 465},
	"smtp+starttls": {Direction: status.Submit, Port: 587, StartTLS: true},
}

// ParseEndpoint reads pop3s://host:port, pop3+starttls://host:port,
// smtps://host:port or smtp+starttls://host:port. The port may be left out.
// The error says what to write instead and never repeats a password that
// somebody put into the URL.
func ParseEndpoint(s string) (Endpoint, error) {
	if strings.Contains(s, "@") {
		return Endpoint{}, errors.New("a server address holds no user name or password: write them as username and password of the upstream")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("%q is not a server address: write pop3s://host:port or smtps://host:port", s)
	}
	e, ok := schemes[strings.ToLower(scheme)]
	if !ok {
		return Endpoint{}, fmt.Errorf("%q: %s", s, schemeAdvice(strings.ToLower(scheme)))
	}
	u, err := url.Parse("//" + rest)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is not a server address: write %s://host:port", s, scheme)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return Endpoint{}, fmt.Errorf("%q: nothing may follow the port: write %s://%s", s, scheme, u.Host)
	}
	e.Host = u.Hostname()
	if !plausibleHost(e.Host) {
		return Endpoint{}, fmt.Errorf("%q has no usable host name: write %s://host:port", s, scheme)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return Endpoint{}, fmt.Errorf("%q: port %s is not between 1 and 65535", s, p)
		}
		e.Port = uint16(n)
	}
	return e, nil
}

func schemeAdvice(scheme string) string {
	switch scheme {
	case "pop3", "pop":
		return "this would send the password in the clear: write pop3s:// or pop3+starttls://"
	case "smtp":
		return "this would send the password in the clear: write smtps:// or smtp+starttls://"
	}
	return "the forms are pop3s://, pop3+starttls://, smtps:// and smtp+starttls://"
}

// plausibleHost admits IP addresses and the letters of DNS names (an
// international name is written in its xn-- form); whether the name exists is
// for the resolver to say.
func plausibleHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == ""
	}
	return h != "" && len(h) <= 253 && !strings.ContainsFunc(h, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	})
}

// Address is host:port as net.Dial takes it.
func (e Endpoint) Address() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// IsZero says that there is no such server.
func (e Endpoint) IsZero() bool { return e.Host == "" }

// String is the URL form, with the port.
func (e Endpoint) String() string {
	if e.IsZero() {
		return ""
	}
	for scheme, d := range schemes {
		if d.Direction == e.Direction && d.StartTLS == e.StartTLS {
			return scheme + "://" + e.Address()
		}
	}
	return e.Address()
}
