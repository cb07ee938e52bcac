package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ask(t *testing.T, h http.Handler, path string) (status int, kind, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	all, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header().Get("Content-Type"), string(all)
}

func TestTheRootIsGivenInTheFormsThatPCsInstall(t *testing.T) {
	h, err := RootPage("mail.postern.lan", Root{PEM: []byte("pem"), DER: []byte("der")})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]string{
		"/root.crt": {"application/x-x509-ca-cert", "der"},
		"/ca.pem":   {"application/x-pem-file", "pem"},
	} {
		if status, kind, body := ask(t, h, path); status != 200 || kind != want[0] || body != want[1] {
			t.Errorf("%s: got %d, %s, %q", path, status, kind, body)
		}
	}
	for _, path := range []string{"/", "/root"} {
		// printf der | sha1sum
		if _, _, body := ask(t, h, path); !strings.Contains(body, "mail.postern.lan") || !strings.Contains(body, "7D:44:C3:3C:F9:A8:2A:B9:BD:53:00:D2:66:78:45:04:E9:77:21:77") {
			t.Errorf("%s: got %s", path, body)
		}
	}
	if status, _, _ := ask(t, h, "/root-old.crt"); status != 404 {
		t.Errorf("a root with SHA-1 is given: %d", status)
	}
}

func TestTheRootForOldWindowsIsGivenIfThereIsOne(t *testing.T) {
	h, err := RootPage("mail.postern.lan", Root{PEM: []byte("pem"), DER: []byte("der"), OldDER: []byte("old")})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := ask(t, h, "/root-old.crt"); status != 200 || body != "old" {
		t.Errorf("got %d, %q", status, body)
	}
	if _, _, body := ask(t, h, "/root"); !strings.Contains(body, `href="/root-old.crt"`) {
		t.Errorf("got %s", body)
	}
}
