package main

import (
	"fmt"
	"io"
	"strings"

	"postern/internal/config"
)

func checkCommand(args []string, stdout, stderr io.Writer) error {
	fs := flags("check", stderr)
	file := fs.String("config", "/etc/postern.toml", "the configuration `FILE`")
	if err := parseWords(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 1 && fs.NFlag() == 0 {
		*file = fs.Arg(0)
	} else if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "appliance check: name one file, as in: appliance check %s\n", fs.Arg(0))
		return errUsage
	}
	cfg, err := config.Load(*file, checkUpstreams)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is valid. It means:\n\n", *file)
	explain(stdout, cfg)
	if warnings := cfg.Warnings(*file); len(warnings) > 0 {
		fmt.Fprintln(stdout)
		for _, w := range warnings {
			fmt.Fprintf(stdout, "Warning: %s\n", w)
		}
	}
	return nil
}

// checkUpstreams finds the faults in the addresses of providers and in the
// authorities that vouch for them, of which package config knows nothing.
func checkUpstreams(c *config.Config) error {
	_, err := upstreamAccounts(c)
	return err
}

// explain says in words what a configuration protects and what it does not.
func explain(w io.Writer, c *config.Config) {
	fmt.Fprintln(w, "Lines")
	for _, l := range c.Lines {
		fmt.Fprintf(w, "  %s: the modem at %s, answered after %s", l.Name, l.Port, count(l.Rings, "ring"))
		if len(l.Init) == 0 {
			fmt.Fprint(w, "; no init commands")
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\nCallers\n  log in by %s%s\n", join(c.PPP.Auth), clearTextWarning(c))
	fmt.Fprintf(w, "  data on the phone line: %s\n", encryptionWords(c.PPP.Encryption, c.PPP.MPPE))
	if len(c.PPP.Compression) > 0 {
		fmt.Fprintf(w, "  packets are compressed when the caller can: %s\n", join(c.PPP.Compression))
	}
	fmt.Fprintf(w, "  get an address of %s and reach POP3 (110, 995), IMAP (143, 993), SMTP (25, 587, 465), the root certificate (80) and DNS at %s, nothing else\n", c.PPP.Pool, c.PPP.LocalIP)
	fmt.Fprintf(w, "  mail programs use TLS if they like, %s\n", tlsWords(c.TLS.OldClients))
	if c.Mail.SamePerson {
		fmt.Fprintln(w, "  are logged in to their own mailbox by PPP: any mail password will do there")
	}
	fmt.Fprintf(w, "  may call the box %s\n", strings.Join(append([]string{c.Hostname}, c.Aliases...), ", "))
	if c.PPP.PasswordChange {
		fmt.Fprintf(w, "  may replace a password that has expired by one of %s or more (by mschapv2 or mschap)\n", count(c.PPP.MinPassword, "character"))
	}
	if c.PPP.GuessLimit > 0 {
		fmt.Fprintf(w, "  a number with %s within an hour is refused for an hour; who has logged in from there before is not\n", count(c.PPP.GuessLimit, "failed log-in"))
	}
	fmt.Fprintf(w, "  calls %s\n", limits(c.PPP.IdleLimit, c.PPP.SessionLimit))
	explainLAN(w, c.LAN)
	fmt.Fprintln(w, "\nUsers")
	for _, u := range c.Users {
		fmt.Fprintf(w, "  %s sends as %s, by upstream %s", u.Name, strings.Join(u.Addresses, ", "), u.Upstream)
		if up, ok := c.UpstreamOf(u); ok {
			fmt.Fprintf(w, " (logged in there as %s)", up.UsernameFor(u))
		}
		if u.Encryption != nil {
			fmt.Fprintf(w, "; data on the phone line: %s", encryptionWords(*u.Encryption, c.PPP.MPPE))
		}
		if u.LM {
			fmt.Fprint(w, "; may log in by LM, which protects the password badly")
		}
		if u.MustChangePassword {
			fmt.Fprint(w, "; must change the dial password at the first log-in")
		}
		if u.DialPasswordExpires != (config.Date{}) {
			fmt.Fprintf(w, "; dial password expires on %v", u.DialPasswordExpires)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\nUpstreams")
	for _, up := range c.Upstreams {
		roots := "the system's authorities"
		if up.CAFile != "" {
			roots = up.CAFile
		}
		fmt.Fprintf(w, "  %s: fetched from %s every %v, submitted to %s;\n", up.Name, up.Fetch, up.Poll, up.Submit)
		fmt.Fprintf(w, "    TLS 1.2 or newer, or nothing is sent; certificates verified by %s\n", roots)
	}
	page := "none"
	if c.Web.Listen != "" {
		page = "http://" + c.Web.Listen + "/ (read-only, no log-in)"
	}
	fmt.Fprintf(w, "\nThe box\n  keeps its mail in %s, messages up to %v\n  status page: %s\n", c.StateDir, c.Mail.MaxMessage, page)
}

func explainLAN(w io.Writer, l config.LAN) {
	if len(l.Listen) == 0 {
		return
	}
	fmt.Fprintf(w, "\nOffice\n  the mail services are offered at %s to %s, and to nobody else\n", join(l.Listen), join(l.Networks))
	fmt.Fprintln(w, "  mail is taken after a log-in only")
	if len(l.OldClients) > 0 {
		fmt.Fprintf(w, "  TLS %s: %s\n", tlsWords(true), join(l.OldClients))
	}
}

func tlsWords(old bool) string {
	if old {
		return "1.0 or newer, with RSA key exchange, 3DES and RC4 if they know no better"
	}
	return "1.2 or newer"
}

func clearTextWarning(c *config.Config) string {
	for _, m := range c.PPP.Auth {
		if m == config.PAP {
			return "\n  note: pap sends the password in clear text over the phone line"
		}
	}
	return ""
}

func encryptionWords(e config.Encryption, strengths []config.MPPE) string {
	switch e {
	case config.EncryptionOff:
		return "never encrypted"
	case config.EncryptionRequire:
		return "encrypted, or there is no call (MPPE " + join(strengths) + " bit)"
	}
	return "encrypted when the caller can (MPPE " + join(strengths) + " bit), else in clear text"
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// limits says when a call is ended; 0 is never.
func limits(idle, session config.Duration) string {
	switch {
	case idle == 0 && session == 0:
		return "last until the caller hangs up: there is no limit"
	case idle == 0:
		return fmt.Sprintf("end after %v, however long they are silent", session)
	case session == 0:
		return fmt.Sprintf("end after %v without traffic; with traffic they may last as long as they like", idle)
	}
	return fmt.Sprintf("end after %v without traffic, and after %v in any case", idle, session)
}
