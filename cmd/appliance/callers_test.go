package main

import (
	"testing"

	"postern/dialup"
	"postern/internal/config"
	"postern/ppp"
)

func TestACallerIsFoundHoweverTheNameIsTyped(t *testing.T) {
	require := config.EncryptionRequire
	c := callers{&config.Config{Users: []config.User{
		{Name: "alice", DialPassword: config.NewSecret("wonderland"), Encryption: &require},
	}}}
	for _, tc := range []struct {
		name, password string
		user           string
		ok             bool
	}{
		{"alice", "wonderland", "alice", true},
		{"ALICE", "wonderland", "alice", true},
		{`OFFICE\Alice`, "wonderland", "alice", true},
		{"alice", "Wonderland", "alice", false},
		{"alice", "", "alice", false},
		{"bob", "wonderland", "", false},
		{"", "", "", false},
	} {
		user, answer := c.Authenticate(t.Context(), dialup.Origin{}, ppp.AuthRequest{Method: ppp.PAP, Name: tc.name, Password: tc.password})
		if user != tc.user || answer.OK != tc.ok {
			t.Errorf("%q with %q is %q, let in: %v", tc.name, tc.password, user, answer.OK)
		}
		if answer.OK && (answer.Encryption == nil || *answer.Encryption != ppp.EncryptionRequire) {
			t.Errorf("%q: the user's own encryption policy is not in the answer", tc.name)
		}
	}
}
