package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"postern/internal/config"
	"postern/mailrelay"
	"postern/ppp"
	"postern/ppp/mppe"
)

// pppConfig is what every call's PPP is held to.
func pppConfig(cfg *config.Config, random io.Reader) ppp.Config {
	c := ppp.Config{
		Rand:           random,
		Hostname:       cfg.Hostname,
		Encryption:     pppPolicy(cfg.PPP.Encryption),
		PasswordChange: cfg.PPP.PasswordChange,
		AllowLM:        slices.ContainsFunc(cfg.Users, func(u config.User) bool { return u.LM }),
		LocalIP:        cfg.PPP.LocalIP,

		Ident:       "Postern",
		MPPEMode:    pppMode(cfg.PPP.MPPEMode),
		NoVJ:        !cfg.PPP.VJ,
		Tries:       cfg.PPP.Tries,
		Rechallenge: time.Duration(cfg.PPP.Rechallenge),
	}
	copy(c.NBNS[:], cfg.PPP.WINS)
	c.IPv6 = cfg.PPP.IPv6
	c.QualityInterval = time.Duration(cfg.PPP.QualityInterval)
	if cfg.PPP.Callback {
		c.Callback = ppp.CallbackNone
	}
	for _, z := range cfg.PPP.Compression {
		c.Compression = append(c.Compression, pppCompression(z))
	}
	for _, m := range cfg.PPP.Auth {
		c.Auth = append(c.Auth, pppMethod(m))
	}
	for _, bits := range cfg.PPP.MPPE {
		c.MPPE = append(c.MPPE, pppStrength(bits))
	}
	return c
}

func pppMethod(m config.AuthMethod) ppp.AuthMethod {
	switch m {
	case config.MSCHAPv2:
		return ppp.MSCHAPv2
	case config.MSCHAP:
		return ppp.MSCHAP
	case config.CHAP:
		return ppp.CHAPMD5
	}
	return ppp.PAP
}

func pppMode(m config.MPPEMode) ppp.MPPEMode {
	switch m {
	case config.MPPEStateless:
		return ppp.StatelessOnly
	case config.MPPEStateful:
		return ppp.StatefulOnly
	}
	return ppp.AnyMode
}

func pppCompression(c config.Compression) ppp.Compression {
	switch c {
	case config.Deflate:
		return ppp.Deflate
	case config.BSDCompress:
		return ppp.BSDCompress
	}
	return ppp.MPPC
}

func pppStrength(m config.MPPE) mppe.Strength {
	switch m {
	case config.MPPE40:
		return mppe.Bits40
	case config.MPPE56:
		return mppe.Bits56
	}
	return mppe.Bits128
}

// upstreamAccounts are the users' accounts at their providers.
func upstreamAccounts(cfg *config.Config) ([]mailrelay.UpstreamAccount, error) {
	var accounts []mailrelay.UpstreamAccount
	var faults config.Faults
	for _, up := range cfg.Upstreams {
		fetch, err := mailrelay.ParseEndpoint(up.Fetch)
		if err != nil && up.Fetch != "" { // of a missing one package config tells
			faults = append(faults, fmt.Errorf("[[upstream]] %q: fetch: %w", up.Name, err))
		}
		submit, err := mailrelay.ParseEndpoint(up.Submit)
		if err != nil && up.Submit != "" { // of a missing one package config tells
			faults = append(faults, fmt.Errorf("[[upstream]] %q: submit: %w", up.Name, err))
		}
		var roots *x509.CertPool // nil: the system's
		if up.CAFile != "" {
			if roots, err = mailrelay.ReadRoots(up.CAFile); err != nil {
				faults = append(faults, fmt.Errorf("[[upstream]] %q: ca_file: %w", up.Name, err))
			}
		}
		for _, u := range cfg.Users {
			if u.Upstream != up.Name {
				continue
			}
			accounts = append(accounts, mailrelay.UpstreamAccount{
				User: u.Name, Upstream: up.Name,
				Fetch: fetch, Submit: submit,
				Username: up.UsernameFor(u), Password: up.Password.Reveal,
				RootCAs: roots,
				Poll:    time.Duration(up.Poll),
			})
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return accounts, nil
}
