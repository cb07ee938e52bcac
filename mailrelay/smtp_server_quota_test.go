package mailrelay

import (
	"strings"
	"testing"

	"postern/mailrelay/spool"
)

func TestOverQuotaTheClientKeepsItsMessage(t *testing.T) {
	sp, err := spool.Open(t.TempDir(), spool.Options{Quota: func(string) spool.Quota { return spool.Quota{Octets: 100} }})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	var log journalLog
	server := &SMTPServer{Spool: sp, Accounts: testAccounts(), Log: log.logger()}
	serving(t, server.Serve, func(t *testing.T, l *pipes) {
		p := &smtpTest{T: t, spool: sp, l: l}
		c := l.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("AUTH PLAIN "+b64("\x00alice\x00"+alicePassword), "235")
		c.say("MAIL FROM:<alice@example.org> SIZE=200", "452 4.2.2")
		try := func(octets int, want string) {
			c.say("MAIL FROM:<alice@example.org>", "250")
			c.say("RCPT TO:<b@c.example>", "250")
			c.say("DATA", "354")
			c.write(strings.Repeat("x", octets-2) + "\r\n.\r\n")
			c.reply(want)
		}
		try(101, "452 4.2.2")
		try(100, "250")
		c.say("MAIL FROM:<alice@example.org>", "452 4.2.2")
		if envs, _ := p.queued(); len(envs) != 1 {
			t.Errorf("queue is %v", envs)
		}
	})
}
