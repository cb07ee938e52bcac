package config

import (
	"net/netip"
	"strings"
	"time"
)

// Config is a whole, checked configuration with its defaults filled in.
type Config struct {
	// StateDir holds the spool and everything else that must survive a restart.
	StateDir string `toml:"state_dir"`
	// Hostname is what callers may call the box; DNS answers for it, and the
	// mail servers greet with it.
	Hostname string `toml:"hostname"`
	// Aliases are further names that DNS answers for, such as the old mail
	// server's that is still set in the caller's mail program.
	Aliases []string `toml:"aliases"`

	Lines     []Line     `toml:"line"`
	PPP       PPP        `toml:"ppp"`
	Mail      Mail       `toml:"mail"`
	TLS       TLS        `toml:"tls"`
	LAN       LAN        `toml:"lan"`
	Users     []User     `toml:"user"`
	Upstreams []Upstream `toml:"upstream"`
	Terminal  Terminal   `toml:"terminal"`
	Web       Web        `toml:"web"`
	Capture   Capture    `toml:"capture"`
}

// Line is one telephone line and its modem.
type Line struct {
	Name string `toml:"name"`
	Port Port   `toml:"port"`
	Baud int    `toml:"baud" nonzero:"300 to 4000000"` // bit/s between box and modem
	// Init are the commands that prepare the modem, in order.
	Init []string `toml:"init"`
	// Rings is how many RINGs are awaited before ATA. Caller ID comes between
	// the first and the second.
	Rings int `toml:"rings" nonzero:"1 to 20"`
	// CallerID is whether the modem is asked to show who calls; nil is yes.
	CallerID *bool `toml:"caller_id"`
}

// PPP is what the box asks of every caller's PPP.
type PPP struct {
	Auth       AuthMethods `toml:"auth"`       // allowed, strongest first
	Encryption Encryption  `toml:"encryption"` // of the phone line
	MPPE       []MPPE      `toml:"mppe"`       // allowed key lengths
	MPPEMode   MPPEMode    `toml:"mppe_mode"`
	// Compression is what is allowed, the best first; empty is none.
	Compression []Compression `toml:"compression"`
	VJ          bool          `toml:"vj"` // header compression (RFC 1144)
	// Tries is how often a caller may type its password in one call (MS-CHAP).
	Tries int `toml:"tries"`
	// Rechallenge is how often a CHAP caller proves itself anew; 0 is never.
	Rechallenge Duration `toml:"rechallenge"`
	// GuessLimit is the number of log-ins that may fail within an hour from one
	// calling number, before it is refused for an hour; 0 refuses none.
	GuessLimit int `toml:"guess_limit"`
	// PasswordChange lets callers of MS-CHAP replace a password that has expired;
	// the new one has MinPassword characters or more.
	PasswordChange bool       `toml:"password_change"`
	MinPassword    int        `toml:"password_min_length"`
	LocalIP        netip.Addr `toml:"local_ip"`
	Pool           Prefix     `toml:"pool"`
	// Callback is whether callers that want to be called back are talked to, and
	// told "no callback"; else their wish is rejected. Windows takes either.
	Callback bool `toml:"callback"`
	// IPv6 gives callers that want it a link-local address. The mail services
	// are on IPv4 only.
	IPv6 bool `toml:"ipv6"`
	// QualityInterval is between two link quality reports (RFC 1989); 0 is none.
	QualityInterval Duration `toml:"quality_interval"`
	// WINS are the NetBIOS name servers told to Windows callers; most have none.
	WINS []netip.Addr `toml:"wins"`
	// IdleLimit ends a call on which the caller has sent the box no IP packet for
	// so long; SessionLimit ends any call. 0 is no limit.
	IdleLimit    Duration `toml:"idle_limit"`
	SessionLimit Duration `toml:"session_limit"`
}

// Mail is what holds for all mail services.
type Mail struct {
	MaxMessage Size `toml:"max_message"` // octets of one message
	Quota           // of every user who has none of his own
	// ResendWindow is how long a message that is handed in again is recognised as
	// the one whose 250 was lost; 0: never.
	ResendWindow Duration `toml:"resend_window"`
	// DoubtDelay is the pause before a message is repeated of which upstream may
	// have got the first copy.
	DoubtDelay Duration `toml:"doubt_delay"`
	// DelayNotice is how long mail waits to be sent before its sender is told; 0:
	// never.
	DelayNotice Duration `toml:"delay_notice"`
	// StatusAfter is how long an upstream is at fault before a message in the
	// user's mailbox says so; 0: never.
	StatusAfter Duration `toml:"status_after"`
	// SamePerson lets a caller who has proved to PPP who he is into his own
	// mailbox with any password, and send without AUTH. It holds on calls only.
	SamePerson bool `toml:"same_person"`
}

// Capture is the flight recorder: the frames of the last calls, without
// passwords and mail.
type Capture struct {
	Octets Size `toml:"octets"` // of one call in memory
	Keep   int  `toml:"keep"`   // files of ended calls; 0: none is written
}

// User is one person or device that may call.
type User struct {
	Name             string      `toml:"name"`
	DialPassword     Secret      `toml:"dial_password"`
	DialPasswordFile string      `toml:"dial_password_file"`
	MailPassword     Secret      `toml:"mail_password"` // default: the dial password
	MailPasswordFile string      `toml:"mail_password_file"`
	Addresses        []string    `toml:"addresses"`
	Upstream         string      `toml:"upstream"`
	Quota                        // where not 0, in the place of [mail]'s
	Encryption       *Encryption `toml:"encryption"` // nil: as in [ppp]
	// LM lets the user log in by the weak LM half of MS-CHAP, which is all that
	// Windows 95 and older send.
	LM bool `toml:"lm"`
	// The configured dial password is only good for asking for another from the
	// beginning of the day on, or at once.
	DialPasswordExpires Date `toml:"dial_password_expires"`
	MustChangePassword  bool `toml:"must_change_password"`

	mailIsDial bool // no mail password is set
}

// Upstream is a mail provider.
type Upstream struct {
	Name         string   `toml:"name"`
	Fetch        string   `toml:"fetch"`  // URL, pop3s:// or pop3+starttls://
	Submit       string   `toml:"submit"` // URL, smtps:// or smtp+starttls://
	Username     string   `toml:"username"`
	Password     Secret   `toml:"password"`
	PasswordFile string   `toml:"password_file"`
	CAFile       string   `toml:"ca_file"` // PEM; empty: the system's roots
	Poll         Duration `toml:"poll" nonzero:"1s or more"`
}

// UsernameFor is the log-in name of a user at the provider: "{user}" stands
// for the user's name and "{address}" for the first address.
func (u Upstream) UsernameFor(user User) string {
	address := user.Name
	if len(user.Addresses) > 0 {
		address = user.Addresses[0]
	}
	return strings.NewReplacer("{user}", user.Name, "{address}", address).Replace(u.Username)
}

// Web is the status page.
type Web struct {
	Listen string `toml:"listen"` // host:port; empty: no page
}

// User returns the user of that name.
func (c *Config) User(name string) (User, bool) {
	for _, u := range c.Users {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

// UpstreamOf returns the provider that serves a user.
func (c *Config) UpstreamOf(u User) (Upstream, bool) {
	for _, up := range c.Upstreams {
		if up.Name == u.Upstream {
			return up, true
		}
	}
	return Upstream{}, false
}

// EncryptionFor is the policy that holds for a user's calls.
func (c *Config) EncryptionFor(u User) Encryption {
	if u.Encryption != nil {
		return *u.Encryption
	}
	return c.PPP.Encryption
}

// defaults is what a key means when it is not set.
func defaults() Config {
	return Config{
		StateDir: "/var/lib/postern",
		Hostname: "mail.postern.lan",
		PPP: PPP{
			Auth:        AuthMethods{MSCHAPv2, MSCHAP, CHAP, PAP},
			Encryption:  EncryptionPrefer,
			MPPE:        []MPPE{MPPE128, MPPE56, MPPE40},
			Compression: []Compression{MPPC, Deflate, BSDCompress},
			VJ:          true,
			Tries:       3,
			GuessLimit:  10,
			MinPassword: 8,
			LocalIP:     netip.MustParseAddr("10.64.64.1"),
			Pool:        Prefix{netip.MustParsePrefix("10.64.64.0/24")},
			IdleLimit:   Duration(15 * time.Minute),
		},
		Mail:    defaultMail(),
		LAN:     LAN{Ports: LANPorts()},
		Capture: Capture{Octets: 256 << 10, Keep: 50},
	}
}

// fill completes the entries of lists, which have no default of their own.
func (c *Config) fill() {
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.Baud == 0 {
			l.Baud = 115200
		}
		if l.Init == nil {
			l.Init = []string{"ATZ", "AT&F&C1&D2S0=0"}
		}
		if l.Rings == 0 {
			l.Rings = 1
		}
		if l.CallerID == nil {
			yes := true
			l.CallerID = &yes
		}
	}
	for i := range c.Users {
		if u := &c.Users[i]; u.MailPassword.Empty() {
			u.MailPassword, u.mailIsDial = u.DialPassword, true
		}
	}
	for i := range c.Upstreams {
		if up := &c.Upstreams[i]; up.Poll == 0 {
			up.Poll = Duration(5 * time.Minute)
		}
	}
}
