package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Load reads, parses and checks a configuration file and the password files
// that it names (relative names are relative to its folder). All faults of the
// contents are reported at once.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	c, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := c.readSecrets(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.fill()
	for i := range c.Upstreams {
		if ca := &c.Upstreams[i].CAFile; *ca != "" {
			*ca = absolute(dir, *ca)
		}
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

func parse(text []byte) (*Config, error) {
	c := defaults()
	if err := Decode(text, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// Decode reads TOML into a struct. The error names the lines of keys that the
// struct does not have, or of the value that does not fit, and never the
// value: it may be a password.
func Decode(text []byte, into any) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Errorf("line %d: %s is not a key that Postern knows", line, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		// The key, not the text of the line: that may be a password.
		where := strings.Join(wrong.Key(), ".")
		if where != "" {
			where += ": "
		}
		return fmt.Errorf("line %d: %s%s", line, where, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// readSecrets fills the passwords that are kept in files of their own.
func (c *Config) readSecrets(dir string) error {
	read := func(entry, key, file string, into *Secret) error {
		if file == "" {
			return nil
		}
		if !into.Empty() {
			return fmt.Errorf("%s: both %s and %s_file are set; keep one", entry, key, key)
		}
		text, err := os.ReadFile(absolute(dir, file))
		if err != nil {
			return fmt.Errorf("%s: %s_file: %w", entry, key, err)
		}
		*into = NewSecret(strings.TrimRight(string(text), "\r\n"))
		if into.Empty() {
			return fmt.Errorf("%s: %s_file: %s is empty", entry, key, file)
		}
		return nil
	}
	for i := range c.Users {
		u := &c.Users[i]
		entry := fmt.Sprintf("[[user]] %q", u.Name)
		if err := errors.Join(
			read(entry, "dial_password", u.DialPasswordFile, &u.DialPassword),
			read(entry, "mail_password", u.MailPasswordFile, &u.MailPassword),
		); err != nil {
			return err
		}
	}
	for i := range c.Upstreams {
		up := &c.Upstreams[i]
		if err := read(fmt.Sprintf("[[upstream]] %q", up.Name), "password", up.PasswordFile, &up.Password); err != nil {
			return err
		}
	}
	return nil
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
