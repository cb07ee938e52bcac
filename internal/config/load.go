package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Load reads, parses and checks a configuration file and the password files
// that it names (relative names are relative to its folder). The error is
// Faults, each with the file's name: all that are found, those of further
// checks among them.
func Load(path string, further ...func(*Config) error) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	c := defaults()
	refused, err := decode(text, &c)
	if errors.As(err, &errMisshapen{}) {
		return nil, In(path, err)
	}
	var found Faults
	errors.As(err, &found)
	dir := filepath.Dir(path)
	found = append(found, c.readSecrets(dir)...)
	c.fill()
	for i := range c.Upstreams {
		if ca := &c.Upstreams[i].CAFile; *ca != "" {
			*ca = absolute(dir, *ca)
		}
	}
	for _, check := range append(further, (*Config).check) {
		var more Faults
		if err := check(&c); errors.As(err, &more) {
			found = append(found, but(more, refused)...)
		} else if err != nil {
			found = append(found, err)
		}
	}
	if len(found) > 0 {
		return nil, In(path, found)
	}
	return &c, nil
}

// but leaves out the faults that speak of a key whose value has been refused:
// they may come from there ("has no port").
func but(faults Faults, refused []string) Faults {
	return slices.DeleteFunc(faults, func(fault error) bool {
		words := strings.FieldsFunc(fault.Error(), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) })
		return slices.ContainsFunc(refused, func(key string) bool { return slices.Contains(words, key) })
	})
}

// readSecrets fills the passwords that are kept in files of their own.
func (c *Config) readSecrets(dir string) (found Faults) {
	read := func(entry, key, file string, into *Secret) {
		if file == "" {
			return
		}
		if !into.Empty() {
			found.add("%s: both %s and %s_file are set; keep one", entry, key, key)
			return
		}
		text, err := os.ReadFile(absolute(dir, file))
		if err != nil {
			found.add("%s: %s_file: %w", entry, key, err)
			return
		}
		*into = NewSecret(strings.TrimRight(string(text), "\r\n"))
		if into.Empty() {
			found.add("%s: %s_file: %s is empty", entry, key, file)
		}
	}
	for i := range c.Users {
		u := &c.Users[i]
		entry := fmt.Sprintf("[[user]] %q", u.Name)
		read(entry, "dial_password", u.DialPasswordFile, &u.DialPassword)
		read(entry, "mail_password", u.MailPasswordFile, &u.MailPassword)
	}
	for i := range c.Upstreams {
		up := &c.Upstreams[i]
		read(fmt.Sprintf("[[upstream]] %q", up.Name), "password", up.PasswordFile, &up.Password)
	}
	return found
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
