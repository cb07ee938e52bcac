package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"postern/internal/config"
)

// selftestPlan is which calls a self-test makes.
type selftestPlan struct {
	file             string
	from, to, number string // a call over the real lines; empty: through an exchange
	user             string // empty: the users take turns
	timeout          time.Duration
	json             bool
	log              *slog.Logger
}

// selftestCommand has the configured box called and says whether all went well.
func selftestCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var p selftestPlan
	fs := flags("selftest", stderr)
	fs.StringVar(&p.file, "config", "/etc/postern.toml", "the configuration `FILE`")
	fs.StringVar(&p.from, "from", "", "call with the modem of this `line`, …")
	fs.StringVar(&p.to, "to", "", "… the modem of this `line`, …")
	fs.StringVar(&p.number, "number", "", "… at this telephone `number`")
	fs.StringVar(&p.user, "user", "", "call as this `user` (default: the users take turns)")
	p.timeout = 5 * time.Minute
	durationVar(fs, (*config.Duration)(&p.timeout), "timeout", "the longest `TIME` for one call")
	fs.BoolVar(&p.json, "json", false, "print the result as one JSON object, and nothing else")
	verbose := fs.Bool("verbose", false, "show the box's log on standard error")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if real := p.from != "" || p.to != "" || p.number != ""; real && (p.from == "" || p.to == "" || p.number == "") {
		fmt.Fprintln(stderr, "appliance selftest: a call over the real lines needs --from, --to and --number")
		return errUsage
	}
	p.log = slog.New(slog.DiscardHandler)
	if *verbose {
		p.log = newLog(stderr, slog.LevelDebug)
	}
	told := stdout
	if p.json {
		told = io.Discard
	}
	report := newSteps(told)
	calls := p.run(ctx, report)
	err := report.end()
	if p.json {
		return errors.Join(err, printJSON(stdout, struct {
			OK    bool           `json:"ok"`
			Calls []clientResult `json:"calls"`
			Steps []step         `json:"steps"`
		}{err == nil, calls, report.all()}))
	}
	return err
}

// run brings the box up, has it called, and takes it down again.
func (p selftestPlan) run(ctx context.Context, report *steps) []clientResult {
	cfg, err := config.Load(p.file, checkUpstreams)
	var b *testBox
	if err == nil {
		b, err = p.box(cfg)
	}
	if err != nil {
		report.fault("config", err)
		return nil
	}
	report.passed("config", "%s: %s, %s", p.file, count(len(cfg.Lines), "line"), count(len(cfg.Users), "user"))
	life, end := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- b.box.run(life) }()
	calls := p.calls(ctx, b, report)
	end()
	if err := errors.Join(<-ran, b.close()); err != nil {
		report.fault("stop", err)
	} else {
		report.passed("stop", "the box ended in order")
	}
	return calls
}

// calls makes the calls, one after another: a mailbox has one reader at a time.
func (p selftestPlan) calls(ctx context.Context, b *testBox, report *steps) []clientResult {
	calls := []clientResult{}
	for i, line := range b.lines {
		if ctx.Err() != nil {
			report.fault(line.name, ctx.Err())
			return calls
		}
		if err := b.ready(ctx, line.name); err != nil {
			report.fault(line.name+" ready", err)
			continue
		}
		report.passed(line.name+" ready", "its modem is answering")
		user := b.users[i%len(b.users)]
		limit, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("the call took longer than --timeout %v", p.timeout))
		r, err := b.call(limit, line, user, report)
		cancel()
		if err != nil {
			report.fault(line.name+" mail", err)
		}
		calls = append(calls, r)
	}
	return calls
}

// choose finds the users that will call.
func (p selftestPlan) choose(cfg *config.Config) ([]config.User, error) {
	if p.user == "" {
		return cfg.Users, nil
	}
	u, found := (&callers{cfg: cfg}).find(p.user)
	if !found {
		return nil, fmt.Errorf("--user: there is no [[user]] %q", p.user)
	}
	return []config.User{u}, nil
}

// lineNamed finds a configured line.
func lineNamed(cfg *config.Config, flag, name string) (config.Line, error) {
	var names []string
	for _, l := range cfg.Lines {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return config.Line{}, fmt.Errorf("--%s: there is no [[line]] %q; there is %s", flag, name, strings.Join(names, ", "))
}
