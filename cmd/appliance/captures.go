package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"postern/dialup"
	"postern/dialup/capture"
	"postern/internal/config"
	"postern/internal/status"
)

// captures is the flight recorder of the box: the last calls' frames, in memory
// while a call runs and as files in the state folder when it has ended.
type captures struct {
	recorder *capture.Recorder
	dir      string
	keep     int       // files
	trace    io.Writer // of every call, as it happens; nil: none
	log      *slog.Logger
}

func newCaptures(cfg *config.Config, clear bool, trace io.Writer, log *slog.Logger) *captures {
	return &captures{
		recorder: capture.NewRecorder(capture.Config{Octets: int(cfg.Capture.Octets), Clear: clear}),
		dir:      filepath.Join(cfg.StateDir, "captures"),
		keep:     cfg.Capture.Keep,
		trace:    trace,
		log:      log,
	}
}

// observe records a call.
func (c *captures) observe(id status.CallID, line string, connected time.Time) dialup.Observer {
	watching := []capture.Observer{c.recorder.Start(uint64(id), line, connected)}
	if c.trace != nil {
		watching = append(watching, capture.NewTrace(c.trace, line))
	}
	return capture.Tee(watching...)
}

// run saves each call when it has ended, until ctx ends and all are saved.
func (c *captures) run(ctx context.Context, board *status.Board) {
	var last status.CallID
	board.Watch(ctx, func(s status.Snapshot) bool {
		if len(s.Ended) > 0 && s.Ended[0].ID != last {
			last = s.Ended[0].ID
			c.save()
		}
		return true
	})
	c.save()
}

func (c *captures) save() {
	if c.keep == 0 {
		return
	}
	if err := c.recorder.Save(c.dir, c.keep); err != nil {
		c.log.Error("a call's capture could not be saved", "err", err)
	}
}

// Pcapng writes a call's frames for Wireshark; an error when the call is no
// longer in memory.
func (c *captures) Pcapng(w io.Writer, call uint64) error {
	return c.recorder.Write(w, call)
}

// Text writes a call's frames, a line each.
func (c *captures) Text(w io.Writer, call uint64) error {
	var pcapng bytes.Buffer
	if err := c.recorder.Write(&pcapng, call); err != nil {
		return err
	}
	return capture.Print(w, fmt.Sprintf("call %d", call), &pcapng)
}

// traceCommand prints a saved capture, or lists those of a box.
func traceCommand(args []string, stdout, stderr io.Writer) error {
	fl := flags("trace", stderr)
	file := fl.String("config", "", "list the captures of the box with this configuration `FILE`")
	if err := parseWords(fl, args); err != nil {
		return err
	}
	switch {
	case *file != "" && fl.NArg() == 0:
		return listCaptures(*file, stdout)
	case *file == "" && fl.NArg() == 1:
		f, err := os.Open(fl.Arg(0))
		if err != nil {
			return err
		}
		defer f.Close()
		return capture.Print(stdout, filepath.Base(fl.Arg(0)), f)
	}
	fmt.Fprintln(stderr, "usage: appliance trace CAPTURE.pcapng, or appliance trace --config FILE for the list of them")
	return errUsage
}

func listCaptures(file string, stdout io.Writer) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	dir := filepath.Join(cfg.StateDir, "captures")
	files, err := capture.List(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		fmt.Fprintln(stdout, "No call has been recorded yet.")
		return nil
	}
	for _, f := range files {
		fmt.Fprintf(stdout, "%s  %s\n", filepath.Join(dir, f.Name), f.Comment)
	}
	return err
}
