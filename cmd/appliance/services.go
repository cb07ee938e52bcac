package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"

	"postern/dialup"
	"postern/internal/config"
	"postern/mailrelay"
)

// The ports that our own mail programs use on a call.
const (
	portPOP3 = 110
	portSMTP = 25
)

// offer is what is served on one network, a call's or the office's.
type offer struct {
	accounts   mailrelay.Accounts
	caller     string // who has proved to PPP who he is; empty on the LAN
	samePerson bool   // and that is enough
	tls        *tls.Config
	guesses    *mailrelay.Guesses
	ports      config.Ports
}

// door is one port and who answers there.
type door struct {
	port  uint16
	serve func(ctx context.Context, l net.Listener) error
}

// doors are the ports of an offer that are open.
func (a *appliance) doors(o offer) []door {
	pop3 := &mailrelay.POP3Server{
		Spool: a.spool, Accounts: o.accounts, Hostname: a.cfg.Hostname, Caller: o.caller, SamePerson: o.samePerson,
		TLS: o.tls, Guesses: o.guesses, Log: a.log,
	}
	smtp := &mailrelay.SMTPServer{
		Spool: a.spool, Accounts: o.accounts, Hostname: a.cfg.Hostname, Caller: o.caller, SamePerson: o.samePerson,
		MaxSize: int64(a.cfg.Mail.MaxMessage), Post: a.board.Post,
		TLS: o.tls, Guesses: o.guesses, Log: a.log,
	}
	imap := &mailrelay.IMAPServer{
		Spool: a.spool, Accounts: o.accounts, Caller: o.caller, SamePerson: o.samePerson,
		MaxSize: int64(a.cfg.Mail.MaxMessage), TLS: o.tls, Guesses: o.guesses, Log: a.log,
	}
	all := []door{
		{o.ports.POP3, pop3.Serve}, {o.ports.POP3S, pop3.ServeTLS},
		{o.ports.IMAP, imap.Serve}, {o.ports.IMAPS, imap.ServeTLS},
		{o.ports.SMTP, smtp.Serve}, {o.ports.Submission, smtp.Serve}, {o.ports.SMTPS, smtp.ServeTLS},
		{o.ports.HTTP, a.serveRoot},
	}
	return slices.DeleteFunc(all, func(d door) bool { return d.port == 0 })
}

// mailServices gives a caller the mail servers.
type mailServices struct {
	callers *callers
	box     *appliance
}

// Open opens the mail ports on the caller's network. The log-in there is the
// mail program's and says whose mailbox it is; user is only who dialled.
func (m mailServices) Open(user string, network dialup.Network) (serve func(context.Context) error, err error) {
	var servers []func(context.Context) error
	for _, d := range m.box.doors(offer{
		accounts: m.callers, caller: user, samePerson: m.box.cfg.Mail.SamePerson,
		tls: m.box.tls, ports: config.CallPorts(),
	}) {
		l, err := network.Listen(d.port)
		if err != nil {
			return nil, err
		}
		servers = append(servers, func(ctx context.Context) error { return d.serve(ctx, l) })
	}
	// What arrived at the provider in the last minutes is fetched while PPP
	// and the mail program still say hello.
	m.box.upstream.Poke(user)
	return func(ctx context.Context) error {
		// What the caller has deleted goes upstream now, not at the next poll.
		defer m.box.upstream.Poke(user)
		return together(ctx, servers)
	}, nil
}

// together runs all until each has returned. The first one that fails ends the
// others.
func together(ctx context.Context, all []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, run := range all {
		wg.Go(func() {
			defer cancel()
			errs[i] = run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
