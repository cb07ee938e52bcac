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
