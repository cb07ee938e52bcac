package web

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// Root is the box's root certificate in the forms that are given away.
type Root struct {
	PEM    []byte
	DER    []byte // Windows installs it by a double click
	OldDER []byte // the same with a SHA-1 signature; nil: not given away
}

// RootPaths are those that RootPage answers, besides "/".
func RootPaths() []string {
	return []string{"/root", "/root.crt", "/root-old.crt", "/ca.pem"}
}

// RootPage gives the root certificate and says how to install it, to any
// browser since Internet Explorer 3: there is no style and no script. It is the
// same for everybody, by whatever name they call the box.
func RootPage(host string, root Root) (http.Handler, error) {
	text, err := template.ParseFS(assets, "assets/root.html")
	if err != nil {
		return nil, fmt.Errorf("web: the root certificate's page: %w", err)
	}
	mux := http.NewServeMux()
	for path, file := range map[string]struct {
		kind string
		data []byte
	}{
		"/root.crt":     {"application/x-x509-ca-cert", root.DER},
		"/root-old.crt": {"application/x-x509-ca-cert", root.OldDER},
		"/ca.pem":       {"application/x-pem-file", root.PEM},
	} {
		if file.data == nil {
			continue
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", file.kind)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.data))
		})
	}
	view := rootView{Host: host, Old: root.OldDER != nil, SHA1: fingerprint(sha1.Sum(root.DER)), SHA256: fingerprint(sha256.Sum256(root.DER))}
	if view.Old {
		view.OldSHA1 = fingerprint(sha1.Sum(root.OldDER))
	}
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = text.Execute(w, view) // a browser that left is no fault of ours
	}
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /root", page)
	return mux, nil
}

type rootView struct {
	Host                  string
	Old                   bool
	SHA1, SHA256, OldSHA1 string
}

// fingerprint is written as Windows and browsers show it.
func fingerprint[T [20]byte | [32]byte](sum T) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}
