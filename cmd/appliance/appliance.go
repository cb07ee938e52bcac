package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"postern/dialup"
	"postern/dialup/netstack"
	"postern/hw"
	"postern/internal/config"
	"postern/internal/status"
	"postern/mailrelay"
	"postern/mailrelay/authority"
	"postern/mailrelay/spool"
	"postern/web"
)

// appliance is the box: the lines, the mail and the page, joined.
type appliance struct {
	cfg      *config.Config
	log      *slog.Logger
	board    *status.Board
	spool    *spool.Spool
	upstream *mailrelay.Upstream
	lines    []*dialup.Line
	web      net.Listener // nil without a page
	root     *authority.Authority
	tls      *tls.Config // on calls
	office   *office     // nil: nothing is served on the LAN
	captures *captures
	counting sync.Mutex // from reading a mailbox's count to posting it
}

// openPort opens the port of a line's modem.
type openPort func(ctx context.Context, line config.Line) (dialup.Port, error)

// newStack gives a call its TCP/IP.
type newStack func(dialup.Link) (dialup.Stack, error)

// openHardware is openPort on a real box.
func openHardware(ctx context.Context, line config.Line) (dialup.Port, error) {
	if line.Port.Addr != "" {
		return hw.DialTCP(ctx, line.Port.Addr)
	}
	return hw.OpenSerial(line.Port.Device, line.Baud)
}

// outside is what an appliance stands in, besides its configuration.
type outside struct {
	open  openPort
	stack newStack
	log   *slog.Logger
	trace io.Writer // of every packet, a line each; nil: none
	clear bool      // captures hold passwords and mail: for a fault that shows no other way
}

// newAppliance takes what the configuration names: the spool, the page's
// address. Nothing runs yet; close gives it back.
func newAppliance(cfg *config.Config, out outside) (a *appliance, err error) {
	log := out.log
	accounts, err := upstreamAccounts(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := dialup.NewPool(cfg.PPP.Pool.Prefix, cfg.PPP.LocalIP)
	if err != nil {
		return nil, err
	}
	passwords, err := config.OpenPasswords(filepath.Join(cfg.StateDir, "passwords.json"), cfg.Users)
	if err != nil {
		return nil, err
	}
	a = &appliance{cfg: cfg, log: log, board: &status.Board{}, captures: newCaptures(cfg, out.clear, out.trace, log)}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	if a.spool, err = spool.Open(filepath.Join(cfg.StateDir, "spool"), spoolOptions(cfg, a.mailChanged, log)); err != nil {
		return nil, err
	}
	a.upstream, err = mailrelay.NewUpstream(upstreamConfig(cfg, accounts), a.spool, a.board.Post, log)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	if cfg.Web.Listen != "" {
		if a.web, err = net.Listen("tcp", cfg.Web.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("[web] listen: %w", err), a.close())
		}
	}
	if err = a.openTLS(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	var ids dialup.CallIDs
	var methods dialup.Methods
	users := &callers{cfg: cfg, passwords: passwords, guard: newGuard(cfg.PPP.GuessLimit), post: a.board.Post, log: log}
	a.office = newOffice(a, users)
	for _, line := range cfg.Lines {
		a.lines = append(a.lines, dialup.NewLine(dialup.LineConfig{
			Name:         line.Name,
			Open:         func(ctx context.Context) (dialup.Port, error) { return out.open(ctx, line) },
			Init:         line.Init,
			Rings:        line.Rings,
			CallerID:     *line.CallerID,
			PPP:          pppConfig(cfg, rand.Reader),
			Pool:         pool,
			Auth:         users,
			Methods:      &methods,
			NewStack:     out.stack,
			Observe:      a.captures.observe,
			Names:        append([]string{cfg.Hostname}, cfg.Aliases...),
			Services:     mailServices{users, a},
			Terminal:     a.terminal(),
			IdleLimit:    time.Duration(cfg.PPP.IdleLimit),
			SessionLimit: time.Duration(cfg.PPP.SessionLimit),
			CallIDs:      &ids,
			Post:         a.board.Post,
			Log:          log,
		}))
	}
	return a, nil
}

// gvisor is newStack on every box.
func gvisor(link dialup.Link) (dialup.Stack, error) {
	return netstack.New(netstack.Config(link))
}

// mailChanged is told by the spool that a user's mailbox or queue is another.
func (a *appliance) mailChanged(user string) {
	// Two changes at once must not be posted in the wrong order.
	a.counting.Lock()
	defer a.counting.Unlock()
	st, err := a.spool.Stat(user)
	if err != nil {
		a.log.Error("the mailbox cannot be read", "user", user, "err", err)
		return
	}
	a.board.Post(status.MailboxChanged{User: user, Messages: st.Messages, Octets: st.Octets})
	a.upstream.Queued(user)
}

// run keeps the box until ctx ends. Then the calls are ended in order, and
// after them what they were using.
func (a *appliance) run(ctx context.Context) error {
	// Everything has its row on the page from the start, in this order.
	for _, l := range a.cfg.Lines {
		a.board.Post(status.LineChanged{At: time.Now(), Line: l.Name, State: status.LineStarting})
	}
	for _, u := range a.cfg.Users {
		a.mailChanged(u.Name)
	}
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var rest sync.WaitGroup
	rest.Go(func() { report(a.log, "upstream", a.upstream.Run(after)) })
	rest.Go(func() { a.captures.run(after, a.board) })
	if a.web != nil {
		rest.Go(func() { report(a.log, "the status page", a.serveWeb(after)) })
	}
	var lines sync.WaitGroup
	for _, l := range a.lines {
		lines.Go(func() { report(a.log, "a line", l.Run(ctx)) })
	}
	if a.office != nil {
		lines.Go(func() { a.office.run(ctx) })
	}
	<-ctx.Done()
	lines.Wait()
	stop()
	rest.Wait()
	return nil
}

func report(log *slog.Logger, what string, err error) {
	if err != nil {
		log.Error(what+" stopped", "err", err)
	}
}

// close gives back what newAppliance took.
func (a *appliance) close() error {
	var errs []error
	if a.web != nil {
		if err := a.web.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, a.spool.Close())...)
}

const (
	// What a browser may take of each: a request's header, a page (event streams
	// set their own), the pause before its next request, and our end.
	headerTimeout = 10 * time.Second
	pageTimeout   = 30 * time.Second
	idleTimeout   = time.Minute
	stopTimeout   = 2 * time.Second
	maxBrowsers   = 64 // connections; further ones wait
)

func (a *appliance) serveWeb(ctx context.Context) error {
	page, err := web.New(a.cfg.Hostname, a.board, a.captures, a.log, time.Now)
	if err != nil {
		return err
	}
	root, err := a.rootPage()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	for _, path := range web.RootPaths() {
		mux.Handle("GET "+path, root)
	}
	return a.serveHTTP(ctx, a.web, mux)
}

// serveHTTP answers browsers until ctx ends.
func (a *appliance) serveHTTP(ctx context.Context, l net.Listener, page http.Handler) error {
	var stopped sync.WaitGroup
	defer stopped.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler:           page,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      pageTimeout,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the event streams
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	stopped.Go(func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := server.Shutdown(limit); err != nil {
			report(a.log, "a browser", server.Close())
		}
	})
	if err := server.Serve(netutil.LimitListener(l, maxBrowsers)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
