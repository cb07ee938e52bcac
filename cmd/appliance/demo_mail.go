package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"time"
)

// The demo's user, here and at the provider.
const (
	demoUser     = "alice"
	demoAddress  = "alice@example.org"
	demoPassword = "open sesame" // only ever used inside of this process
)

// demoMail makes the demo's messages: what waits at the provider, and what the
// caller sends. They hold what mail relays like to spoil.
func demoMail(seed uint64) (waiting, outgoing [][]byte) {
	random := rand.New(rand.NewPCG(seed, 1998))
	attachment := make([]byte, 9000)
	for i := range attachment {
		attachment[i] = byte(random.Uint32())
	}
	waiting = [][]byte{
		demoMessage("bob@example.net", demoAddress, "Supplies", "The boat comes on Thursday.\r\nBring the list.\r\n"),
		demoMessage("hq@example.net", demoAddress, "Lines that begin with dots",
			".\r\n..\r\n.hidden\r\nA line that looks like a modem:\r\nNO CARRIER\r\n\r\n"+strings.Repeat("It is a long way to the coast. ", 40)+"\r\n"),
		demoMessage("plans@example.net", demoAddress, "The drawings", wrap(base64.StdEncoding.EncodeToString(attachment))),
	}
	outgoing = [][]byte{
		demoMessage(demoAddress, "bob@example.net", "Re: Supplies", "Two barrels of diesel, and the post.\r\n.\r\nAlice\r\n"),
		demoMessage(demoAddress, "hq@example.net", "Readings", wrap(base64.StdEncoding.EncodeToString(attachment[:3000]))),
	}
	return waiting, outgoing
}

func demoMessage(from, to, subject, body string) []byte {
	return []byte("From: " + from + "\r\nTo: " + to + "\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n\r\n" + body)
}

// wrap breaks base64 into lines of 76 (RFC 2045 section 6.8).
func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

// fetchDemoMail fetches every message, deletes it, and quits.
func fetchDemoMail(ctx context.Context, program mailProgram, tale *story) ([][]byte, error) {
	box, err := program.receive(ctx)
	if err != nil {
		return nil, err
	}
	defer box.close()
	n, octets, err := box.stat()
	if err != nil {
		return nil, err
	}
	tale.tell("pop3", "logged in; %d messages wait, %d octets", n, octets)
	var messages [][]byte
	for i := 1; i <= n; i++ {
		began := time.Now()
		m, err := box.retrieve(i)
		if err != nil {
			return nil, err
		}
		took := time.Since(began)
		tale.tell("pop3", "message %d: %d octets in %.1f s, %.0f bytes/s", i, len(m), took.Seconds(), float64(len(m))/took.Seconds())
		messages = append(messages, m)
		if err := box.delete(i); err != nil {
			return nil, err
		}
	}
	return messages, box.quit()
}

func sendDemoMail(ctx context.Context, program mailProgram, messages [][]byte, tale *story) error {
	letters := make([]letter, len(messages))
	for i, m := range messages {
		letters[i] = letter{demoAddress, recipient(m), m}
	}
	began := time.Now()
	return program.send(ctx, letters, func(i int) {
		tale.tell("smtp", "message %d: %d octets in %.1f s; the box has it on disk", i+1, len(messages[i]), time.Since(began).Seconds())
		began = time.Now()
	})
}

func recipient(m []byte) string {
	_, rest, _ := bytes.Cut(m, []byte("\r\nTo: "))
	to, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(to)
}
