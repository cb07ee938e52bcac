package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed holds, for every package, which of our packages it may import.
// Imports only point down; a new package fails the test until its row is here.
var allowed = map[string][]string{
	"cmd/appliance": {"*"},

	"dialup":          {"ppp", "internal/status"},
	"dialup/capture":  {"ppp/hdlc", "ppp/vj"},
	"dialup/netstack": {},
	"dialup/exchange": {},

	"ppp":                 {"ppp/hdlc", "ppp/mschap", "ppp/mppe", "ppp/mppc", "ppp/vj", "ppp/deflate", "ppp/bsdcomp"},
	"ppp/hdlc":            {},
	"ppp/mschap":          {},
	"ppp/mppe":            {"ppp/mppc"},
	"ppp/mppc":            {},
	"ppp/vj":              {},
	"ppp/deflate":         {},
	"ppp/bsdcomp":         {},
	"ppp/internal/corpus": {},

	"mailrelay":           {"mailrelay/spool", "mailrelay/mimetree", "mailrelay/ntlm", "internal/status"},
	"mailrelay/authority": {},
	"mailrelay/mimetree":  {},
	"mailrelay/ntlm":      {"ppp/mschap"}, // NTLM's log-in is MS-CHAP's arithmetic
	"mailrelay/spool":     {},
	"mailrelay/provider":  {},

	"hw":               {},
	"web":              {"internal/status"},
	"internal/status":  {},
	"internal/config":  {},
	"internal/interop": {"*"},
}

// The engine is bytes and time in, bytes and events out.
var engineBans = []string{"net", "os", "sync", "context", "log", "log/slog"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsOnlyPointDown(t *testing.T) {
	const module = "postern/"
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s has no row in this test: say what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			ours, is := strings.CutPrefix(imported, module)
			if is && !slices.Contains(may, ours) && !slices.Contains(may, "*") {
				t.Errorf("%s imports %s, which it may not", name, ours)
			}
			if name == "ppp" && slices.Contains(engineBans, imported) {
				t.Errorf("the engine imports %s: it has no I/O, no locks and no clock", imported)
			}
			if strings.HasPrefix(imported, "gvisor.dev/") && name != "dialup/netstack" {
				t.Errorf("%s imports gVisor; only dialup/netstack may", name)
			}
			if imported == "github.com/tarm/serial" && name != "hw" {
				t.Errorf("%s imports tarm/serial; only hw may", name)
			}
		}
	}
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "postern/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
