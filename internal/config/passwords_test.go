package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// users are alice, whose mail password is the dial password, and bob.
func users(t *testing.T, alicePassword string) []User {
	t.Helper()
	c := Config{Users: []User{
		{Name: "Alice", DialPassword: NewSecret(alicePassword)},
		{Name: "bob", DialPassword: NewSecret("bob-s3cret"), MailPassword: NewSecret("bob-mail-s3cret")},
	}}
	c.fill()
	return c.Users
}

func openPasswords(t *testing.T, dir string, users []User) *Passwords {
	t.Helper()
	p, err := OpenPasswords(filepath.Join(dir, "passwords.json"), users)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func change(t *testing.T, p *Passwords, u User, from, to string) {
	t.Helper()
	if err := p.Change(u, NewSecret(from), NewSecret(to), noon); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, p *Passwords, u User, dial, mail string) {
	t.Helper()
	if got, _ := p.Dial(u); got.Reveal() != dial {
		t.Errorf("%s's dial password is %q, not %q", u.Name, got.Reveal(), dial)
	}
	if got := p.Mail(u); got.Reveal() != mail {
		t.Errorf("%s's mail password is %q, not %q", u.Name, got.Reveal(), mail)
	}
}

func TestAChangedPasswordStandsOverTheConfiguredOneAndSurvivesARestart(t *testing.T) {
	dir, all := t.TempDir(), users(t, "old-s3cret")
	p := openPasswords(t, dir, all)
	holds(t, p, all[0], "old-s3cret", "old-s3cret")
	change(t, p, all[0], "old-s3cret", "new-s3cret")
	change(t, p, all[1], "bob-s3cret", "bob-new-s3cret")
	change(t, p, all[0], "new-s3cret", "newer-s3cret")
	for range 2 {
		holds(t, p, all[0], "newer-s3cret", "newer-s3cret")
		holds(t, p, all[1], "bob-new-s3cret", "bob-mail-s3cret")
		if _, at := p.Dial(all[0]); !at.Equal(noon) {
			t.Errorf("changed at %v", at)
		}
		p = openPasswords(t, dir, all)
	}
	info, err := os.Stat(filepath.Join(dir, "passwords.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v (%v)", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

func TestAnAdminWhoSetsAnotherPasswordWinsForGood(t *testing.T) {
	dir := t.TempDir()
	p := openPasswords(t, dir, users(t, "old-s3cret"))
	change(t, p, users(t, "old-s3cret")[0], "old-s3cret", "new-s3cret")
	set := users(t, "set-s3cret")
	holds(t, openPasswords(t, dir, set), set[0], "set-s3cret", "set-s3cret")
	back := users(t, "old-s3cret")
	holds(t, openPasswords(t, dir, back), back[0], "old-s3cret", "old-s3cret")
	if text, err := os.ReadFile(filepath.Join(dir, "passwords.json")); err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("the file still holds a password that nobody has (%v)", err)
	}
}

func TestAPowerCutInTheMiddleOfAChangeLeavesTheOldPasswords(t *testing.T) {
	dir, all := t.TempDir(), users(t, "old-s3cret")
	change(t, openPasswords(t, dir, all), all[0], "old-s3cret", "new-s3cret")
	half := filepath.Join(dir, "passwords.json.new")
	if err := os.WriteFile(half, []byte(`{"format":1,"users":{"alice":{"password":"newer-s3`), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, openPasswords(t, dir, all), all[0], "new-s3cret", "new-s3cret")
	if _, err := os.Stat(half); err == nil {
		t.Error("half a file of passwords is left over")
	}
}

func TestThePasswordOfAUserWhoIsGoneIsForgotten(t *testing.T) {
	dir, all := t.TempDir(), users(t, "old-s3cret")
	change(t, openPasswords(t, dir, all), all[0], "old-s3cret", "new-s3cret")
	openPasswords(t, dir, all[1:])
	holds(t, openPasswords(t, dir, all), all[0], "old-s3cret", "old-s3cret")
}

func TestAChangeThatCannotBeStoredDoesNotStand(t *testing.T) {
	all := users(t, "old-s3cret")
	p := openPasswords(t, filepath.Join(t.TempDir(), "gone"), all)
	err := p.Change(all[0], NewSecret("old-s3cret"), NewSecret("new-s3cret"), noon)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error: %v", err)
	}
	holds(t, p, all[0], "old-s3cret", "old-s3cret")
}

func TestOfTwoChangesAtOnceOneStands(t *testing.T) {
	all := users(t, "old-s3cret")
	p := openPasswords(t, t.TempDir(), all)
	done := make(chan error)
	for i := range 2 {
		go func() {
			done <- p.Change(all[0], NewSecret("old-s3cret"), NewSecret(fmt.Sprint("new-s3cret-", i)), noon)
		}()
	}
	if a, b := <-done, <-done; (a == nil) == (b == nil) {
		t.Errorf("the errors are %v and %v", a, b)
	}
}

func TestADamagedPasswordFileIsNeitherUsedNorOverwritten(t *testing.T) {
	for _, text := range []string{"", "{", `{"format":2,"users":{}}`, `{"format":1,"users":{"alice":"s3cret"}}`, "s3cret"} {
		path := filepath.Join(t.TempDir(), "passwords.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenPasswords(path, users(t, "old-s3cret"))
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("%q has become %q", text, kept)
		}
	}
}

func TestChangedPasswordsDoNotPrint(t *testing.T) {
	all := users(t, "old-s3cret")
	p := openPasswords(t, t.TempDir(), all)
	change(t, p, all[0], "old-s3cret", "new-s3cret")
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p)} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestAPasswordExpiresOnTheDayAndNotIfItWasSetSince(t *testing.T) {
	day := Date{Year: 2026, Month: 12, Day: 1}
	before, begins := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		expires Date
		must    bool
		changed time.Time
		now     time.Time
		want    bool
	}{
		"no date":                       {now: begins},
		"the day before":                {expires: day, now: before},
		"the day":                       {expires: day, now: begins, want: true},
		"changed before the day":        {expires: day, changed: noon, now: begins, want: true},
		"changed on the day":            {expires: day, changed: begins, now: begins.AddDate(1, 0, 0)},
		"must be changed":               {must: true, now: noon, want: true},
		"must be changed, and has been": {must: true, changed: noon, now: begins},
	} {
		u := users(t, "old-s3cret")[0]
		u.DialPasswordExpires, u.MustChangePassword = tc.expires, tc.must
		p := openPasswords(t, t.TempDir(), []User{u})
		if !tc.changed.IsZero() {
			if err := p.Change(u, NewSecret("old-s3cret"), NewSecret("new-s3cret"), tc.changed); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.Expired(u, tc.now); got != tc.want {
			t.Errorf("%s: expired is %v", name, got)
		}
	}
}

func TestADateIsWrittenWithOrWithoutQuotes(t *testing.T) {
	for _, text := range []string{`2026-12-01`, `"2026-12-01"`} {
		c, err := load(t, strings.Replace(example, `upstream      =`, "dial_password_expires = "+text+"\nupstream      =", 1))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Users[0].DialPasswordExpires; got != (Date{Year: 2026, Month: 12, Day: 1}) || got.String() != "2026-12-01" {
			t.Errorf("%s is %v", text, got)
		}
	}
}
