package mailrelay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// fault is why a leg to a provider does not work: one sentence for a person
// that says what failed, on whose side, and what to do. It is never the fault
// of a single message.
type fault struct {
	text string
	auth bool  // the provider refused the log-in: trying often locks accounts
	err  error // the cause; may be nil
	// notice is set when the visit went well and a person must know something
	// all the same.
	notice bool
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.err }

// faultOf makes any error of a session with e into a fault; what is not one
// already is trouble of the network under an established connection.
func faultOf(e Endpoint, doing string, err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	switch {
	case errors.Is(err, errReplyTooLong), errors.Is(err, errUpstreamLine), errors.Is(err, errPOP3Syntax), errors.Is(err, errSMTPSyntax), errors.Is(err, errSCRAM):
		return &fault{err: err, text: fmt.Sprintf("%s does not keep to the protocol while %s (%v): the fault is the provider's; the box will try again", e.Address(), doing, err)}
	case isTimeout(err):
		return &fault{err: err, text: fmt.Sprintf("%s stopped answering while %s: the provider is overloaded or the network in between is bad; the box will try again", e.Address(), doing)}
	}
	return &fault{err: err, text: fmt.Sprintf("the connection to %s broke while %s (%v): the provider or the network in between ended it; the box will try again", e.Address(), doing, plainCause(err))}
}

// clockFault is what both legs say while the box does not know the date.
func clockFault(now time.Time) *fault {
	return &fault{text: fmt.Sprintf("this box's clock shows %s, so no certificate can be judged: nothing is sent upstream until the clock is set (check NTP or set the date); calls are answered meanwhile", now.UTC().Format("2006-01-02 15:04"))}
}

func dialFault(ctx context.Context, e Endpoint, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return &fault{err: err, text: fmt.Sprintf("the name %s does not exist in the DNS: check the upstream's address in the configuration", e.Host)}
		}
		return &fault{err: err, text: fmt.Sprintf("the name %s cannot be looked up: this box has no working DNS server; check its network cable and name server", e.Host)}
	}
	if isTimeout(err) {
		return &fault{err: err, text: fmt.Sprintf("%s does not answer: this box's network, a firewall, or the provider's server is down; check the network cable and the port", e.Address())}
	}
	return &fault{err: err, text: fmt.Sprintf("cannot connect to %s (%v): this box's network or the provider's server is down; check the network cable, the address and the port", e.Address(), plainCause(err))}
}

func plainFault(setup context.Context, e Endpoint, err error) error {
	if setup.Err() != nil {
		return setupEnded(setup, e)
	}
	return faultOf(e, "asking for TLS", err)
}

// setupEnded tells the end of the box from a server that was too slow.
func setupEnded(setup context.Context, e Endpoint) error {
	if errors.Is(setup.Err(), context.DeadlineExceeded) {
		return &fault{err: setup.Err(), text: fmt.Sprintf("%s accepted the connection but did not finish setting up TLS within %v: the port may not be the right one for %s, or the provider is overloaded", e.Address(), connectLimit, e)}
	}
	return setup.Err()
}

// tlsFault says why a handshake failed. Whatever it was, no byte of a log-in
// or of mail has been sent.
func tlsFault(setup context.Context, e Endpoint, err error) error {
	if setup.Err() != nil {
		return setupEnded(setup, e)
	}
	at := e.Address()
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		system    x509.SystemRootsError
		record    tls.RecordHeaderError
		pinned    errPinned
	)
	const nothing = "nothing was sent"
	switch {
	case errors.As(err, &authority):
		return &fault{err: err, text: fmt.Sprintf("the certificate of %s is not signed by an authority this box trusts; %s; either somebody in between pretends to be the provider, or the provider has an authority of its own: then set ca_file", at, nothing)}
	case errors.As(err, &name):
		return &fault{err: err, text: fmt.Sprintf("the certificate of %s is for another name (%s); %s; write the name the provider documents in the upstream's address, or tell the provider", at, certificateNames(name.Certificate), nothing)}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c := invalid.Cert
		return &fault{err: err, text: fmt.Sprintf("the certificate of %s is valid from %s to %s and this box's clock does not fall between; %s; check the box's date, else the provider must renew the certificate", at, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly), nothing)}
	case errors.As(err, &invalid):
		return &fault{err: err, text: fmt.Sprintf("the certificate of %s cannot be used (%v); %s; the provider must repair it", at, invalid, nothing)}
	case errors.As(err, &system):
		return &fault{err: err, text: fmt.Sprintf("this box has no list of certificate authorities, so %s cannot be verified; %s; install the system's CA certificates or set ca_file", at, nothing)}
	case errors.As(err, &pinned):
		return &fault{err: err, text: fmt.Sprintf("the certificate of %s has none of the pinned keys (%v); %s; either somebody in between pretends to be the provider, or the provider has a new key: ask there before you pin it", at, pinned, nothing)}
	case errors.As(err, &record):
		return &fault{err: err, text: fmt.Sprintf("%s does not speak TLS at this point; %s; the port may not be the right one for %s", at, nothing, e)}
	case saysOldTLS(err):
		return &fault{err: err, text: fmt.Sprintf("%s offers only TLS older than 1.2, which is broken; %s; the provider must update its server", at, nothing)}
	}
	return &fault{err: err, text: fmt.Sprintf("TLS with %s could not be set up (%v); %s; the provider's server or the network in between is at fault", at, plainCause(err), nothing)}
}

// saysOldTLS knows the words for which crypto/tls has no type: its own for a
// server that chose an old version, and the alert of one that knows no newer.
func saysOldTLS(err error) bool {
	for _, words := range []string{"unsupported protocol version", "unsupported versions", "protocol version not supported"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// certificateNames is what a certificate says it is for, briefly.
func certificateNames(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "none at all"
	}
	return legible(strings.Join(names, ", "), 120)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// plainCause leaves out the addresses and verbs that net puts around the cause.
func plainCause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return legible(strings.TrimPrefix(err.Error(), "tls: "), 200)
}

// legible makes text from a server fit for a log, a lamp legend and a mail
// header: one line, at most max octets, no control characters, valid UTF-8.
func legible(s string, max int) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "…"
}

// withoutSecrets removes the passwords that a server echoes before its words
// are shown to anybody.
func withoutSecrets(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}
