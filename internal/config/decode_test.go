package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAValueOfTheWrongKindIsRefusedInWordsWithLineAndKey(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{`115200`, `"115200"`, "line 7: line.baud: a number is wanted, without quotes"},
		{`115200`, `0`, "line 7: line.baud: 0 is out of range; write 300 to 4000000"},
		{`115200`, `99999999999999999999`, "line 7: line.baud: 99999999999999999999 is out of range"},
		{`["ATZ", "AT&F&C1&D2S0=0"]`, `"ATZ"`, `line 8: line.init: a list is wanted: ["a", "b"]`},
		{`["ATZ", "AT&F&C1&D2S0=0"]`, "[\"ATZ\",\n7]", "line 9: line.init: a text is wanted, in quotes"},
		{`"prefer"`, `true`, `line 12: ppp.encryption: "true" is no encryption policy`},
		{`"prefer"`, `2`, `line 12: ppp.encryption: "2" is no encryption policy`},
		{`"prefer"`, `["prefer"]`, "line 12: ppp.encryption: one value is wanted, not a list"},
		{`"10.64.64.1"`, `"10.64.64.256"`, `line 14: ppp.local_ip: "10.64.64.256" is not an IPv4 address`},
		{`"10.64.64.1"`, `"fe80::g"`, `line 14: ppp.local_ip: "fe80::g" is not an IPv6 address`},
		{`"5m"`, `5`, `line 31: upstream.poll: 5 has no unit; write "5s"`},
		{`"5m"`, `"5"`, `line 31: upstream.poll: 5 has no unit; write 5ms, 5s or 5m`},
		{`"5m"`, `"0s"`, "line 31: upstream.poll: 0 is out of range; write 1s or more, or leave the key out"},
		{`"5m"`, `0`, `line 31: upstream.poll: 0 has no unit`},
		{"[[line]]", "rings = 1\n[[line]]", "line 4: rings is not a key"},
		{"name  = \"line1\"", "rings = 0", "line 5: line.rings: 0 is out of range; write 1 to 20"},
		{"[ppp]", "[ppp]\nvj = \"yes\"", "line 11: ppp.vj: true or false is wanted"},
		{"[ppp]", "[mail]\nquota = -1\n[ppp]", "line 11: mail.quota: a number of octets is not negative"},
		{"[ppp]", "[lan.ports]\nhttp = 70000\n[ppp]", "line 11: lan.ports.http: 70000 is out of range"},
		{`"alice"`, `7`, "line 18: user.name: a text is wanted, in quotes"},
		{"[[line]]", "[line]", "line 4: line: there may be several; write [[line]]"},
		{"[ppp]", "[[ppp]]", "line 10: ppp: there is only one; write [ppp]"},
		{"[ppp]", "[hostname]", "line 10: hostname: is a key, not a table"},
		{"[[line]]", "line = \"a\"\n[[line]]", "line 4: line: it is a table"},
		{"[ppp]", "[ppp]\nvj = true\nvj = true", "line 12: "},
	} {
		_, err := load(t, strings.Replace(example, tc.old, tc.new, 1))
		if err == nil || !strings.Contains(err.Error(), "postern.toml: "+tc.want) {
			t.Errorf("%s: want %q, got: %v", tc.new, tc.want, err)
		}
		if err != nil && (strings.Contains(err.Error(), "config.") || strings.Contains(err.Error(), "toml: toml")) {
			t.Errorf("%s: Go's own words are in the error: %v", tc.new, err)
		}
	}
}

func TestTheNearestKeyIsSuggested(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"[[line]]", "[[lines]]", "lines is not a key that Postern knows; did you mean [[line]]?"},
		{"baud  =", "buad  =", "line.buad is not a key that Postern knows; did you mean baud?"},
		{"[ppp]", "[pp]", "did you mean [ppp]?"},
		{"[ppp]", "[lan.prots]\nsmtp = 2525\n[ppp]", "did you mean [lan.ports]?"},
		{"addresses     =", "adresses =", "did you mean addresses?"},
		{"[ppp]", "[ppp]\nhovercraft = 1", "ppp.hovercraft is not a key that Postern knows\n"},
	} {
		_, err := load(t, strings.Replace(example, tc.old, tc.new, 1))
		if err == nil || !strings.Contains(err.Error()+"\n", tc.want) {
			t.Errorf("%s: want %q, got: %v", tc.new, tc.want, err)
		}
	}
}

func TestFaultsOfAllKindsAreToldInOneRunEachOnALineWithTheFile(t *testing.T) {
	text := strings.NewReplacer(
		`baud  =`, `bauds =`,
		`"/dev/ttyUSB0"`, `"COM1"`,
		`dial_password = "dial-s3cret"`, `dial_password_file = "nowhere.pw"`,
		`"alice@example.org"`, `"alice"`,
		`"{user}@example.org"`, `"{adress}"`,
	).Replace(example)
	_, err := load(t, text)
	if err == nil {
		t.Fatal("loaded")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, l := range lines {
		if !strings.Contains(l, "postern.toml: ") {
			t.Errorf("a line without the file: %s", l)
		}
	}
	for _, want := range []string{
		"postern.toml: line 7: line.bauds is not a key",
		`postern.toml: line 6: line.port: "COM1"`,
		`postern.toml: [[user]] "alice": dial_password_file: `,
		`postern.toml: [[user]] "alice": "alice" is not a mail address`,
		`postern.toml: [[upstream]] "isp": username: "{adress}" stands for nothing; write {user}`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	// What only follows from the others is left out: no port, no dial_password.
	if len(lines) != 5 {
		t.Errorf("want 5 faults, got %d:\n%v", len(lines), err)
	}
}

func TestOnlyOneBareAddressIsAnAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"alice@example.org": true, "a.b+c@example.org": true, "o'neil@mail.example.org": true,
		"alice@example.org,": false, "alice@example.org,bob@example.org": false, "alice@example.org;": false,
		"Alice <alice@example.org>": false, "<alice@example.org>": false, "alice": false, "@example.org": false,
		"alice@": false, "alice@exa mple.org": false, "alice@example.org\x00": false, "al\x07ice@example.org": false,
		"\"a,b\"@example.org": false, "alice@@example.org": false, "": false,
	} {
		if got := isAddress(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestAByteOrderMarkIsSkipped(t *testing.T) {
	if _, err := load(t, "\ufeff"+example); err != nil {
		t.Error(err)
	}
	if _, err := load(t, "\ufeffhostnam = 1\n"+example); err == nil || !strings.Contains(err.Error(), "line 1: hostnam") {
		t.Errorf("got: %v", err)
	}
}

func TestAnEmptyInitStaysEmpty(t *testing.T) {
	c, err := load(t, strings.Replace(example, `["ATZ", "AT&F&C1&D2S0=0"]`, `[]`, 1))
	if err != nil || len(c.Lines[0].Init) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestSpansAndSizesPrintAsTheyAreWritten(t *testing.T) {
	for want, d := range map[string]time.Duration{"5m": 5 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "90ms": 90 * time.Millisecond, "1m30s": 90 * time.Second, "0s": 0, "10s": 10 * time.Second} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v prints as %s", d, got)
		}
	}
	for want, s := range map[string]Size{"32MiB": 32 << 20, "900KiB": 900 << 10, "1GiB": 1 << 30, "1000 octets": 1000, "0 octets": 0} {
		if got := s.String(); got != want {
			t.Errorf("%d prints as %s", int64(s), got)
		}
	}
}

func TestWhatIsHardlyMeantIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "postern.toml"), filepath.Join(dir, "alice.pw")
	text := strings.NewReplacer(
		`dial_password = "dial-s3cret"`, `dial_password_file = "alice.pw"`,
		`"AT&F&C1&D2S0=0"`, `"ATS0=1"`,
	).Replace(example) + "[web]\nlisten = \"0.0.0.0:8080\"\n"
	for file, body := range map[string]string{path: text, secret: "s3cret\n"} {
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	warnings := func() string {
		t.Helper()
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.Warnings(path), "\n")
	}
	got := warnings()
	if !strings.Contains(got, `"ATS0=1" lets the modem answer by itself; Postern sends ATS0=0 after it`) || !strings.Contains(got, "everyone on the network can read the status page") {
		t.Errorf("got: %s", got)
	}
	if strings.Contains(got, "chmod") {
		t.Errorf("files that only we can read are warned of: %s", got)
	}
	for _, file := range []string{path, secret} {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := warnings(); !strings.Contains(got, file+" holds passwords, and every user of this computer can read it") || strings.Contains(got, "s3cret") {
			t.Errorf("got: %s", got)
		}
	}
}

func TestTheDefaultsAreWarnedOfNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(example+"[web]\nlisten = \"127.0.0.1:8080\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(path); len(w) > 0 {
		t.Errorf("got %q", w)
	}
}
