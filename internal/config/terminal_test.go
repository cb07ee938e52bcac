package config

import (
	"strings"
	"testing"
)

func TestTheTerminalIsSetInWords(t *testing.T) {
	var file struct {
		Terminal Terminal `toml:"terminal"`
	}
	if err := Decode([]byte("[terminal]\nlogin = \"prompt\"\nppp_auth = \"if-needed\"\n"), &file); err != nil {
		t.Fatal(err)
	}
	if want := (Terminal{LoginAtOnce, PPPAuthIfNeeded}); file.Terminal != want {
		t.Errorf("read as %v", file.Terminal)
	}
	for text, want := range map[string]string{
		"login = \"maybe\"":     "use return, prompt or off",
		"ppp_auth = \"never\"":  "use always or if-needed",
		"prompt = \"login\"":    "terminal.prompt is not a key",
		"ppp_auth = \"always\"": "",
	} {
		err := Decode([]byte("[terminal]\n"+text), &file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
