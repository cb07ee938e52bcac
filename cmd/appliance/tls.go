package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"postern/internal/config"
	"postern/mailrelay/authority"
	"postern/web"
)

// openTLS opens the box's certificate authority. Its certificate is for every
// name and address under which a mail program finds the box.
func (a *appliance) openTLS() (err error) {
	a.root, err = authority.Open(authority.Config{
		Dir:       filepath.Join(a.cfg.StateDir, "ca"),
		Hostname:  a.cfg.Hostname,
		Aliases:   a.cfg.Aliases,
		Addresses: append([]netip.Addr{a.cfg.PPP.LocalIP}, a.cfg.LAN.Listen...),
		Now:       time.Now,
		Log:       a.log,
	})
	if err != nil {
		return err
	}
	old := authority.OldClients{Certificate: oldCertificate(a.cfg.TLS.OldCertificate)}
	if a.cfg.TLS.OldClients {
		old.Allowed = func(netip.Addr) bool { return true }
	}
	a.tls = a.root.ServerConfig(old)
	return nil
}

func oldCertificate(c config.OldCertificate) authority.OldCertificate {
	if c == config.SHA1 {
		return authority.SHA1RSA1024
	}
	return authority.SHA256RSA2048
}

// rootPage tells how to install the root certificate and gives it.
func (a *appliance) rootPage() (page http.Handler, err error) {
	root := web.Root{PEM: a.root.RootPEM(), DER: a.root.RootDER()}
	if a.cfg.TLS.OldCertificate == config.SHA1 {
		if root.OldDER, err = a.root.OldRootDER(); err != nil {
			return nil, err
		}
	}
	return web.RootPage(a.cfg.Hostname, root)
}

// serveRoot gives callers the root certificate.
func (a *appliance) serveRoot(ctx context.Context, l net.Listener) error {
	page, err := a.rootPage()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return a.serveHTTP(ctx, l, page)
}
