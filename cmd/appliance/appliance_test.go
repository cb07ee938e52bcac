package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/status"
)

func TestABrowserThatWatchesDoesNotHoldTheShutdownUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &appliance{cfg: &config.Config{Hostname: "mail.postern.lan", StateDir: t.TempDir()}, board: &status.Board{}, log: slog.New(slog.DiscardHandler), web: l}
	if err := a.openTLS(); err != nil {
		t.Fatal(err)
	}
	a.board.Post(status.LineChanged{At: time.Now(), Line: "line1", State: status.LineReady})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.serveWeb(ctx) }()
	resp, err := http.Get(a.page() + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stream := bufio.NewReader(resp.Body)
	if line, err := stream.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
		t.Fatalf("the stream begins with %q, error %v", line, err)
	}
	cancel()
	// A stream that was cut off because it would not end has no last chunk.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAPageThatCannotBeServedIsReportedAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &appliance{cfg: &config.Config{StateDir: t.TempDir()}, board: &status.Board{}, log: slog.New(slog.DiscardHandler), web: l}
	if err := a.openTLS(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := a.serveWeb(t.Context()); err == nil {
		t.Error("a page without a listener was served")
	}
}
