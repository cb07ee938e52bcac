package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"postern/dialup"
	"postern/dialup/exchange"
	"postern/internal/config"
	"postern/internal/status"
	"postern/mailrelay/provider"
	"postern/ppp"
	"postern/ppp/mppe"
)

// The numbers of the demo's telephone network. The first rings whichever of the
// box's two lines is free.
const (
	demoNumber   = "5550100"
	demoCaller   = "5550199"
	demoEmulator = "5550198"
)

const (
	demoPatience = 2 * time.Minute // longer than anything takes but the transfer itself
	demoTraining = 2 * time.Second
)

// demoWorld is all that the demo has in its one process.
type demoWorld struct {
	opt      demoOptions
	tale     *story
	exchange *exchange.Exchange
	provider *provider.Provider
	box      *appliance
	dir      string // holds the box's state; removed at the end
	emulator net.Listener
}

// runDemo makes one call, compares every byte, and takes everything down again.
func runDemo(ctx context.Context, opt demoOptions, tale *story) (demoResult, error) {
	w, err := newDemoWorld(opt, tale)
	if err != nil {
		return demoResult{}, err
	}
	result, err := w.run(ctx)
	return result, errors.Join(err, w.close())
}

// run brings everything up, tells the story, and joins everything.
func (w *demoWorld) run(ctx context.Context) (demoResult, error) {
	life, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	running.Go(func() { report(w.opt.log, "the provider", w.provider.Run(life)) })
	running.Go(func() { report(w.opt.log, "the box", w.box.run(life)) })
	if w.emulator != nil {
		running.Go(func() {
			report(w.opt.log, "the emulator's modem", exchange.ServeTCP(life, w.emulator, w.exchange.Modem(demoEmulator)))
		})
	}
	result, err := w.tell(ctx)
	if err != nil || !w.opt.stay {
		return result, err
	}
	w.tale.summary(result)
	w.invite()
	<-ctx.Done()
	return result, nil
}

func newDemoWorld(opt demoOptions, tale *story) (w *demoWorld, err error) {
	w = &demoWorld{opt: opt, tale: tale}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "postern-demo-"); err != nil {
		return w, err
	}
	if w.provider, err = provider.New(opt.log); err != nil {
		return w, err
	}
	w.provider.AddUser(demoAddress, demoPassword)
	w.exchange = exchange.New(exchange.Config{Rate: opt.rate, Delay: opt.latency, Train: demoTraining, Setup: time.Second})
	if opt.stay {
		if w.emulator, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return w, err
		}
	}
	cfg, err := w.config()
	if err != nil {
		return w, err
	}
	open := func(_ context.Context, line config.Line) (dialup.Port, error) {
		return w.exchange.Modem(line.Port.Device[len("/dev/"):]).Open()
	}
	var modems []*exchange.Modem
	for _, l := range cfg.Lines {
		modems = append(modems, w.exchange.Modem(l.Port.Device[len("/dev/"):]))
	}
	w.exchange.Group(demoNumber, modems...)
	w.box, err = newAppliance(cfg, outside{open: open, stack: opt.stack, log: opt.log})
	return w, err
}

// config writes the box's configuration as a person would, and loads it.
func (w *demoWorld) config() (*config.Config, error) {
	if err := os.WriteFile(filepath.Join(w.dir, "ca.pem"), w.provider.CertificatePEM(), 0o600); err != nil {
		return nil, err
	}
	mppe := `["128", "56", "40"]`
	if w.opt.encryption != ppp.EncryptionOff && !w.opt.stay {
		mppe = fmt.Sprintf("[%q]", bits(w.opt.strength))
	}
	auth := `"any"`
	policy := "prefer"
	if w.opt.encryption == ppp.EncryptionOff && !w.opt.stay {
		policy = "off"
	}
	text := fmt.Sprintf(`state_dir = %q
hostname = "mail.postern.lan"
[[line]]
name = "line1"
port = "/dev/5550101"
[[line]]
name = "line2"
port = "/dev/5550102"
[ppp]
auth = %s
encryption = %q
mppe = %s
[[user]]
name = %q
dial_password = %q
addresses = [%q]
upstream = "isp"
[[upstream]]
name = "isp"
fetch = %q
submit = %q
username = %q
password = %q
ca_file = "ca.pem"
poll = "5s"
[web]
listen = "127.0.0.1:0"
`, w.dir, auth, policy, mppe, demoUser, demoPassword, demoAddress,
		w.provider.POP3S(), w.provider.SMTPS(), demoAddress, demoPassword)
	path := filepath.Join(w.dir, "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

func bits(s mppe.Strength) string {
	switch s {
	case mppe.Bits40:
		return "40"
	case mppe.Bits56:
		return "56"
	}
	return "128"
}

// tell is the main job from beginning to end.
func (w *demoWorld) tell(ctx context.Context) (demoResult, error) {
	var r demoResult
	waiting, outgoing := demoMail(uint64(time.Now().UnixNano()))
	total := 0
	for _, m := range waiting {
		w.provider.AddMessage(demoAddress, m)
		total += len(m)
	}
	w.tale.tell("provider", "POP3 and SMTP over TLS, under an authority made for this run; %d messages, %d octets", len(waiting), total)
	w.box.upstream.Poke(demoUser)
	ready, err := w.wait(ctx, "the box to fetch from the provider and to be ready", func(s status.Snapshot) bool {
		return len(s.Users) == 1 && s.Users[0].Messages == len(waiting) && s.Users[0].Fetch.TLS != "" && allReady(s.Lines, len(w.box.lines))
	})
	if err != nil {
		return r, err
	}
	w.tale.tell("box", "fetched them over %s; both lines are ready", ready.Users[0].Fetch.TLS)

	began := time.Now()
	call, err := w.dial(ctx)
	if err != nil {
		return r, err
	}
	err = w.doMail(ctx, call, waiting, outgoing, &r)
	verdict := call.Close()
	r.Seconds = time.Since(began).Seconds()
	w.tale.tell("caller", "hung up")
	if err != nil {
		return r, errors.Join(err, fmt.Errorf("the call ended: %s", verdict.Text))
	}
	return r, w.arrive(ctx, outgoing, &r)
}

func allReady(lines []status.Line, n int) bool {
	for _, l := range lines {
		if l.State != status.LineReady {
			return false
		}
	}
	return len(lines) == n
}

// wait watches the box until seen says so.
func (w *demoWorld) wait(ctx context.Context, what string, seen func(status.Snapshot) bool) (status.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	var last status.Snapshot
	ok := false
	w.box.board.Watch(ctx, func(s status.Snapshot) bool {
		last, ok = s, seen(s)
		return !ok
	})
	if !ok {
		return last, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
	}
	return last, nil
}

func (w *demoWorld) dial(ctx context.Context) (*dialup.Caller, error) {
	w.tale.tell("caller", "dials %s over a line of %d bit/s with %v one way", demoNumber, w.opt.rate, w.opt.latency)
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	cfg := dialup.CallerConfig{
		Open:     func(context.Context) (dialup.Port, error) { return w.exchange.Modem(demoCaller).Open() },
		Init:     []string{"ATZ"},
		NewStack: gvisor,
		PPP: ppp.Config{
			Rand: rand.Reader, Hostname: "oldpc",
			Auth: []ppp.AuthMethod{w.opt.auth}, Encryption: w.opt.encryption,
			Name: demoUser, Password: demoPassword,
		},
		Post: w.tale.event,
		Log:  w.opt.log.With("end", "caller"),
	}
	if w.opt.strength != 0 {
		cfg.PPP.MPPE = []mppe.Strength{w.opt.strength}
	}
	return dialup.Dial(ctx, cfg, demoNumber)
}

// doMail fetches and sends over the call, and compares what came.
func (w *demoWorld) doMail(ctx context.Context, call *dialup.Caller, waiting, outgoing [][]byte, r *demoResult) error {
	program := mailProgram{call, call.Peer(), demoUser, demoPassword}
	got, err := fetchDemoMail(ctx, program, w.tale)
	if err != nil {
		return err
	}
	if len(got) != len(waiting) {
		return fmt.Errorf("fetched %d messages, %d were waiting", len(got), len(waiting))
	}
	for i := range got {
		if !bytes.Equal(got[i], waiting[i]) {
			return fmt.Errorf("message %d differs from what the provider had", i+1)
		}
	}
	r.Fetched = len(got)
	return sendDemoMail(ctx, program, outgoing, w.tale)
}

// arrive waits until the provider has what was sent and has lost what was
// deleted, compares, and reads the box's own account of the call.
func (w *demoWorld) arrive(ctx context.Context, outgoing [][]byte, r *demoResult) error {
	limit, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	received, err := w.provider.WaitReceived(limit, len(outgoing))
	if err != nil {
		return fmt.Errorf("the provider has received %d of %d messages: %w", len(received), len(outgoing), err)
	}
	for i := range outgoing {
		if !bytes.Equal(received[i].Body, outgoing[i]) {
			return fmt.Errorf("message %d arrived at the provider with other bytes", i+1)
		}
		w.tale.tell("provider", "has message %d from %s over %s", i+1, received[i].From, received[i].TLS)
	}
	r.Sent, r.UpstreamTLS = len(outgoing), received[0].TLS
	s, err := w.wait(limit, "the box to close its books on the call", func(s status.Snapshot) bool {
		return len(s.Ended) == 1 && len(w.provider.Mailbox(demoAddress)) == 0
	})
	if err != nil {
		return err
	}
	w.tale.tell("provider", "has deleted what the caller deleted")
	c := s.Ended[0]
	r.Auth, r.Encryption, r.ConnectRate = c.Method, c.Cipher, c.Rate
	r.BytesUp, r.BytesDown, r.Verdict = c.Up, c.Down, c.Verdict.Text
	return nil
}

// invite says how to call the demo from outside.
func (w *demoWorld) invite() {
	w.tale.say(`The demo stays; stop it with Ctrl-C.

  status page   %s
  a modem       tcp://%s  (Hayes commands; give it to an emulator as a serial port)
  dial          ATDT%s
  dial-up       user %q, password %q
  mail          server mail.postern.lan, POP3 and SMTP, same user and password
  address       %s
`, w.box.page(), w.emulator.Addr(), demoNumber, demoUser, demoPassword, demoAddress)
}

func (w *demoWorld) close() error {
	var errs []error
	if w.box != nil {
		errs = append(errs, w.box.close())
	}
	if w.emulator != nil {
		if err := w.emulator.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
