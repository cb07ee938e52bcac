package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// autoAnswer is the command that lets a modem pick up by itself (V.250 6.3.8).
var autoAnswer = regexp.MustCompile(`(?i)S0*0=0*[1-9]`)

// Warnings says what is allowed in the configuration at path but hardly meant.
func (c *Config) Warnings(path string) []string {
	all := c.exposed(path)
	for _, l := range c.Lines {
		for _, command := range l.Init {
			if autoAnswer.MatchString(command) {
				all = append(all, fmt.Sprintf("[[line]] %q: init: %q lets the modem answer by itself; Postern sends ATS0=0 after it, as it answers by ATA", l.Name, command))
			}
		}
	}
	if host, _, err := net.SplitHostPort(c.Web.Listen); err == nil {
		if a, bad := netip.ParseAddr(host); host == "" || bad == nil && a.IsUnspecified() {
			all = append(all, fmt.Sprintf("[web] listen: %q: everyone on the network can read the status page, and there is no log-in; listen on 127.0.0.1 or on an address that only you can reach", c.Web.Listen))
		}
	}
	return all
}

// exposed names the files with passwords that every user of the computer can
// read.
func (c *Config) exposed(path string) (all []string) {
	var files []string
	inline := false
	hold := func(s Secret, file string) {
		switch {
		case file != "":
			files = append(files, absolute(filepath.Dir(path), file))
		case !s.Empty():
			inline = true
		}
	}
	for _, u := range c.Users {
		hold(u.DialPassword, u.DialPasswordFile)
		if !u.mailIsDial {
			hold(u.MailPassword, u.MailPasswordFile)
		}
	}
	for _, up := range c.Upstreams {
		hold(up.Password, up.PasswordFile)
	}
	if inline {
		files = append(files, path)
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		if at, err := os.Stat(file); err == nil && at.Mode().Perm()&0o004 != 0 {
			all = append(all, fmt.Sprintf("%s holds passwords, and every user of this computer can read it; run chmod 640 %s", file, file))
		}
	}
	return all
}
