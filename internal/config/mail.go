package config

import "time"

// Quota bounds what is kept of a user's mail, mailbox and queue together; 0 is
// no limit.
type Quota struct {
	Octets   Size `toml:"quota"`
	Messages int  `toml:"quota_messages"`
}

// QuotaFor is what holds for the user of that name.
func (c *Config) QuotaFor(name string) Quota {
	q := c.Mail.Quota
	u, _ := c.User(name)
	if u.Octets > 0 {
		q.Octets = u.Octets
	}
	if u.Messages > 0 {
		q.Messages = u.Messages
	}
	return q
}

func defaultMail() Mail {
	return Mail{
		MaxMessage:   32 << 20,
		ResendWindow: Duration(24 * time.Hour),
		DoubtDelay:   Duration(30 * time.Minute),
		DelayNotice:  Duration(4 * time.Hour),
		StatusAfter:  Duration(30 * time.Minute),
	}
}

func (c *Config) checkMail(f *Faults) {
	m := c.Mail
	if m.MaxMessage < 1 {
		f.add("[mail] max_message: 0 takes no mail at all; leave the key out for 32MiB")
	}
	if m.DoubtDelay < Duration(time.Minute) {
		f.add("[mail] doubt_delay is shorter than 1m: within it a lost answer, or a copy of the message, must be able to arrive")
	}
	if m.ResendWindow > Duration(30*24*time.Hour) {
		f.add("[mail] resend_window is longer than 720h; whoever sends the same after so long means it")
	}
	if m.Messages < 0 {
		f.add("[mail] quota_messages: %d is negative; 0 is no limit", m.Messages)
	}
	for _, u := range c.Users {
		if u.Messages < 0 {
			f.add("[[user]] %q: quota_messages: %d is negative; 0 leaves it to [mail]", u.Name, u.Messages)
		}
	}
}
