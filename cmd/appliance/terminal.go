package main

import (
	"fmt"

	"postern/dialup"
	"postern/internal/config"
	"postern/mailrelay/spool"
)

// terminal is what callers who type may do; nil if nothing.
func (a *appliance) terminal() *dialup.Terminal {
	if a.cfg.Terminal.Login == config.LoginOff {
		return nil
	}
	return &dialup.Terminal{
		Host:     a.cfg.Hostname,
		Greet:    a.cfg.Terminal.Login == config.LoginAtOnce,
		IfNeeded: a.cfg.Terminal.PPPAuth == config.PPPAuthIfNeeded,
		Mailbox: func(user string) string {
			st, err := a.spool.Stat(user)
			if err != nil {
				a.log.Error("the mailbox cannot be read", "user", user, "err", err)
				return "Your mailbox cannot be read just now."
			}
			return mailboxWords(st)
		},
	}
}

// mailboxWords says how a mailbox stands to its user.
func mailboxWords(st spool.Stat) string {
	words := fmt.Sprintf("%s for you, %d octets.", waiting(st.Messages), st.Octets)
	if st.Waiting > 0 {
		words += fmt.Sprintf(" Of yours, %s to be sent.", waiting(st.Waiting))
	}
	return words
}
