package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const example = `state_dir = "/var/lib/postern"
hostname  = "mail.postern.lan"

[[line]]
name  = "line1"
port  = "/dev/ttyUSB0"
baud  = 115200
init  = ["ATZ", "AT&F&C1&D2S0=0"]

[ppp]
auth       = ["mschapv2", "mschap", "chap", "pap"]
encryption = "prefer"
mppe       = ["128", "56", "40"]
local_ip   = "10.64.64.1"
pool       = "10.64.64.0/24"

[[user]]
name          = "alice"
dial_password = "dial-s3cret"
mail_password = "mail-s3cret"
addresses     = ["alice@example.org"]
upstream      = "isp"
encryption    = "require"

[[upstream]]
name      = "isp"
fetch     = "pop3s://pop.example.org:995"
submit    = "smtps://smtp.example.org:465"
username  = "{user}@example.org"
password  = "up-s3cret"
poll      = "5m"
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestTheDocumentedExampleLoads(t *testing.T) {
	c, err := load(t, example)
	if err != nil {
		t.Fatal(err)
	}
	alice, ok := c.User("alice")
	if !ok || alice.DialPassword.Reveal() != "dial-s3cret" || alice.MailPassword.Reveal() != "mail-s3cret" {
		t.Errorf("alice is not as written: %+v", alice)
	}
	if c.EncryptionFor(alice) != EncryptionRequire || c.PPP.Encryption != EncryptionPrefer {
		t.Error("alice's own encryption policy does not stand over the box's")
	}
	up, ok := c.UpstreamOf(alice)
	if !ok || up.UsernameFor(alice) != "alice@example.org" || time.Duration(up.Poll) != 5*time.Minute {
		t.Errorf("alice's provider is not as written: %+v", up)
	}
	if !slices.Equal(c.PPP.Auth, AuthMethods{MSCHAPv2, MSCHAP, CHAP, PAP}) || c.Lines[0].Port.Device != "/dev/ttyUSB0" {
		t.Errorf("not as written: %+v", c)
	}
}

func TestWhatIsNotSetHasItsDefault(t *testing.T) {
	c, err := load(t, without(example, "mail_password", "baud", "init", "poll", "state_dir", "hostname", "encryption    ="))
	if err != nil {
		t.Fatal(err)
	}
	alice, _ := c.User("alice")
	if alice.MailPassword.Reveal() != "dial-s3cret" {
		t.Error("the mail password is not the dial password by default")
	}
	if l := c.Lines[0]; l.Baud != 115200 || len(l.Init) != 2 || l.Rings != 1 || !*l.CallerID {
		t.Errorf("line defaults: %+v", l)
	}
	if c.EncryptionFor(alice) != EncryptionPrefer || alice.LM || c.StateDir == "" || c.Hostname == "" || time.Duration(c.Upstreams[0].Poll) != 5*time.Minute {
		t.Errorf("defaults: %+v", c)
	}
}

func TestTheThreePoliciesOfTheDialUpDialog(t *testing.T) {
	for policy, want := range map[string]AuthMethods{
		"any":       {MSCHAPv2, MSCHAP, CHAP, PAP},
		"encrypted": {MSCHAPv2, MSCHAP, CHAP},
		"microsoft": {MSCHAPv2, MSCHAP},
	} {
		c, err := load(t, strings.Replace(example, `["mschapv2", "mschap", "chap", "pap"]`, `"`+policy+`"`, 1))
		if err != nil {
			t.Errorf("%s: %v", policy, err)
			continue
		}
		if !slices.Equal(c.PPP.Auth, want) {
			t.Errorf("%s gives %v, want %v", policy, c.PPP.Auth, want)
		}
	}
}

func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	cases := []struct {
		name, old, new string
		want           []string
	}{
		{"unknown key", `baud  = 115200`, `bauds = 115200`, []string{"line 7", "line.bauds"}},
		{"unknown table", `[ppp]`, `[pppp]`, []string{"line 10", "pppp"}},
		{"broken TOML", `baud  = 115200`, `baud  = `, []string{"line 7"}},
		{"port", `"/dev/ttyUSB0"`, `"COM1"`, []string{"line 6", "COM1", "tcp://"}},
		{"tcp port", `"/dev/ttyUSB0"`, `"tcp://modem"`, []string{"line 6", "host:port"}},
		{"encryption", `"prefer"`, `"always"`, []string{"line 12", "off, prefer or require"}},
		{"auth", `"mschap", "chap"`, `"mschapv3", "chap"`, []string{"line 11", "mschapv3"}},
		{"mppe", `"56"`, `"64"`, []string{"line 13", "128, 56 or 40"}},
		{"mppe_mode", `"prefer"`, "\"prefer\"\nmppe_mode = \"sometimes\"", []string{"line 13", "any, stateless or stateful"}},
		{"compression", `"prefer"`, "\"prefer\"\ncompression = [\"lzs\"]", []string{"line 13", "mppc, deflate or bsd"}},
		{"tries", `"prefer"`, "\"prefer\"\ntries = 0", []string{"tries", "1 to 10"}},
		{"wins", `"prefer"`, "\"prefer\"\nwins = [\"::1\"]", []string{"wins", "IPv4"}},
		{"pool", `"10.64.64.0/24"`, `"10.64.64.0/31"`, []string{"line 15", "/31"}},
		{"poll", `"5m"`, `"often"`, []string{"line 31", "often", "5m"}},
		{"type", `115200`, `"fast"`, []string{"line 7", "baud"}},
		{"upstream", `upstream      = "isp"`, `upstream      = "ips"`, []string{`"alice"`, `"ips"`}},
		{"no password", `dial_password = "dial-s3cret"`, ``, []string{`"alice"`, "dial_password"}},
		{"two passwords", `dial_password = "dial-s3cret"`, "dial_password = \"dial-s3cret\"\ndial_password_file = \"x\"", []string{`"alice"`, "keep one"}},
		{"init", `"ATZ"`, `"+++"`, []string{`"line1"`, "+++"}},
		{"hostname", `"mail.postern.lan"`, `"mail.postern.lan\u0000"`, []string{"hostname"}},
		{"alias", `hostname  =`, "aliases = [\"*\"]\nhostname  =", []string{"aliases", "*"}},
		{"no key length for a user", "\"prefer\"\nmppe       = [\"128\", \"56\", \"40\"]", "\"off\"\nmppe = []", []string{"mppe: is empty"}},
		{"address", `"alice@example.org"`, `"alice"`, []string{`"alice"`, "mail address"}},
		{"keys without Microsoft", `["mschapv2", "mschap", "chap", "pap"]`, `["chap"]`, []string{`"alice"`, "mschapv2"}},
		{"state_dir", `"/var/lib/postern"`, `"postern"`, []string{"state_dir", "absolute"}},
		{"guess_limit", `local_ip   =`, "guess_limit = 1000\nlocal_ip   =", []string{"guess_limit", "1000"}},
		{"date", `upstream      =`, "dial_password_expires = \"1.12.2026\"\nupstream      =", []string{"dial_password_expires"}},
		{"no such day", `upstream      =`, "dial_password_expires = 2026-02-30\nupstream      =", []string{"line 22"}},
		{"a change that cannot be made", `upstream      =`, "must_change_password = true\nupstream      =", []string{`"alice"`, "password_change"}},
		{"password_change without Microsoft", "auth       = [\"mschapv2\", \"mschap\", \"chap\", \"pap\"]\nencryption = \"prefer\"", "auth = [\"pap\"]\npassword_change = true", []string{"password_change", "mschapv2"}},
		{"password_min_length", `local_ip   =`, "password_min_length = 0\nlocal_ip   =", []string{"password_min_length"}},
		{"lm without mschap", example, strings.NewReplacer(`"mschap", "chap", "pap"`, `"pap"`, `mail_password =`, "lm = true\nmail_password =").Replace(example), []string{`"alice"`, "lm needs mschap"}},
		{"lm with a long password", `dial_password = "dial-s3cret"`, "lm = true\ndial_password = \"longer than s3cret\"", []string{`"alice"`, "14"}},
		{"local_ip", `"10.64.64.1"`, `"::1"`, []string{"local_ip", "IPv4"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(example, tc.old) {
				t.Fatalf("the example does not hold %q", tc.old)
			}
			_, err := load(t, strings.Replace(example, tc.old, tc.new, 1))
			if err == nil {
				t.Fatal("loaded without an error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a password is in the error: %v", err)
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := load(t, "state_dir = \"x\"\nhostname = \"a b\"\n")
	if err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("want the faults one a line, got: %v", err)
	}
}

func TestSecretsComeFromFilesAndNeverPrint(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alice.pw"), []byte("from-file s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "postern.toml")
	text := strings.Replace(example, `dial_password = "dial-s3cret"`, `dial_password_file = "alice.pw"`, 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Users[0].DialPassword.Reveal(); got != "from-file s3cret" {
		t.Errorf("the password read is %d octets, not the file's line", len(got))
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "secret", c.Users[0].DialPassword)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", *c), "%+v": fmt.Sprintf("%+v", *c), "%#v": fmt.Sprintf("%#v", *c),
		"%s": fmt.Sprintf("%s", c.Users[0].DialPassword), "%q": fmt.Sprintf("%q", c.Users[0].DialPassword), "%x": fmt.Sprintf("%x", c.Users[0].DialPassword),
		"slog": log.String(), "json": string(asJSON),
	} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("%s prints a password", how)
		}
	}
}

func TestAPasswordLineWithAMistakeIsNotPrinted(t *testing.T) {
	_, err := load(t, strings.Replace(example, `"dial-s3cret"`, `"dial-s3cret`, 1))
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error shows the password or is none: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("[[line]]\nport = 7\n[web]\nlisten = \"\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := defaults()
		_ = Decode(text, &c)
		c.fill()
		_ = c.check() // must not panic, whatever was refused
		_ = c.Warnings("nowhere.toml")
	})
}

// without removes the lines that begin with one of the keys.
func without(text string, keys ...string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(l, k) })
	})
	return strings.Join(lines, "\n")
}
