package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"postern/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// The first signal ends calls in order; after it, a second one kills.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `Postern answers telephone lines and relays mail.

  appliance serve --config FILE    answer the lines until told to stop (SIGTERM)
  appliance check FILE             check a configuration and say what it means
  appliance demo [--help]          a whole call in one process, without hardware
  appliance selftest --config FILE have the configured box called, a report a step
  appliance dial [--help]          call a number and do what a caller's PC does, a report a step
  appliance exchange [--help]      a telephone network in software, for emulators and tests
  appliance trace FILE.pcapng      print a captured call, a line a packet; --config FILE lists them
  appliance version
`

// commands are the words to choose from for one that is misspelt.
var commands = []string{"serve", "check", "demo", "selftest", "dial", "exchange", "trace", "version", "help"}

// errUsage is a command line that was not understood; it has been explained.
var errUsage = errors.New("the command line was not understood")

// run does what the command line says and returns the exit status: 0 done, 1
// failed, 2 not understood.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	// Faults of a file begin with its name, each on its line.
	if faults := (config.Faults)(nil); errors.As(err, &faults) {
		fmt.Fprintln(stderr, faults)
		return 1
	}
	fmt.Fprintf(stderr, "appliance: %v\n", err)
	return 1
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	switch name, args := args[0], args[1:]; name {
	case "serve":
		return serveCommand(ctx, args, stderr)
	case "check":
		return checkCommand(args, stdout, stderr)
	case "demo":
		return demoCommand(ctx, args, stdout, stderr)
	case "dial":
		return dialCommand(ctx, args, stdout, stderr)
	case "selftest":
		return selftestCommand(ctx, args, stdout, stderr)
	case "exchange":
		return exchangeCommand(ctx, args, stdout, stderr)
	case "trace":
		return traceCommand(args, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, version())
		return nil
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	default:
		if near := config.Nearest(name, commands); near != "" {
			fmt.Fprintf(stderr, "appliance: there is no command %q; did you mean appliance %s?\n", name, near)
		} else {
			fmt.Fprintf(stderr, "There is no command %q.\n\n%s", name, usage)
		}
		return errUsage
	}
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "postern (unknown version)"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return "postern " + v + " " + info.GoVersion
}
