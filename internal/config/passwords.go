package config

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Passwords are the users' passwords as they are now: those of the
// configuration, and those that callers have changed since, which are kept in a
// file. Its methods may be called by all lines at once.
//
// A changed password stands over the configured one for as long as that is the
// one it replaced: an admin who sets another in the configuration wins.
type Passwords struct {
	path string

	mu      sync.Mutex
	changed map[string]changedPassword // by key
}

type changedPassword struct {
	password Secret
	at       time.Time
	replaced saltedHash // of the configured one
}

// passwordFile is the file's JSON.
type passwordFile struct {
	Format int                     `json:"format"` // 1
	Users  map[string]passwordLine `json:"users"`  // by name, in small letters
}

type passwordLine struct {
	Password string     `json:"password"` // in clear, as CHAP needs it
	Changed  time.Time  `json:"changed"`
	Replaced saltedHash `json:"replaced"`
}

// saltedHash recognises the configured password without holding it a second
// time: PBKDF2 with SHA-256 (RFC 8018 section 5.2).
type saltedHash struct {
	Salt []byte `json:"salt"`
	Hash []byte `json:"hash"`
}

const (
	passwordFormat = 1
	// hashRounds take some 5 ms, and a small board ten times that, once for each
	// changed password when the box starts.
	hashRounds = 10_000
	saltLen    = 16
)

// OpenPasswords reads the changed passwords; a file that does not exist holds
// none. Those that no longer stand, as the user is gone or has another password
// in the configuration, are forgotten for good.
func OpenPasswords(path string, users []User) (*Passwords, error) {
	p := &Passwords{path: path, changed: make(map[string]changedPassword)}
	// A power cut in the middle of a change leaves it.
	if err := remove(p.fresh()); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the passwords that callers have changed cannot be read: %w", err)
	}
	var file passwordFile
	// The error of the decoder is not shown: it may quote the file.
	if err := json.Unmarshal(text, &file); err != nil || file.Format != passwordFormat {
		return nil, fmt.Errorf("%s, with the passwords that callers have changed, is damaged or from another version; restore it, or remove it to go back to the passwords of the configuration", path)
	}
	for _, u := range users {
		if l, found := file.Users[u.key()]; found && l.Password != "" && l.Replaced.is(u.DialPassword) {
			p.changed[u.key()] = changedPassword{NewSecret(l.Password), l.Changed, l.Replaced}
		}
	}
	if len(p.changed) < len(file.Users) {
		if err := p.save(p.changed); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Format prints the path: fmt does not ask a Secret that no one exported.
func (p *Passwords) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "passwords in %s", p.path) }

// key is what callers, who type their names in any case, have in common.
func (u User) key() string { return strings.ToLower(u.Name) }

// Dial returns a user's password for PPP, and when it was changed by the
// caller; zero if it is the configured one.
func (p *Passwords) Dial(u User) (password Secret, changed time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, found := p.changed[u.key()]; found {
		return c.password, c.at
	}
	return u.DialPassword, time.Time{}
}

// Mail returns a user's password for POP3 and SMTP, which follows the one for
// PPP unless it is one of its own.
func (p *Passwords) Mail(u User) Secret {
	if !u.mailIsDial {
		return u.MailPassword
	}
	password, _ := p.Dial(u)
	return password
}

// Expired reports whether the user must have another password for PPP. A
// password that was set on the day of the date or later does not expire by it.
func (p *Passwords) Expired(u User, now time.Time) bool {
	_, changed := p.Dial(u)
	if u.MustChangePassword && changed.IsZero() {
		return true
	}
	if u.DialPasswordExpires == (Date{}) {
		return false
	}
	end := u.DialPasswordExpires.AsTime(now.Location())
	return !now.Before(end) && changed.Before(end)
}

// Change replaces a user's password for PPP, which is from now, by to. When it
// returns nil the new one is on the disk; if not, the old one stands.
func (p *Passwords) Change(u User, from, to Secret, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	present := u.DialPassword
	if c, found := p.changed[u.key()]; found {
		present = c.password
	}
	if present != from {
		return errors.New("it was changed in another call meanwhile")
	}
	changed := maps.Clone(p.changed)
	changed[u.key()] = changedPassword{to, now, newSaltedHash(u.DialPassword)}
	if err := p.save(changed); err != nil {
		// If the new file is there, and only its name may be lost, the old contents
		// go back: what stands after a restart is what the caller was told.
		_ = p.save(p.changed)
		return err
	}
	p.changed = changed
	return nil
}

// save writes the file so that a power cut leaves the old one or the new one.
func (p *Passwords) save(changed map[string]changedPassword) error {
	file := passwordFile{Format: passwordFormat, Users: make(map[string]passwordLine)}
	for key, c := range changed {
		file.Users[key] = passwordLine{c.password.Reveal(), c.at, c.replaced}
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	if err := enc.Encode(file); err != nil {
		return fmt.Errorf("the changed passwords cannot be written: %w", err)
	}
	err := writeDurably(p.fresh(), text.Bytes())
	if err == nil {
		err = os.Rename(p.fresh(), p.path)
	}
	if err != nil {
		return fmt.Errorf("the changed passwords cannot be written: %w", errors.Join(err, remove(p.fresh())))
	}
	if err := syncDir(filepath.Dir(p.path)); err != nil {
		return fmt.Errorf("the changed passwords may be lost by a power cut: %w", err)
	}
	return nil
}

// fresh is the file while it is being written.
func (p *Passwords) fresh() string { return p.path + ".new" }

// writeDurably makes a file that only we can read, and waits for the disk.
func writeDurably(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir waits until the names in a folder are on the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newSaltedHash(s Secret) saltedHash {
	h := saltedHash{Salt: make([]byte, saltLen)}
	rand.Read(h.Salt) // never fails: the program ends without randomness
	h.Hash = h.of(s)
	return h
}

func (h saltedHash) of(s Secret) []byte {
	sum, err := pbkdf2.Key(sha256.New, s.Reveal(), h.Salt, hashRounds, sha256.Size)
	if err != nil {
		return nil // a mode that allows no short salts or passwords; nothing is recognised
	}
	return sum
}

func (h saltedHash) is(s Secret) bool {
	sum := h.of(s)
	return sum != nil && subtle.ConstantTimeCompare(sum, h.Hash) == 1
}
