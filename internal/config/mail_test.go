package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const mailBase = `
[[line]]
name = "a"
port = "/dev/ttyUSB0"
[[upstream]]
name = "isp"
fetch = "pop3s://pop.example.org"
submit = "smtps://smtp.example.org"
username = "{user}"
password = "x"
[[user]]
name = "alice"
dial_password = "secret-a"
addresses = ["alice@example.org"]
upstream = "isp"
`

func loadMail(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestMailIsBoundedByTheBoxAndByTheUsersOwnQuota(t *testing.T) {
	c, err := loadMail(t, mailBase+`quota = "10MiB"
[[user]]
name = "bob"
dial_password = "secret-b"
addresses = ["bob@example.org"]
upstream = "isp"
[mail]
quota = "100MiB"
quota_messages = 500
resend_window = "0s"
status_after = "1h"
`)
	if err != nil {
		t.Fatal(err)
	}
	if q := c.QuotaFor("alice"); q != (Quota{10 << 20, 500}) {
		t.Errorf("alice: %+v", q)
	}
	if q := c.QuotaFor("bob"); q != (Quota{100 << 20, 500}) {
		t.Errorf("bob: %+v", q)
	}
	if m := c.Mail; m.ResendWindow != 0 || time.Duration(m.StatusAfter) != time.Hour || time.Duration(m.DoubtDelay) != 30*time.Minute || time.Duration(m.DelayNotice) != 4*time.Hour {
		t.Errorf("%+v", m)
	}
}

func TestMailSettingsThatCannotBeMeantAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`doubt_delay = "1s"`:       "doubt_delay is shorter",
		`resend_window = "9000h"`:  "resend_window is longer",
		`quota_messages = -1`:      "quota_messages: -1",
		`quota = "a lot"`:          "is not a size",
		`delay_notice = "-1h"`:     "is not a time span",
		`status_after = "forever"`: "is not a time span",
	} {
		if _, err := loadMail(t, mailBase+"[mail]\n"+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
