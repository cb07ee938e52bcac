package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"postern/internal/config"
	"postern/ppp"
	"postern/ppp/mppe"
)

// demoOptions is the call that the demo makes.
type demoOptions struct {
	auth       ppp.AuthMethod
	encryption ppp.Policy
	strength   mppe.Strength
	rate       int           // bit/s of the line
	latency    time.Duration // one way
	asJSON     bool
	stay       bool
	log        *slog.Logger
	stack      newStack // of the box's end
}

// demoResult is what a demo has seen; its JSON names are documented.
type demoResult struct {
	OK          bool    `json:"ok"`
	Auth        string  `json:"auth"`
	Encryption  string  `json:"encryption"`
	ConnectRate int     `json:"connect_rate"` // bit/s
	Fetched     int     `json:"fetched"`      // messages, every byte compared
	Sent        int     `json:"sent"`         // messages, every byte compared at the provider
	BytesUp     int64   `json:"bytes_up"`     // on the line, from the caller
	BytesDown   int64   `json:"bytes_down"`   // on the line, to the caller
	Seconds     float64 `json:"seconds"`      // from dialling to the hang-up
	UpstreamTLS string  `json:"upstream_tls"`
	Verdict     string  `json:"verdict"` // how the box says that the call ended
	Error       string  `json:"error,omitempty"`
}

func demoCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("demo", stderr)
	auth := fs.String("auth", "mschapv2", "how the caller logs in: mschapv2, mschap, chap or pap")
	encryption := fs.String("encryption", "", "of the phone line: 128, 56, 40 or off (default 128, or off where --auth makes no keys)")
	rate := fs.Int("rate", 33600, "of the telephone line, in bit/s")
	latency := config.Duration(60 * time.Millisecond)
	durationVar(fs, &latency, "latency", "of the telephone line, one way")
	asJSON := fs.Bool("json", false, "print the result as one JSON object, and nothing else")
	stay := fs.Bool("stay", false, "keep everything running afterwards, to be dialled from an emulator")
	verbose := fs.Bool("verbose", false, "show the box's log on standard error")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	opt := demoOptions{rate: *rate, latency: time.Duration(latency), asJSON: *asJSON, stay: *stay, stack: gvisor, log: slog.New(slog.DiscardHandler)}
	if *verbose {
		opt.log = newLog(stderr, slog.LevelDebug)
	}
	if err := opt.choose(*auth, *encryption); err != nil {
		fmt.Fprintf(stderr, "appliance demo: %v\n", err)
		return errUsage
	}

	told := stdout
	if opt.asJSON {
		told = io.Discard
	}
	tale := newStory(told)
	result, err := runDemo(ctx, opt, tale)
	result.OK = err == nil
	if err != nil {
		result.Error = err.Error()
	}
	if opt.asJSON {
		return errors.Join(err, printJSON(stdout, result))
	}
	if err == nil && !opt.stay {
		tale.summary(result)
	}
	return err
}

// choose sets the log-in and the encryption from the words of the command line.
func (o *demoOptions) choose(auth, encryption string) error {
	methods := map[string]ppp.AuthMethod{"mschapv2": ppp.MSCHAPv2, "mschap": ppp.MSCHAP, "chap": ppp.CHAPMD5, "pap": ppp.PAP}
	strengths := map[string]mppe.Strength{"128": mppe.Bits128, "56": mppe.Bits56, "40": mppe.Bits40}
	var ok bool
	if o.auth, ok = methods[strings.ToLower(auth)]; !ok {
		return fmt.Errorf("--auth %s is not known; use mschapv2, mschap, chap or pap", auth)
	}
	if o.rate < 300 || o.rate > 921_600 {
		return fmt.Errorf("--rate %d is out of range; 300 to 921600", o.rate)
	}
	if o.latency < 0 || o.latency > 10*time.Second {
		return fmt.Errorf("--latency %v is out of range; 0s to 10s", o.latency)
	}
	keys := o.auth == ppp.MSCHAP || o.auth == ppp.MSCHAPv2
	switch {
	case encryption == "" && keys:
		encryption = "128"
	case encryption == "" || encryption == "off":
		o.encryption = ppp.EncryptionOff
		return nil
	}
	if o.strength, ok = strengths[encryption]; !ok {
		return fmt.Errorf("--encryption %s is not known; use 128, 56, 40 or off", encryption)
	}
	if !keys {
		return fmt.Errorf("--encryption %s needs --auth mschapv2 or mschap: %v makes no keys", encryption, o.auth)
	}
	o.encryption = ppp.EncryptionRequire
	return nil
}
