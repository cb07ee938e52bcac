package mailrelay

import (
	"strings"
	"testing"

	"postern/internal/status"
)

func TestEndpointForms(t *testing.T) {
	for in, want := range map[string]Endpoint{
		"pop3s://pop.example.org":          {status.Fetch, "pop.example.org", 995, false},
		"pop3s://pop.example.org:1995":     {status.Fetch, "pop.example.org", 1995, false},
		"POP3+STARTTLS://pop.example.org/": {status.Fetch, "pop.example.org", 110, true},
		"smtps://smtp.example.org":         {status.Submit, "smtp.example.org", 465, false},
		"smtp+starttls://smtp.example.org": {status.Submit, "smtp.example.org", 587, true},
		"smtp+starttls://[2001:db8::1]:25": {status.Submit, "2001:db8::1", 25, true},
		"smtps://192.0.2.7":                {status.Submit, "192.0.2.7", 465, false},
	} {
		got, err := ParseEndpoint(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
			continue
		}
		if again, err := ParseEndpoint(got.String()); err != nil || again != got {
			t.Errorf("%s printed as %s reads as %+v, %v", in, got, again, err)
		}
	}
}

func TestEndpointErrorsSayWhatToWrite(t *testing.T) {
	for in, want := range map[string]string{
		"pop3://pop.example.org":            "in the clear",
		"smtp://smtp.example.org":           "smtp+starttls://",
		"imaps://imap.example.org":          "the forms are",
		"pop.example.org:995":               "pop3s://host:port",
		"":                                  "pop3s://host:port",
		"pop3s://":                          "host name",
		"pop3s://:995":                      "host name",
		"pop3s://pop.example.org:0":         "65535",
		"pop3s://pop.example.org:70000":     "65535",
		"pop3s://pop.example.org:pop":       "pop3s://host:port",
		"pop3s://pop.example.org/inbox":     "nothing may follow",
		"pop3s://pop.example.org?x=1":       "nothing may follow",
		"pop3s://alice:hunter2@example.org": "no user name or password",
	} {
		_, err := ParseEndpoint(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	f.Add("pop3s://pop.example.org:995")
	f.Add("smtp+starttls://[::1]:587")
	f.Add("pop3s://[::1%25eth0]")
	f.Add("smtps://a b:1")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEndpoint(s)
		if err != nil {
			return
		}
		again, err := ParseEndpoint(e.String())
		if err != nil || again != e {
			t.Fatalf("%q is %+v, printed %q, read again %+v, %v", s, e, e, again, err)
		}
	})
}
