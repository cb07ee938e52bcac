package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/status"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func busyBoard() *status.Board {
	b := &status.Board{}
	b.Post(status.LineChanged{At: noon.Add(-time.Hour), Line: "line1", State: status.LineOnline})
	b.Post(status.LineChanged{At: noon.Add(-time.Hour), Line: "line2", State: status.LineFault, Detail: "the modem did not answer ATZ"})
	b.Post(status.CallStarted{At: noon.Add(-90 * time.Second), Call: 1, Line: "line1", Number: "5550100"})
	b.Post(status.CallConnected{At: noon, Call: 1, Rate: 33600, Result: "CONNECT 33600"})
	b.Post(status.CallAuthenticated{At: noon, Call: 1, User: "alice", Method: "MS-CHAPv2"})
	b.Post(status.CallEncrypted{At: noon, Call: 1, Cipher: "MPPE 128 bit, stateless"})
	b.Post(status.CallIPUp{At: noon, Call: 1, Peer: netip.MustParseAddr("10.64.64.2")})
	b.Post(status.CallTraffic{Call: 1, Up: 1234, Down: 56_789})
	b.Post(status.CallStarted{At: noon.Add(-time.Hour), Call: 2, Line: "line2"})
	b.Post(status.CallAuthenticated{At: noon, Call: 2, User: "<script>bob", Method: "PAP"})
	b.Post(status.CallEnded{At: noon.Add(-50 * time.Minute), Call: 2, Verdict: status.Verdict{Side: status.Peer, Code: "peer-hangup", Text: "The caller hung up."}})
	b.Post(status.MailboxChanged{User: "alice", Messages: 3, Octets: 12_345})
	b.Post(status.UpstreamChanged{At: noon, User: "alice", Upstream: "isp", Direction: status.Submit, Fault: "the certificate of smtp.example.org has expired"})
	b.Post(status.NumberRefused{At: noon, Number: "5550666", Until: noon.Add(time.Hour)})
	b.Post(status.NumberRefused{At: noon.Add(-2 * time.Hour), Number: "5550777", Until: noon.Add(-time.Hour)})
	return b
}

// fakeCaptures has the frames of call 1.
type fakeCaptures struct{}

func (fakeCaptures) Pcapng(w io.Writer, call uint64) error { return fake(w, call, "pcapng of call 1") }
func (fakeCaptures) Text(w io.Writer, call uint64) error {
	return fake(w, call, "LCP <b>ConfReq</b>")
}

func fake(w io.Writer, call uint64, text string) error {
	if call != 1 {
		return errors.New("no such call")
	}
	_, err := io.WriteString(w, text)
	return err
}

func TestTheFramesOfACallCanBeReadAndTakenAway(t *testing.T) {
	s := serve(t, busyBoard())
	for path, want := range map[string]struct {
		status     int
		kind, body string
	}{
		"/calls/1/packets.txt":    {http.StatusOK, "text/plain; charset=utf-8", "LCP <b>ConfReq</b>"},
		"/calls/1/packets.pcapng": {http.StatusOK, "application/x-pcapng", "pcapng of call 1"},
		"/calls/9/packets.txt":    {http.StatusNotFound, "text/plain; charset=utf-8", "not in memory"},
		"/calls/x/packets.pcapng": {http.StatusNotFound, "text/plain; charset=utf-8", "not in memory"},
	} {
		resp, body := get(t, s.URL+path)
		if resp.StatusCode != want.status || resp.Header.Get("Content-Type") != want.kind || !strings.Contains(body, want.body) {
			t.Errorf("%s: status %d, %s: %s", path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	}
	if _, body := get(t, s.URL+"/"); !strings.Contains(body, "/calls/1/packets.txt") || !strings.Contains(body, "/calls/2/packets.pcapng") {
		t.Error("the page has no way to the frames")
	}
}

func serve(t *testing.T, b *status.Board) *httptest.Server {
	t.Helper()
	h, err := New("mail.postern.lan", b, fakeCaptures{}, slog.New(slog.DiscardHandler), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return resp, b.String()
}

func TestThePageShowsLinesCallsMailAndHowCallsEnded(t *testing.T) {
	s := serve(t, busyBoard())
	resp, body := get(t, s.URL+"/")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	for _, want := range []string{
		"line1", "online", "the modem did not answer ATZ", "alice", "5550100", "CONNECT 33600",
		"password never sent (MS-CHAPv2), data encrypted (MPPE 128 bit, stateless)",
		"password sent in clear text (PAP), data not encrypted",
		"1234 B / 56.8 kB", "1 min 30 s ago", "The caller hung up.", "3 (12.3 kB)",
		"the certificate of smtp.example.org has expired", "10 min 0 s",
		"Log-ins from 5550666 are refused until 2026-11-23 13:00",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.Contains(body, "5550777") {
		t.Error("a number is shown as refused when that is over")
	}
	if strings.Contains(body, "<script>bob") {
		t.Error("a caller's name is not escaped")
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("content security policy %q", csp)
	}
}

func TestAnEmptyBoxHasAPageToo(t *testing.T) {
	s := serve(t, &status.Board{})
	if _, body := get(t, s.URL+"/"); !strings.Contains(body, "Nobody is calling.") || !strings.Contains(body, "No line has started yet.") {
		t.Errorf("the empty page: %s", body)
	}
}

func TestTheStatusIsJSONForPrograms(t *testing.T) {
	s := serve(t, busyBoard())
	_, body := get(t, s.URL+"/status.json")
	var got status.Snapshot
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"State": "online"`, `"State": "fault"`, `"Side": "the caller"`} {
		if !strings.Contains(body, word) {
			t.Errorf("the JSON does not say %s", word)
		}
	}
	if !reflect.DeepEqual(got.Lines, busyBoard().Snapshot().Lines) {
		t.Errorf("the lines come back as %+v", got.Lines)
	}
	if len(got.Calls) != 1 || got.Calls[0].User != "alice" || got.Ended[0].Verdict.Code != "peer-hangup" {
		t.Errorf("got %+v", got)
	}
}

func TestTheAssetsAreThereAndNothingElseIs(t *testing.T) {
	s := serve(t, busyBoard())
	for path, want := range map[string]int{
		"/assets/page.css": http.StatusOK, "/assets/live.js": http.StatusOK,
		"/nothing": http.StatusNotFound, "/../etc/passwd": http.StatusNotFound,
	} {
		if resp, _ := get(t, s.URL+path); resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
		}
	}
	resp, err := http.Post(s.URL+"/", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("the read-only page took a POST: status %d", resp.StatusCode)
	}
}

func TestTheBoxAnswersToItsOwnNamesOnly(t *testing.T) {
	h, err := New("mail.postern.lan", busyBoard(), fakeCaptures{}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"mail.postern.lan": http.StatusOK, "MAIL.postern.lan.:8080": http.StatusOK, "localhost:8080": http.StatusOK,
		"192.0.2.1": http.StatusOK, "[::1]:8080": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "192.0.2.1.evil.example": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequest(http.MethodGet, "/status.json", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestAChangeIsPushed(t *testing.T) {
	b := &status.Board{}
	s := serve(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	waitFor := func(text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", text, lines.Err())
	}
	waitFor("Nobody is calling.")
	b.Post(status.CallStarted{At: noon, Call: 1, Line: "line9", Number: "5550123"})
	waitFor("5550123")
}

func TestThePageGrowsOlderThoughNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &status.Board{}
		b.Post(status.LineChanged{At: time.Now(), Line: "line1", State: status.LineReady})
		h, err := New("mail.postern.lan", b, fakeCaptures{}, slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*refresh-time.Second)
		defer cancel()
		stream := httptest.NewRecorder()
		h.ServeHTTP(stream, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/events", nil))
		for _, age := range []string{"<td>0 s ago</td>", "<td>15 s ago</td>", "<td>30 s ago</td>"} {
			if strings.Count(stream.Body.String(), age) != 1 {
				t.Errorf("the line was not shown once as ready since %s", age)
			}
		}
	})
}
