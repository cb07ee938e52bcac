package main

import (
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"postern/dialup/exchange"
	"postern/internal/config"
)

// exchangePlan is a telephone network as its file and its flags describe it.
type exchangePlan struct {
	Rate      int             `toml:"rate"`    // bit/s
	Latency   config.Duration `toml:"latency"` // one way
	Noise     float64         `toml:"noise"`   // probability that a byte is spoiled
	Train     config.Duration `toml:"train"`   // from going off hook to CONNECT
	DropAfter config.Duration `toml:"drop_after"`
	Seed      uint64          `toml:"seed"` // of the noise
	Modems    []exchangeModem `toml:"modem"`
	Groups    []exchangeGroup `toml:"group"`
}

type exchangeModem struct {
	Number string `toml:"number"`
	Name   string `toml:"name"` // for caller ID
	Rate   int    `toml:"rate"` // bit/s; 0: the lines'
	TCP    string `toml:"tcp"`  // host:port to listen on
	PTY    bool   `toml:"pty"`
	Link   string `toml:"link"` // a symbolic link to the pty
}

type exchangeGroup struct {
	Number  string   `toml:"number"`
	Members []string `toml:"members"`
}

func newExchangePlan() *exchangePlan {
	return &exchangePlan{Rate: 33600, Train: config.Duration(2 * time.Second)}
}

// parseExchange reads the command line and checks what it plans.
func parseExchange(args []string, stderr io.Writer) (*exchangePlan, error) {
	plan, err := readPlan(newExchangePlan, args, stderr)
	if err != nil {
		return nil, err
	}
	if len(plan.Modems) == 0 {
		fmt.Fprintf(stderr, "appliance exchange: there is no modem to call; %s", exchangeExample)
		return nil, errUsage
	}
	if err := plan.check(); err != nil {
		fmt.Fprintf(stderr, "appliance exchange: %v\n", err)
		return nil, errUsage
	}
	return plan, nil
}

// flags puts the plan on a command line. What --number names is described by
// the flags behind it.
func (p *exchangePlan) flags(file *string, stderr io.Writer) *flag.FlagSet {
	fs := flags("exchange", stderr)
	fs.StringVar(file, "config", "", "a `FILE` with the same as these flags, in TOML")
	fs.IntVar(&p.Rate, "rate", p.Rate, "of the telephone lines, in `bit/s`")
	durationVar(fs, &p.Latency, "latency", "`TIME` that the telephone lines take one way, as 60ms")
	fs.Float64Var(&p.Noise, "noise", p.Noise, "`probability` that a byte is spoiled, as 0.0001")
	fs.Uint64Var(&p.Seed, "seed", p.Seed, "of the noise: the same `number` spoils the same bytes")
	durationVar(fs, &p.Train, "train", "`TIME` that modems train before CONNECT")
	durationVar(fs, &p.DropAfter, "drop-after", "break every call this `TIME` after CONNECT; 0s: none")
	fs.Func("number", "plug in a modem at this telephone `number`; the flags behind describe it", func(s string) error {
		p.Modems = append(p.Modems, exchangeModem{Number: s})
		return nil
	})
	each := func(name, usage string, set func(*exchangeModem, string)) {
		fs.Func(name, usage, func(s string) error {
			if len(p.Modems) == 0 {
				return fmt.Errorf("it describes a modem: put --number before it")
			}
			set(&p.Modems[len(p.Modems)-1], s)
			return nil
		})
	}
	each("tcp", "let programs reach the modem at this `host:port` (an emulator's serial port)", func(m *exchangeModem, s string) { m.TCP = s })
	each("link", "let programs reach the modem at this `path`, a link to a pty", func(m *exchangeModem, s string) { m.Link = s })
	each("name", "the `name` that caller ID gives", func(m *exchangeModem, s string) { m.Name = s })
	fs.BoolFunc("pty", "let programs reach the modem at a pty, as a serial port", func(s string) error {
		if len(p.Modems) == 0 {
			return fmt.Errorf("it describes a modem: put --number before it")
		}
		p.Modems[len(p.Modems)-1].PTY = s == "true"
		return nil
	})
	fs.Func("group", "`number=member,member`: a hunt group; one without members is always busy", func(s string) error {
		number, members, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("write it as 5550100=5550101,5550102")
		}
		g := exchangeGroup{Number: number}
		if members != "" {
			g.Members = strings.Split(members, ",")
		}
		p.Groups = append(p.Groups, g)
		return nil
	})
	return fs
}

// durationVar is a flag for a time span of the configuration.
func durationVar(fs *flag.FlagSet, d *config.Duration, name, usage string) {
	fs.TextVar((*durationFlag)(d), name, (*durationFlag)(d), usage)
}

// durationFlag adds to a config.Duration the printing that package flag wants.
type durationFlag config.Duration

var _ encoding.TextMarshaler = (*durationFlag)(nil)

func (d *durationFlag) UnmarshalText(b []byte) error { return (*config.Duration)(d).UnmarshalText(b) }

func (d *durationFlag) MarshalText() ([]byte, error) {
	return []byte(config.Duration(*d).String()), nil
}

// check finds every fault of the plan.
func (p *exchangePlan) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Rate < 300 || p.Rate > 921_600 {
		fault("rate %d is out of range; 300 to 921600", p.Rate)
	}
	if p.Noise < 0 || p.Noise > 1 {
		fault("noise %v is no probability; 0 to 1, and 0.0001 is already a bad line", p.Noise)
	}
	if p.Latency > config.Duration(10*time.Second) {
		fault("latency %v is out of range; 0s to 10s", time.Duration(p.Latency))
	}
	taken := make(map[string]bool)
	take := func(number string) {
		if number == "" || strings.Trim(number, "0123456789*#") != "" {
			fault("%q is not a telephone number; use digits, * and #", number)
		}
		if taken[number] {
			fault("number %s is there twice", number)
		}
		taken[number] = true
	}
	for _, m := range p.Modems {
		take(m.Number)
		if m.Rate < 0 || m.Rate > p.Rate {
			fault("modem %s: rate %d is out of range; up to %d, the lines'", m.Number, m.Rate, p.Rate)
		}
		if _, _, err := net.SplitHostPort(m.TCP); m.TCP != "" && err != nil {
			fault("modem %s: tcp %q is not host:port", m.Number, m.TCP)
		}
	}
	for _, g := range p.Groups {
		for _, number := range g.Members {
			if !taken[number] {
				fault("group %s: there is no modem %s", g.Number, number)
			}
		}
	}
	for _, g := range p.Groups {
		take(g.Number)
	}
	return errors.Join(errs...)
}

func (p *exchangePlan) config(notice func(exchange.Notice)) exchange.Config {
	return exchange.Config{
		Rate: p.Rate, Delay: time.Duration(p.Latency), Noise: p.Noise, Seed: p.Seed,
		Train: time.Duration(p.Train), Setup: time.Second, DropAfter: time.Duration(p.DropAfter),
		NoLines: true, // neither a socket nor a pty carries DTR and DCD
		Notice:  notice,
	}
}
