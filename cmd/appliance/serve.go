package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"postern/internal/config"
)

// garbagePercent makes the collector run earlier than Go's 100: a call then takes
// a fifth less of a small board's memory, for a heap so small that collecting it
// costs next to nothing. GOGC overrides it.
const garbagePercent = 40

func serveCommand(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flags("serve", stderr)
	file := fs.String("config", "/etc/postern.toml", "the configuration `FILE`")
	verbose := fs.Bool("verbose", false, "log what helps to find a fault")
	trace := fs.Bool("trace", false, "print every packet of every call, decoded, a line each")
	clear := fs.Bool("capture-clear", false, "leave passwords and mail in the captures of calls")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	cfg, err := config.Load(*file, checkUpstreams)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := newLog(stderr, level)
	out := outside{open: openHardware, stack: gvisor, log: log, clear: *clear}
	if *trace {
		out.trace = stderr
	}
	if *clear {
		log.Warn("captures will hold passwords and mail: remove them when the fault is found", "folder", filepath.Join(cfg.StateDir, "captures"))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	a, err := newAppliance(cfg, out)
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	log.Info("ready", "version", version(), "lines", len(cfg.Lines), "users", len(cfg.Users), "page", a.page())
	err = a.run(ctx)
	log.Info("stopped")
	return errors.Join(err, a.close())
}

// page is the address of the status page.
func (a *appliance) page() string {
	if a.web == nil {
		return "none"
	}
	return "http://" + a.web.Addr().String() + "/"
}
