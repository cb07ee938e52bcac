package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"postern/dialup/exchange"
)

const exchangeExample = `for example:

  appliance exchange --number 5550100 --pty --number 5550199 --tcp 127.0.0.1:2300
`

// exchangeCommand keeps a telephone network in software until ctx ends.
func exchangeCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	plan, err := parseExchange(args, stderr)
	if err != nil {
		return err
	}
	notices := make(chan exchange.Notice, 64)
	n, err := openNetwork(plan, func(notice exchange.Notice) {
		select {
		case notices <- notice:
		default: // a standard output that is not read must not hold up the network
		}
	})
	if err != nil {
		return err
	}
	n.describe(stdout)
	running := append(n.serve, func(ctx context.Context) error {
		tellNotices(ctx, stdout, notices)
		return nil
	})
	return errors.Join(together(ctx, running), n.close())
}

func tellNotices(ctx context.Context, w io.Writer, notices <-chan exchange.Notice) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-notices:
			rate := ""
			if n.Rate > 0 {
				rate = fmt.Sprintf(" at %d bit/s", n.Rate)
			}
			fmt.Fprintf(w, "%s  %s calls: %s %v%s\n", time.Now().Format(time.TimeOnly), n.Caller, n.Called, n.Event, rate)
		}
	}
}

// network is an exchange whose modems can be reached from other programs.
type network struct {
	plan    *exchangePlan
	x       *exchange.Exchange
	serve   []func(context.Context) error // one front end each; they close what they serve
	reached []string                      // in words, one for each of plan.Modems
	links   []string                      // to remove
	opened  []io.Closer
}

// openNetwork plugs the modems in and opens the ways to them.
func openNetwork(plan *exchangePlan, notice func(exchange.Notice)) (n *network, err error) {
	n = &network{plan: plan, x: exchange.New(plan.config(notice))}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	for _, spec := range plan.Modems {
		m := n.x.Modem(spec.Number)
		m.SetName(spec.Name)
		if spec.Rate > 0 {
			m.SetRate(spec.Rate)
		}
		var ways []string
		if spec.TCP != "" {
			l, err := net.Listen("tcp", spec.TCP)
			if err != nil {
				return n, fmt.Errorf("modem %s: %w", spec.Number, err)
			}
			n.opened = append(n.opened, l)
			n.serve = append(n.serve, func(ctx context.Context) error { return exchange.ServeTCP(ctx, l, m) })
			ways = append(ways, "tcp://"+l.Addr().String())
		}
		if spec.PTY || spec.Link != "" {
			pty, err := exchange.OpenPTY(m)
			if err != nil {
				return n, err
			}
			n.opened = append(n.opened, pty)
			n.serve = append(n.serve, pty.Serve)
			ways = append(ways, pty.Path())
			if spec.Link != "" {
				if err := link(pty.Path(), spec.Link); err != nil {
					return n, fmt.Errorf("modem %s: %w", spec.Number, err)
				}
				n.links = append(n.links, spec.Link)
				ways[len(ways)-1] = spec.Link
			}
		}
		n.reached = append(n.reached, strings.Join(ways, ", "))
	}
	for _, g := range plan.Groups {
		var members []*exchange.Modem
		for _, number := range g.Members {
			members = append(members, n.x.Modem(number))
		}
		n.x.Group(g.Number, members...)
	}
	return n, nil
}

// link gives a pty a name that stays. A link that an exchange left behind when
// it was killed is replaced, anything else is not: not even the link to a pty
// that is there, which may be another exchange's.
func link(target, path string) error {
	if old, err := os.Readlink(path); err == nil && strings.HasPrefix(old, "/dev/pts/") {
		if _, err := os.Stat(old); err == nil && old != target {
			return fmt.Errorf("%s belongs to a program that is running: it stands for %s", path, old)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(target, path)
}

// describe says what can be called and how to get at the modems.
func (n *network) describe(w io.Writer) {
	p := n.plan
	fmt.Fprintf(w, "The telephone network is up; stop it with Ctrl-C.\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, m := range p.Modems {
		way := n.reached[i]
		if way == "" {
			way = "nobody: it rings and is not answered"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", m.Number, m.Name, way)
	}
	for _, g := range p.Groups {
		who := "whichever is free of " + strings.Join(g.Members, ", ")
		if len(g.Members) == 0 {
			who = "always busy"
		}
		fmt.Fprintf(t, "  %s\tgroup\t%s\n", g.Number, who)
	}
	t.Flush() // errors of standard output are nobody's concern
	fmt.Fprintf(w, "\n  lines of %d bit/s, %v one way", p.Rate, time.Duration(p.Latency))
	if p.Noise > 0 {
		fmt.Fprintf(w, ", one byte in %.0f spoiled", 1/p.Noise)
	}
	if p.DropAfter > 0 {
		fmt.Fprintf(w, ", every carrier lost after %v", time.Duration(p.DropAfter))
	}
	fmt.Fprintf(w, "\n\n")
}

// close gives back what openNetwork took.
func (n *network) close() error {
	var errs []error
	for _, c := range n.opened {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, path := range n.links {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
