package mailrelay

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnAccountIsFoundByUserNameOrByAddress(t *testing.T) {
	for name, want := range map[string]string{
		"alice": "alice", "alice@example.org": "alice", "A.Smith@Example.ORG": "alice", "bob": "bob",
		"ALICE": "alice", "alice@elsewhere": "", "": "", "@example.org": "",
	} {
		a, ok := testAccounts().Account(name)
		if a.User != want || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", name, a.User, ok, want)
		}
	}
}

func TestOfUsersWhoDifferInCaseOnlyNoneIsGuessed(t *testing.T) {
	l := AccountList{{User: "eve"}, {User: "EVE"}}
	for _, name := range []string{"eve", "EVE"} {
		if a, ok := l.Account(name); !ok || a.User != name {
			t.Errorf("%q is %q, %v", name, a.User, ok)
		}
	}
	if a, ok := l.Account("Eve"); ok {
		t.Errorf("Eve is %q", a.User)
	}
}

func TestAPasswordMustMatchToTheLetter(t *testing.T) {
	for _, c := range []struct {
		name, password string
		ok             bool
	}{
		{"alice", alicePassword, true},
		{"alice@example.org", alicePassword, true},
		{"alice", alicePassword + " ", false},
		{"alice", strings.ToUpper(alicePassword), false},
		{"alice", "", false},
		{"bob", alicePassword, false},
		{"nopass", "", false}, // a missing password lets nobody in
		{"nopass", "nobody", false},
		{"stranger", "", false},
		{"stranger", "nobody", false},
	} {
		a, err := checkPassword(testAccounts(), c.name, c.password)
		if (err == nil) != c.ok || (a.User != "") != c.ok {
			t.Errorf("%q with %q: %q, %v", c.name, c.password, a.User, err)
		}
	}
}

func TestPrintingAnAccountShowsNoPassword(t *testing.T) {
	a := testAccounts()[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, a); strings.Contains(got, "sesame") {
			t.Errorf("%s shows %s", verb, got)
		}
	}
}

// On alice's line with SamePerson set.
func TestWhoIsKnownToPPPNeedsNoMailPasswordForHisOwnAccount(t *testing.T) {
	var log journalLog
	s := testSpool(t)
	pop3 := &POP3Server{Spool: s, Accounts: testAccounts(), Caller: "alice", SamePerson: true, Log: log.logger()}
	serving(t, pop3.Serve, func(t *testing.T, l *pipes) {
		for _, story := range [][]string{
			{"USER alice@example.org", "+OK", "PASS", "+OK"},
			{"USER alice", "+OK", "PASS whatever", "+OK"},
			{"APOP alice 00", "+OK"},
			{"AUTH PLAIN " + b64("\x00alice\x00"), "+OK"},
			{"AUTH LOGIN", "+ ", b64("alice"), "+ ", "", "+OK"},
			{"AUTH CRAM-MD5", "+ ", b64("alice 00"), "+OK"},
			{"AUTH SCRAM-SHA-1 " + b64("n,,n=alice,r=x"), "+ ", b64("c=biws,r=x,p=AAAA"), "-ERR"},
			{"USER bob", "+OK", "PASS whatever", "-ERR [AUTH]", "USER bob", "+OK", "PASS bob's", "+OK"},
			{"USER nopass", "+OK", "PASS", "-ERR [AUTH]"},
		} {
			c := l.dial(t)
			c.expect("+OK")
			for i := 0; i < len(story); i += 2 {
				c.ask(story[i], story[i+1])
			}
			c.ask("QUIT", "+OK")
			c.expectEOF()
		}
	})
	smtp := &SMTPServer{Spool: s, Accounts: testAccounts(), Caller: "alice", SamePerson: true, Log: log.logger()}
	serving(t, smtp.Serve, func(t *testing.T, l *pipes) {
		c := l.dial(t)
		c.reply("220")
		c.say("HELO pc", "250") // a client of 1995
		c.say("MAIL FROM:<bob@example.org>", "550")
		c.say("MAIL FROM:<alice@example.org>", "250")
		c.say("RSET", "250")
		c.say("AUTH PLAIN "+b64("\x00bob\x00bob's"), "235") // bob borrows alice's line
		c.say("MAIL FROM:<alice@example.org>", "550")
		c.say("MAIL FROM:<bob@example.org>", "250")
	})
	stranger := &SMTPServer{Spool: s, Accounts: testAccounts(), SamePerson: true, Log: log.logger()}
	serving(t, stranger.Serve, func(t *testing.T, l *pipes) {
		c := l.dial(t)
		c.reply("220")
		c.say("EHLO pc", "250")
		c.say("MAIL FROM:<alice@example.org>", "530") // nobody is known on this line
	})
}
