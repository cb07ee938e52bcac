package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"postern/dialup"
	"postern/mailrelay"
)

// The ports that a caller finds open, besides DNS, which dialup answers.
const (
	portPOP3       = 110
	portSMTP       = 25
	portSubmission = 587
)

// mailServer is a server of package mailrelay.
type mailServer interface {
	Serve(ctx context.Context, l net.Listener) error
}

// mailServices gives a caller the mail servers.
type mailServices struct {
	callers *callers
	box     *appliance
}

// Open opens the mail ports on the caller's network. The log-in there is the
// mail program's and says whose mailbox it is; user is only who dialled.
func (m mailServices) Open(user string, network dialup.Network) (serve func(context.Context) error, err error) {
	pop3 := &mailrelay.POP3Server{
		Spool: m.box.spool, Accounts: m.callers, Hostname: m.box.cfg.Hostname, Caller: user, Log: m.box.log,
	}
	smtp := &mailrelay.SMTPServer{
		Spool: m.box.spool, Accounts: m.callers, Hostname: m.box.cfg.Hostname, Caller: user, Log: m.box.log,
		MaxSize: int64(m.box.cfg.Mail.MaxMessage), Post: m.box.board.Post,
	}
	var servers []func(context.Context) error
	for _, at := range []struct {
		port  uint16
		serve mailServer
	}{{portPOP3, pop3}, {portSMTP, smtp}, {portSubmission, smtp}} {
		l, err := network.Listen(at.port)
		if err != nil {
			return nil, err
		}
		servers = append(servers, func(ctx context.Context) error { return at.serve.Serve(ctx, l) })
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
