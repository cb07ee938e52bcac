package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestTheLANIsOffAndSamePersonTooUnlessSet(t *testing.T) {
	c, err := load(t, example)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.LAN.Listen) > 0 || c.Mail.SamePerson || c.TLS.OldClients || c.TLS.OldCertificate != SHA256 {
		t.Errorf("got %+v, %+v, %+v", c.LAN, c.Mail, c.TLS)
	}
}

func TestALANIsReadAsWritten(t *testing.T) {
	c, err := load(t, example+`
[mail]
same_person = true
[tls]
old_clients = true
old_certificate = "sha1"
[lan]
listen = ["192.168.1.2", "fd00::2"]
networks = ["192.168.1.77/24", "fd00::/64"]
old_clients = ["192.168.1.9"]
[lan.ports]
smtp = 0
pop3 = 1110
`)
	if err != nil {
		t.Fatal(err)
	}
	l := c.LAN
	if !c.Mail.SamePerson || !c.TLS.OldClients || c.TLS.OldCertificate != SHA1 || l.Ports != (Ports{POP3: 1110, POP3S: 995, IMAP: 143, IMAPS: 993, Submission: 587, SMTPS: 465}) {
		t.Errorf("got %+v, %+v, %+v", c.Mail, c.TLS, l)
	}
	for a, want := range map[string][2]bool{
		"192.168.1.9":        {true, true},
		"::ffff:192.168.1.9": {true, true},
		"192.168.1.10":       {true, false},
		"192.168.2.9":        {false, false},
		"fd00::1:2":          {true, false},
		"fd01::1":            {false, false},
	} {
		a := netip.MustParseAddr(a)
		if got := [2]bool{Contain(l.Networks, a), Contain(l.OldClients, a)}; got != want {
			t.Errorf("%v: got %v, want %v", a, got, want)
		}
	}
}

func TestFaultsOfALANAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`listen = ["192.168.1.2"]`:                                                                    "networks: is empty",
		`networks = ["192.168.1.0/24"]`:                                                               "no listen",
		"listen = [\"0.0.0.0\"]\nnetworks = [\"192.168.1.0/24\"]":                                     "0.0.0.0 is no address of the box",
		"listen = [\"10.0.0.1\", \"10.0.0.1\"]\nnetworks = [\"10.0.0.0/8\"]":                          "there twice",
		"listen = [\"192.168.1.2\"]\nnetworks = [\"0.0.0.0/0\"]":                                      "the whole Internet",
		"listen = [\"192.168.1.2\"]\nnetworks = [\"office\"]":                                         "is not a network",
		"listen = [\"192.168.1.2\"]\nnetworks = [\"192.168.1.0/24\"]\nold_clients = [\"10.0.0.0/8\"]": "in none of the networks",
		"listen = [\"192.168.1.2\"]\nnetworks = [\"192.168.1.0/24\"]\n[lan.ports]\npop3 = 25":         "pop3 and smtp are both 25",
		"listen = [\"192.168.1.2\"]\nnetworks = [\"192.168.1.0/24\"]\n[lan.ports]\npop3 = 0\npop3s = 0\nimap = 0\nimaps = 0\nsmtp = 0\nsubmission = 0\nsmtps = 0": "all are 0",
		"[tls]\nold_certificate = \"md5\"": `"md5" is no certificate`,
	} {
		if !strings.HasPrefix(text, "[") {
			text = "[lan]\n" + text
		}
		if _, err := load(t, example+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", text, err, want)
		}
	}
}
