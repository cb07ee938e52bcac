package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"postern/dialup/exchange"
	"postern/mailrelay/spool"
)

// A person with minicom: a pty, a modem, a box.
func TestAPersonAtAPtyUsesTheMenu(t *testing.T) {
	w, _ := startBox(t)
	if _, err := w.box.spool.Deliver(demoUser, spool.Source{}, strings.NewReader("Subject: hello\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	pty, err := exchange.OpenPTY(w.exchange.Modem("5550197"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- pty.Serve(t.Context()) }()
	tty, err := os.OpenFile(pty.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { tty.Close() })
	defer limit.Stop()
	c := &chat{t: t, rw: tty}
	for _, step := range [][2]string{
		{"ATS11=50\r", "OK"},
		{"ATDT" + demoNumber + "\r", "CONNECT 921600"},
		{"\r", "mail.postern.lan login: "},
		{demoUser + "\r", "Password: "},
		{"open barley\r", "Login incorrect"},
		{"", "mail.postern.lan login: "},
		{demoUser + "\r", "Password: "},
		{demoPassword + "\r", "Welcome, alice."},
		{"1\r", "1 message waits for you, 18 octets."},
		{"3\r", "You are alice, on mail.postern.lan."},
		{"4\r", "Goodbye."},
		{"", "NO CARRIER"},
	} {
		c.send(step[0])
		c.expect(step[1])
	}
	tty.Close()
}

func TestAMailboxIsToldInWords(t *testing.T) {
	for want, st := range map[string]spool.Stat{
		"0 messages wait for you, 0 octets.":                                       {},
		"1 message waits for you, 18 octets.":                                      {Messages: 1, Octets: 18},
		"2 messages wait for you, 9 octets. Of yours, 1 message waits to be sent.": {Messages: 2, Octets: 9, Waiting: 1},
	} {
		if got := mailboxWords(st); got != want {
			t.Errorf("%+v is told as %q", st, got)
		}
	}
}
