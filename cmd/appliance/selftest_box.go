package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"postern/dialup"
	"postern/dialup/exchange"
	"postern/internal/config"
	"postern/internal/status"
	"postern/mailrelay/spool"
	"postern/ppp"
)

// testBox is the configured box with a spool of its own and no provider: what
// is tested touches nobody's mail.
type testBox struct {
	box   *appliance
	dir   string // holds the box's state; removed at the end
	lines []testLine
	users []config.User
}

// testLine is a line to be called, and the modem to call it with.
type testLine struct {
	name   string
	number string
	modem  dialup.CallerConfig
}

// The numbers of the self-test's exchange.
const (
	selftestCaller = "5550199"
	selftestFirst  = 5550101
)

// box prepares the box as the configuration describes it.
func (p selftestPlan) box(cfg *config.Config) (b *testBox, err error) {
	b = &testBox{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.users, err = p.choose(cfg); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "postern-selftest-"); err != nil {
		return b, err
	}
	tested := *cfg
	tested.StateDir = b.dir
	tested.Web.Listen = ""
	tested.LAN.Listen = nil // its ports are the running box's
	tested.Upstreams = nil  // nobody at the provider hears of a test
	open := openPort(openHardware)
	if p.from == "" {
		open = b.exchange(&tested)
	} else if err := b.realLines(p, &tested); err != nil {
		return b, err
	}
	for i := range b.lines {
		m := &b.lines[i].modem
		m.NewStack, m.Log = gvisor, p.log.With("end", "caller")
	}
	// The test cannot choose a new password, and one that a user has chosen is the
	// running box's: the configured ones are as good for a test.
	tested.Users = slices.Clone(tested.Users)
	for i := range tested.Users {
		u := &tested.Users[i]
		u.MustChangePassword, u.DialPasswordExpires = false, config.Date{}
	}
	b.box, err = newAppliance(&tested, outside{open: open, stack: gvisor, log: p.log})
	return b, err
}

// exchange puts an emulated modem in the place of each line's own. What the
// configuration has for the real one's init is not its to judge.
func (b *testBox) exchange(cfg *config.Config) openPort {
	x := exchange.New(exchange.Config{
		Delay: 20 * time.Millisecond, Train: 500 * time.Millisecond, Setup: 500 * time.Millisecond,
		RingOn: 500 * time.Millisecond, RingOff: time.Second,
	})
	modems := make(map[string]*exchange.Modem)
	cfg.Lines = slices.Clone(cfg.Lines)
	for i := range cfg.Lines {
		l := &cfg.Lines[i]
		l.Init = []string{"ATZ"}
		m := x.Modem(fmt.Sprint(selftestFirst + i))
		modems[l.Name] = m
		b.lines = append(b.lines, testLine{l.Name, m.Number(), dialup.CallerConfig{
			Open: func(context.Context) (dialup.Port, error) { return x.Modem(selftestCaller).Open() },
			Init: []string{"ATZ"},
		}})
	}
	return func(_ context.Context, l config.Line) (dialup.Port, error) { return modems[l.Name].Open() }
}

// realLines keeps the line that is called; the other one's modem calls it.
func (b *testBox) realLines(p selftestPlan, cfg *config.Config) error {
	from, err := lineNamed(cfg, "from", p.from)
	if err != nil {
		return err
	}
	to, err := lineNamed(cfg, "to", p.to)
	if err != nil {
		return err
	}
	if from.Name == to.Name {
		return fmt.Errorf("--from and --to are both %s; a modem cannot call itself", to.Name)
	}
	cfg.Lines = []config.Line{to}
	b.lines = []testLine{{to.Name, p.number, dialup.CallerConfig{
		Open: func(ctx context.Context) (dialup.Port, error) { return openHardware(ctx, from) },
		Init: from.Init,
	}}}
	return nil
}

// ready waits until a line's modem answers, or says why it does not.
func (b *testBox) ready(ctx context.Context, line string) error {
	var last status.Line
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	b.box.board.Watch(ctx, func(s status.Snapshot) bool {
		i := slices.IndexFunc(s.Lines, func(l status.Line) bool { return l.Name == line })
		if i < 0 {
			return true
		}
		last = s.Lines[i]
		return last.State != status.LineReady && last.State != status.LineFault && last.State != status.LineAbsent
	})
	switch {
	case last.State == status.LineReady:
		return nil
	case last.Detail != "":
		return errors.New(last.Detail)
	}
	return fmt.Errorf("it was %v when the wait for it ended", last.State)
}

// call has a user call a line, and compares every byte of the mail.
func (b *testBox) call(ctx context.Context, line testLine, user config.User, report *steps) (clientResult, error) {
	waits := demoMessage("selftest@"+b.box.cfg.Hostname, user.Addresses[0], "Self-test",
		"A test message.\r\n.\r\nIts dots and its NO CARRIER\r\nNO CARRIER\r\nmust arrive as they are.\r\n")
	if _, err := b.box.spool.Deliver(user.Name, spool.Source{}, bytes.NewReader(waits)); err != nil {
		return clientResult{}, err
	}
	policy := b.box.cfg.EncryptionFor(user)
	line.modem.PPP = ppp.Config{
		Rand: rand.Reader, Hostname: "selftest", Encryption: pppPolicy(policy),
		Name: user.Name, Password: user.DialPassword.Reveal(),
	}
	keys := false
	for _, m := range b.box.cfg.PPP.Auth {
		line.modem.PPP.Auth = append(line.modem.PPP.Auth, pppMethod(m))
		keys = keys || m == config.MSCHAP || m == config.MSCHAPv2
	}
	pc := client{
		modem: line.modem, number: line.number, server: b.box.cfg.Hostname, line: line.name,
		mailUser: user.Name, mailPassword: user.MailPassword.Reveal(), fetch: true,
		from: user.Addresses[0], sendTo: user.Addresses[0],
	}
	r := pc.run(ctx, report)
	switch {
	case r.Verdict == "":
		return r, errors.New("nothing was compared: there was no call")
	case policy != config.EncryptionOff && keys && r.Encryption == "":
		return r, errors.New("the configuration wants the line encrypted, and it was in clear text")
	case len(r.fetched) == 0 || !bytes.Equal(r.fetched[len(r.fetched)-1], waits):
		return r, errors.New("the message that waited is not the one that was fetched")
	}
	if err := b.queued(r.sent); err != nil {
		return r, err
	}
	report.passed(line.name+" mail", "fetched and sent as %s, every byte the same", user.Name)
	return r, nil
}

// queued finds a message among those that wait for the provider.
func (b *testBox) queued(want []byte) error {
	queue, err := b.box.spool.Queue()
	if err != nil {
		return err
	}
	for _, e := range queue {
		body, err := b.box.spool.OpenQueued(e.ID)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
		if bytes.HasSuffix(got, want) { // the box may write a Received line above it
			return nil
		}
	}
	return errors.New("the message that was sent is not in the box's queue")
}

func (b *testBox) close() error {
	var errs []error
	if b.box != nil {
		errs = append(errs, b.box.close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}
