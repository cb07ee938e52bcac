package web

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/status"
)

//go:embed assets
var assets embed.FS

// Board is where the page reads the state of the box; *status.Board is one.
type Board interface {
	Snapshot() status.Snapshot
	Watch(ctx context.Context, see func(status.Snapshot) bool)
}

// Captures gives the frames of a call as long as they are in memory.
type Captures interface {
	Pcapng(w io.Writer, call uint64) error
	Text(w io.Writer, call uint64) error
}

type panel struct {
	host  string
	board Board
	calls Captures
	log   *slog.Logger
	now   func() time.Time
	page  *template.Template
}

// New returns the handler of the whole page. host is the box's name; now is
// the clock that ages are counted from.
func New(host string, board Board, calls Captures, log *slog.Logger, now func() time.Time) (http.Handler, error) {
	page, err := template.New("").Funcs(words).ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: the page's templates: %w", err)
	}
	p := &panel{host: host, board: board, calls: calls, log: log, now: now, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.index)
	mux.HandleFunc("GET /status.json", p.json)
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /calls/{call}/packets.txt", func(w http.ResponseWriter, r *http.Request) {
		p.capture(w, r, textPlain, p.calls.Text)
	})
	mux.HandleFunc("GET /calls/{call}/packets.pcapng", func(w http.ResponseWriter, r *http.Request) {
		p.capture(w, r, "application/x-pcapng", p.calls.Pcapng)
	})
	mux.Handle("GET /assets/", http.FileServerFS(assets))
	return guard(host, mux), nil
}

// guard sets what keeps a browser from doing more with the page than show it.
func guard(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ours(r.Host, host) {
			http.Error(w, "The box is not called "+strconv.Quote(r.Host)+"; use its address, or "+host+".", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// ours reports whether a request was meant for this box: a strange site whose
// name is made to point here (DNS rebinding) must not read the page through a
// visitor's browser.
func ours(requested, host string) bool {
	name := requested
	if h, _, err := net.SplitHostPort(requested); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost") || strings.EqualFold(name, host)
}

// view is what the templates see.
type view struct {
	Host string
	Now  time.Time
	status.Snapshot
}

func (p *panel) render(name string, s status.Snapshot) ([]byte, error) {
	var out bytes.Buffer
	err := p.page.ExecuteTemplate(&out, name, view{Host: p.host, Now: p.now(), Snapshot: s})
	return out.Bytes(), err
}

func (p *panel) index(w http.ResponseWriter, _ *http.Request) {
	body, err := p.render("index.html", p.board.Snapshot())
	if err != nil {
		p.log.Error("the status page could not be rendered", "err", err)
		http.Error(w, "The page could not be rendered; the box's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body) // a browser that left is no fault of ours
}

func (p *panel) json(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p.board.Snapshot()); err != nil {
		p.log.Debug("the status could not be written", "err", err)
	}
}

const textPlain = "text/plain; charset=utf-8"

// capture gives the frames of a call in one of their forms.
func (p *panel) capture(w http.ResponseWriter, r *http.Request, kind string, write func(io.Writer, uint64) error) {
	var body bytes.Buffer
	call, err := strconv.ParseUint(r.PathValue("call"), 10, 64)
	if err == nil {
		err = write(&body, call)
	}
	if err != nil {
		http.Error(w, "The frames of that call are not in memory any more; older calls are in the folder captures of the box's state.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	if kind != textPlain {
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=call-%d.pcapng", call))
	}
	_, _ = body.WriteTo(w) // a browser that left is no fault of ours
}

const (
	// minGap is the shortest time between two pushes: traffic counters change with
	// every packet and a page need not.
	minGap = 500 * time.Millisecond
	// refresh is the longest: ages on the page grow though nothing happens, and
	// a browser that went without a word is noticed by writing to it.
	refresh = 15 * time.Second
	// pushLimit is how long a browser may take no bytes.
	pushLimit = 30 * time.Second
)

// events pushes the changing part of the page until the browser leaves.
func (p *panel) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for listening := true; listening && r.Context().Err() == nil; {
		turn, cancel := context.WithTimeout(r.Context(), refresh)
		p.board.Watch(turn, func(s status.Snapshot) bool {
			if listening = p.push(w, s); !listening {
				return false
			}
			gap := time.NewTimer(minGap)
			defer gap.Stop()
			select {
			case <-turn.Done():
				return false
			case <-gap.C:
				return true
			}
		})
		cancel()
	}
}

// push sends one event and reports whether the browser took it.
func (p *panel) push(w http.ResponseWriter, s status.Snapshot) bool {
	body, err := p.render("state.html", s)
	if err != nil {
		p.log.Error("the status page could not be rendered", "err", err)
		return false
	}
	out := http.NewResponseController(w)
	if err := out.SetWriteDeadline(time.Now().Add(pushLimit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	data := "data: " + strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\ndata: ") + "\n\n"
	if _, err := w.Write([]byte(data)); err != nil {
		return false
	}
	return out.Flush() == nil
}
