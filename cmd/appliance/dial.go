package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"postern/dialup"
	"postern/internal/config"
	"postern/ppp"
)

// dialPlan is a call as its file and its flags describe it. Passwords are in
// files of their own: a command line can be read by everybody on the machine.
type dialPlan struct {
	Modem            config.Port        `toml:"modem"`
	Baud             int                `toml:"baud"`
	Init             []string           `toml:"init"`
	Number           string             `toml:"number"`
	User             string             `toml:"user"`
	PasswordFile     string             `toml:"password_file"`
	MailUser         string             `toml:"mail_user"`          // default: user
	MailPasswordFile string             `toml:"mail_password_file"` // default: password_file
	Auth             config.AuthMethods `toml:"auth"`
	Encryption       config.Encryption  `toml:"encryption"`
	Server           string             `toml:"server"`
	From             string             `toml:"from"`
	SendTo           string             `toml:"send_to"`
	Timeout          config.Duration    `toml:"timeout"`

	json, verbose bool
}

func newDialPlan() *dialPlan {
	return &dialPlan{
		Baud:       115200,
		Auth:       config.AuthMethods{config.MSCHAPv2, config.MSCHAP, config.CHAP, config.PAP},
		Encryption: config.EncryptionPrefer,
		Server:     "mail.postern.lan",
		Timeout:    config.Duration(5 * time.Minute),
	}
}

// dialCommand calls a number and does what a caller's PC does.
func dialCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	plan, err := parseDial(args, stderr)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if plan.verbose {
		log = newLog(stderr, slog.LevelDebug)
	}
	c, err := plan.client(log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(plan.Timeout),
		fmt.Errorf("the call took longer than --timeout %v", time.Duration(plan.Timeout)))
	defer cancel()
	told := stdout
	if plan.json {
		told = io.Discard
	}
	report := newSteps(told)
	result := c.run(ctx, report)
	err = report.end()
	if plan.json {
		return errors.Join(err, printJSON(stdout, struct {
			OK bool `json:"ok"`
			clientResult
			Steps []step `json:"steps"`
		}{err == nil, result, report.all()}))
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// parseDial reads the command line and completes what it plans.
func parseDial(args []string, stderr io.Writer) (*dialPlan, error) {
	plan, err := readPlan(newDialPlan, args, stderr)
	if err != nil {
		return nil, err
	}
	if err := plan.complete(); err != nil {
		fmt.Fprintf(stderr, "appliance dial: %v\n", err)
		return nil, errUsage
	}
	return plan, nil
}

func (p *dialPlan) flags(file *string, stderr io.Writer) *flag.FlagSet {
	fs := flags("dial", stderr)
	fs.StringVar(file, "config", "", "a `FILE` with the same as these flags, in TOML, - written as _")
	fs.Func("modem", "the `port` of the modem: /dev/ttyUSB0, a pty, or tcp://host:port", func(s string) error {
		return p.Modem.UnmarshalText([]byte(s))
	})
	fs.IntVar(&p.Baud, "baud", p.Baud, "`bit/s` between this computer and the modem")
	replaced := false
	fs.Func("init", "an AT `command` that prepares the modem, again for each (default ATZ)", func(s string) error {
		if !replaced {
			p.Init, replaced = nil, true
		}
		p.Init = append(p.Init, s)
		return nil
	})
	fs.StringVar(&p.Number, "number", p.Number, "the telephone `number` to call")
	fs.StringVar(&p.User, "user", p.User, "the log-in `name` for PPP")
	fs.StringVar(&p.PasswordFile, "password-file", p.PasswordFile, "a `FILE` with the password for PPP")
	fs.StringVar(&p.MailUser, "mail-user", p.MailUser, "the log-in `name` for the mailbox (default --user)")
	fs.StringVar(&p.MailPasswordFile, "mail-password-file", p.MailPasswordFile, "a `FILE` with its password (default --password-file)")
	fs.Func("auth", "the log-ins to agree to: `any`, encrypted, microsoft, or a list of mschapv2,mschap,chap,pap", p.setAuth)
	fs.Func("encryption", "of the phone line: off, `prefer` or require", func(s string) error { return p.Encryption.UnmarshalText([]byte(s)) })
	fs.StringVar(&p.Server, "server", p.Server, "the mail server's `name` or address")
	fs.StringVar(&p.SendTo, "send-to", p.SendTo, "send a test message to this `address`")
	fs.StringVar(&p.From, "from", p.From, "its sender, one of the user's `address`es")
	durationVar(fs, &p.Timeout, "timeout", "the longest `TIME` for the call")
	fs.BoolVar(&p.json, "json", false, "print the result as one JSON object, and nothing else")
	fs.BoolVar(&p.verbose, "verbose", false, "show the dialogue with the modem on standard error")
	return fs
}

func (p *dialPlan) setAuth(s string) error {
	if p.Auth.UnmarshalText([]byte(s)) == nil {
		return nil
	}
	var list config.AuthMethods
	for word := range strings.SplitSeq(s, ",") {
		var m config.AuthMethod
		if err := m.UnmarshalText([]byte(word)); err != nil {
			return err
		}
		list = append(list, m)
	}
	p.Auth = list
	return nil
}

// complete fills in what follows from the rest, and finds every fault.
func (p *dialPlan) complete() error {
	var errs []error
	need := func(value, flag string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("--%s is missing", flag))
		}
	}
	need(p.Modem.String(), "modem")
	need(p.Number, "number")
	need(p.User, "user")
	need(p.PasswordFile, "password-file")
	if p.Init == nil {
		p.Init = []string{"ATZ"}
	}
	if p.MailUser == "" {
		p.MailUser = p.User
	}
	if p.MailPasswordFile == "" {
		p.MailPasswordFile = p.PasswordFile
	}
	if p.From == "" && strings.Contains(p.MailUser, "@") {
		p.From = p.MailUser
	}
	if p.SendTo != "" {
		need(p.From, "from")
	}
	for _, address := range []string{p.From, p.SendTo} {
		if strings.ContainsAny(address, "\r\n <>") {
			errs = append(errs, fmt.Errorf("%q is not a mail address", address))
		}
	}
	if p.Timeout == 0 {
		errs = append(errs, errors.New("--timeout must be more than 0s"))
	}
	return errors.Join(errs...)
}

// client reads the passwords and prepares the call.
func (p *dialPlan) client(log *slog.Logger) (client, error) {
	password, err := readPassword(p.PasswordFile)
	if err != nil {
		return client{}, err
	}
	mailPassword, err := readPassword(p.MailPasswordFile)
	if err != nil {
		return client{}, err
	}
	c := client{
		number: p.Number, server: p.Server,
		mailUser: p.MailUser, mailPassword: mailPassword,
		from: p.From, sendTo: p.SendTo,
		modem: dialup.CallerConfig{
			Open: func(ctx context.Context) (dialup.Port, error) {
				return openHardware(ctx, config.Line{Port: p.Modem, Baud: p.Baud})
			},
			Init: p.Init, NewStack: gvisor, Log: log,
			PPP: ppp.Config{
				Rand: rand.Reader, Hostname: "oldpc", Name: p.User, Password: password,
				Encryption: pppPolicy(p.Encryption),
			},
		},
	}
	for _, m := range p.Auth {
		c.modem.PPP.Auth = append(c.modem.PPP.Auth, pppMethod(m))
	}
	return c, nil
}

// readPassword reads a password file; the last line break is not part of it.
func readPassword(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("the password file %s is empty", path)
	}
	return password, nil
}
