package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Secret is a password. It cannot be printed: every format and every log shows
// a mark in its place; Reveal is the only way to the text.
type Secret struct{ text string }

const redacted = "[secret]"

// NewSecret wraps a password.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the password itself.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether no password is set.
func (s Secret) Empty() bool { return s.text == "" }

// Format prints the mark for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue prints the mark.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText prints the mark.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the password from the file.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// Duration is a time span written as "90s", "5m" or "1h30m".
type Duration time.Duration

// UnmarshalText parses a time span that is not negative.
func (d *Duration) UnmarshalText(b []byte) error {
	if n, err := strconv.ParseUint(string(b), 10, 63); err == nil && n > 0 {
		return fmt.Errorf("%d has no unit; write %dms, %ds or %dm", n, n, n, n)
	}
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a time span; write it as 90s, 5m or 1h30m", b)
	}
	*d = Duration(v)
	return nil
}

// String is the span as a person writes it: 5m, not 5m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// Date is a day, written as 2026-12-01 with or without quotes; the zero Date is
// none. TOML has a type for it.
type Date = toml.LocalDate

// Size is a number of octets written as "32MiB", "900KiB" or plain octets.
type Size int64

// UnmarshalText parses a size.
func (s *Size) UnmarshalText(b []byte) error {
	text, unit := strings.TrimSpace(string(b)), int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if head, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = strings.TrimSpace(head), n
		}
	}
	n, err := strconv.ParseInt(text, 10, 40)
	if err != nil || n <= 0 || n > 1<<40/unit {
		return fmt.Errorf("%q is not a size; write it as 32MiB, 900KiB or a number of octets", b)
	}
	*s = Size(n * unit)
	return nil
}

// String is the size with the largest unit that leaves no rest.
func (s Size) String() string {
	for i, unit := range [...]string{"GiB", "MiB", "KiB"} {
		if n := Size(1) << (30 - 10*i); s != 0 && s%n == 0 {
			return strconv.FormatInt(int64(s/n), 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10) + " octets"
}

// Port says where a modem is: a device, or a host and port for a modem or
// emulator behind a socket.
type Port struct {
	Device string // path, empty when Addr is set
	Addr   string // host:port, empty when Device is set
}

// UnmarshalText parses "/dev/ttyUSB0" or "tcp://host:port".
func (p *Port) UnmarshalText(b []byte) error {
	text := string(b)
	if addr, ok := strings.CutPrefix(text, "tcp://"); ok {
		host, port, err := net.SplitHostPort(addr)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || bad != nil || n == 0 {
			return fmt.Errorf("%q: write tcp://host:port", text)
		}
		*p = Port{Addr: addr}
		return nil
	}
	if !filepath.IsAbs(text) {
		return fmt.Errorf("%q is neither a device such as /dev/ttyUSB0 nor tcp://host:port", text)
	}
	*p = Port{Device: text}
	return nil
}

// String is the port as it is written in the file.
func (p Port) String() string {
	if p.Addr != "" {
		return "tcp://" + p.Addr
	}
	return p.Device
}

// Prefix is an IPv4 network, written as 10.64.64.0/24.
type Prefix struct{ netip.Prefix }

// UnmarshalText parses a network that has room for callers.
func (p *Prefix) UnmarshalText(b []byte) error {
	v, err := netip.ParsePrefix(string(b))
	if err != nil || !v.Addr().Is4() || v.Bits() < 8 || v.Bits() > 30 {
		return fmt.Errorf("%q is not an IPv4 network of /8 to /30, such as 10.64.64.0/24", b)
	}
	p.Prefix = v.Masked()
	return nil
}

// AuthMethod is a way of proving to PPP who calls.
type AuthMethod int

// The methods, strongest first.
const (
	MSCHAPv2 AuthMethod = iota
	MSCHAP
	CHAP
	PAP
)

// String is the method as it is written in the file.
func (m AuthMethod) String() string { return [...]string{"mschapv2", "mschap", "chap", "pap"}[m] }

// UnmarshalText parses one method.
func (m *AuthMethod) UnmarshalText(b []byte) error {
	return choose(m, string(b), "authentication method", MSCHAPv2, MSCHAP, CHAP, PAP)
}

// AuthMethods is the list of the methods that are allowed, in the order in
// which they are asked for.
type AuthMethods []AuthMethod

// UnmarshalText parses the three policies of the classic dial-up dialog.
func (m *AuthMethods) UnmarshalText(b []byte) error {
	switch string(b) {
	case "any":
		*m = AuthMethods{MSCHAPv2, MSCHAP, CHAP, PAP}
	case "encrypted":
		*m = AuthMethods{MSCHAPv2, MSCHAP, CHAP}
	case "microsoft":
		*m = AuthMethods{MSCHAPv2, MSCHAP}
	default:
		return fmt.Errorf(`%q is no policy; write "any", "encrypted" or "microsoft", or a list of mschapv2, mschap, chap, pap`, b)
	}
	return nil
}

// Encryption is the policy for the phone line (MPPE).
type Encryption int

// The policies of "require data encryption".
const (
	EncryptionOff Encryption = iota
	EncryptionPrefer
	EncryptionRequire
)

// String is the policy as it is written in the file.
func (e Encryption) String() string { return [...]string{"off", "prefer", "require"}[e] }

// UnmarshalText parses a policy.
func (e *Encryption) UnmarshalText(b []byte) error {
	return choose(e, string(b), "encryption policy", EncryptionOff, EncryptionPrefer, EncryptionRequire)
}

// MPPE is a key length of RFC 3078.
type MPPE int

// The key lengths, in bits.
const (
	MPPE40  MPPE = 40
	MPPE56  MPPE = 56
	MPPE128 MPPE = 128
)

// String is the number of bits.
func (m MPPE) String() string { return strconv.Itoa(int(m)) }

// UnmarshalText parses a key length.
func (m *MPPE) UnmarshalText(b []byte) error {
	return choose(m, string(b), "MPPE key length", MPPE128, MPPE56, MPPE40)
}

// MPPEMode says which of MPPE's modes are allowed.
type MPPEMode int

// The modes of RFC 3078.
const (
	MPPEAny       MPPEMode = iota // stateless if the caller can
	MPPEStateless                 // heals by itself after a lost frame
	MPPEStateful                  // all that Windows 95 had before DUN 1.3
)

// String is the mode as it is written in the file.
func (m MPPEMode) String() string { return [...]string{"any", "stateless", "stateful"}[m] }

// UnmarshalText parses a mode.
func (m *MPPEMode) UnmarshalText(b []byte) error {
	return choose(m, string(b), "MPPE mode", MPPEAny, MPPEStateless, MPPEStateful)
}

// Compression is a way to shorten packets on the phone line.
type Compression int

// The ways that callers know.
const (
	MPPC        Compression = iota // Windows', the only one that goes with encryption
	Deflate                        // pppd's
	BSDCompress                    // pppd's, older
)

// String is the compression as it is written in the file.
func (c Compression) String() string { return [...]string{"mppc", "deflate", "bsd"}[c] }

// UnmarshalText parses a compression.
func (c *Compression) UnmarshalText(b []byte) error {
	return choose(c, string(b), "compression", MPPC, Deflate, BSDCompress)
}

// choose sets into to the one of the values that is written as text.
func choose[T fmt.Stringer](into *T, text, what string, values ...T) error {
	var words []string
	for _, v := range values {
		if v.String() == text {
			*into = v
			return nil
		}
		words = append(words, v.String())
	}
	last := len(words) - 1
	return fmt.Errorf("%q is no %s; use %s or %s", text, what, strings.Join(words[:last], ", "), words[last])
}
