package mailrelay

import (
	"testing"
	"time"

	"postern/mailrelay/spool"
)

func TestAClientThatLostThe250AndSendsAgainIsToldItAndNothingIsQueuedTwice(t *testing.T) {
	playSMTP(t, func(p *smtpTest) {
		const letter = "Message-ID: <1@pc>\r\nSubject: x\r\n\r\nbody\r\n"
		send := func(to string) {
			c := p.loggedIn()
			c.say("MAIL FROM:<alice@example.org>", "250")
			c.say("RCPT TO:<"+to+">", "250")
			c.say("DATA", "354")
			c.write(letter + ".\r\n")
			c.reply("250")
			c.conn.Close()
		}
		waiting := func() []spool.Envelope { envs, _ := p.queued(); return envs }
		send("b@c.example")
		send("b@c.example")
		if envs := waiting(); len(envs) != 1 || len(p.events) != 1 {
			t.Fatalf("queue %v, events %v", envs, p.events)
		}
		if err := p.spool.Sent(waiting()[0].ID); err != nil {
			t.Fatal(err)
		}
		send("b@c.example")
		if envs := waiting(); len(envs) != 0 {
			t.Errorf("sent again: %v", envs)
		}
		send("other@c.example")
		time.Sleep(24 * time.Hour) // in a bubble
		send("b@c.example")
		if envs := waiting(); len(envs) != 2 {
			t.Errorf("queue %v", envs)
		}
	})
}
