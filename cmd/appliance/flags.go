package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"postern/internal/config"
)

// flags returns a flag set whose mistakes parseFlags explains.
func flags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("appliance "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// parseFlags reads a command line of flags only.
func parseFlags(fs *flag.FlagSet, args []string) error {
	if err := parseWords(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(fs.Output(), "%s takes no further words: %q; see %[1]s --help\n", fs.Name(), fs.Args())
		return errUsage
	}
	return nil
}

// twoDashes puts package flag's errors the way the documentation writes flags.
var twoDashes = strings.NewReplacer(
	" for flag -", " for --", " for -", " for --",
	"flag provided but not defined: -", "there is no flag --",
	"flag needs an argument: -", "a value is missing after --",
)

// parseWords reads flags and leaves the words behind them. A mistake is told in
// a line: the whole help would push it off the screen.
func parseWords(fs *flag.FlagSet, args []string) error {
	stderr := fs.Output()
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	fs.SetOutput(stderr)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flag.ErrHelp):
		printFlags(fs)
		return err
	}
	fmt.Fprintf(stderr, "%s: %s; see %[1]s --help\n", fs.Name(), twoDashes.Replace(err.Error()))
	return errUsage
}

// printFlags prints what package flag's PrintDefaults does, with two dashes.
func printFlags(fs *flag.FlagSet) {
	w := fs.Output()
	fmt.Fprintf(w, "Usage of %s:\n", fs.Name())
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%s", f.Name)
		if value != "" {
			fmt.Fprintf(w, " %s", value)
		}
		fmt.Fprintf(w, "\n    \t%s", strings.ReplaceAll(text, "\n", "\n    \t"))
		switch f.DefValue {
		case "", "0", "0s", "false":
		default:
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
}

// planned is what a command can be told to do by a file as well as by flags.
type planned interface {
	// flags puts the plan on a command line, with the file's name.
	flags(file *string, stderr io.Writer) *flag.FlagSet
}

// readPlan reads a command line: the file it names first, then the flags, which
// have the last word. The first reading, into a plan that is thrown away, finds
// the file.
func readPlan[P planned](fresh func() P, args []string, stderr io.Writer) (plan P, err error) {
	var file string
	if err := parseFlags(fresh().flags(&file, stderr), args); err != nil {
		return plan, err
	}
	plan = fresh()
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return plan, err
		}
		if err := config.Decode(text, plan); err != nil {
			return plan, config.In(file, err)
		}
	}
	return plan, parseFlags(plan.flags(&file, stderr), args)
}
