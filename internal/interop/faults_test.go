//go:build interop

package interop

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/internal/status"
)

var alice = boxUser{name: "alice", dial: "dial-alice", upstream: "tls", encryption: "require"}

// office is what most tests need: a provider, a box with alice's mailbox on
// it, a telephone between it and a guest that can be alice.
type office struct {
	p   *provider
	tel telephone
	b   *box
	g   *guest
}

// newOffice puts mail into alice's mailbox at the provider, starts all, and
// gives the guest its cases (in which "call" dials the box as alice) and the
// outgoing letters as /letters/N. The others are users of the box as well.
func newOffice(t *testing.T, ca func(*provider) string, waiting, outgoing []string, cases map[string]string, others ...boxUser) office {
	t.Helper()
	users := append([]boxUser{alice}, others...)
	passwords := map[string]string{}
	for _, u := range users {
		passwords[u.name] = providerPassword
	}
	o := office{p: startProvider(t, passwords), tel: newTelephone()}
	for _, letter := range waiting {
		o.p.deliver(t, alice.name, letter)
	}
	files := guestSecrets(users)
	files["/half-session"] = guestFile{0o644, []byte("USER alice\r\nPASS dial-alice\r\nDELE 1\r\nLIST 2\r\n")}
	files["/half-message"] = guestFile{0o644, fmt.Appendf(nil,
		"EHLO guest\r\nAUTH PLAIN %s\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<friend@example.net>\r\nDATA\r\nSubject: half\r\n\r\n%s",
		plain(alice), strings.Repeat("half a message\r\n", 300))}
	files["/login"] = curlLogin(alice, "AUTH=PLAIN")
	for i, letter := range outgoing {
		files[fmt.Sprintf("/letters/%d", i+1)] = guestFile{0o644, []byte(letter)}
	}
	const head = ". /lib.sh\nbox=%s\ncall() { dial $box remotename box user alice require-mppe-128 || exit 1; }\n"
	cases["hello"] = "call\nuidls 10.64.64.1 /login\nhangup\n"
	for name, script := range cases {
		files["/cases/"+name] = guestFile{0o644, fmt.Appendf(nil, head+"%s", boxNumber, script)}
	}
	c := boxConfig{port: o.tel.line(t, boxNumber), users: users}
	if ca != nil {
		c.ca = ca(o.p)
	}
	o.b = newBox(t, o.p, c)
	o.g = bootGuest(t, files, o.tel.cable(t))
	o.b.ready(t)
	return o
}

// answers proves that the box takes a call and serves it.
func (o office) answers(t *testing.T) {
	t.Helper()
	o.b.ready(t)
	if r := o.g.run(t, "hello", nil); !r.says("up ") || !r.says("pop3 0") {
		t.Fatalf("the box did not serve the next call: %q", r.said)
	}
}

func said(r result, word string) (lines []string) {
	for _, s := range r.said {
		if rest, ok := strings.CutPrefix(s, word+" "); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}

const submitAll = "submit smtp://mail.postern.lan:587 /login alice@example.org friend@example.net /letters/*\n"

func TestNothingIsSentToAProviderWhoseCertificateDoesNotVerify(t *testing.T) {
	t.Parallel()
	waiting, outgoing := letters("friend@example.net", "alice@example.org")[:1], letters("alice@example.org", "friend@example.net")[:1]
	stranger := func(p *provider) string { return newAuthority(t, p.dir, "stranger").file }
	o := newOffice(t, stranger, waiting, outgoing, map[string]string{"submit": "call\n" + submitAll + "hangup\n"})

	if r := o.g.run(t, "submit", nil); !r.says("smtp 0") {
		t.Fatalf("the box did not take the message: %q", r.said)
	}
	// The message in the mailbox is the box's own, which tells of the fault.
	row := mailbox(o.b.await(t, "a fault in both directions, and a message that says so", func(s status.Snapshot) bool {
		u := mailbox(s, "alice")
		return u.Fetch.Fault != "" && u.Submit.Fault != "" && u.Messages == 1
	}), "alice")
	for _, fault := range []string{row.Fetch.Fault, row.Submit.Fault} {
		t.Log(fault)
		if !strings.Contains(fault, "certificate") {
			t.Errorf("the page does not give the reason: %s", fault)
		}
	}
	if row.Queued != 1 {
		t.Errorf("the page shows %+v", row)
	}
	if log := o.p.dovecot.text(0); strings.Contains(log, "Login: ") || strings.Contains(log, "alice") {
		t.Errorf("the box tried to log in:\n%s", log)
	}
	if n := len(o.p.received); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	if exim := o.p.exim.text(0); strings.Contains(exim, "alice") {
		t.Errorf("the box told Exim who it is:\n%s", exim)
	}

	// Nothing is lost either: it goes once the box trusts the right authority.
	if code := o.b.terminate(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	o.b.trust(t, o.p.ca.file)
	o.b.start(t)
	if d := o.p.arrival(t); d.data != outgoing[0] {
		t.Errorf("arrived: %q", d.data)
	}
	o.b.await(t, "alice's letter in the place of the message about the fault", func(s status.Snapshot) bool {
		return s.Counters.Fetched == 1 && mailbox(s, "alice").Messages == 1
	})
}

func TestKill9LosesNothingAndKeepsUniqueIDs(t *testing.T) {
	t.Parallel()
	waiting, outgoing := letters("friend@example.net", "alice@example.org"), letters("alice@example.org", "friend@example.net")[:1]
	o := newOffice(t, nil, waiting, outgoing, map[string]string{
		// A second message is on its way, and one is marked as deleted in a
		// session without QUIT, when the box dies. Then: all over again.
		"midway": `
call
uidls mail.postern.lan /login
submit smtp://mail.postern.lan:587 /login alice@example.org friend@example.net /letters/1
hold mail.postern.lan 110 /half-session '^+OK 2 '
hold mail.postern.lan 587 /half-message '^354'
ask midway
vanish
call
uidls mail.postern.lan /login
fetch mail.postern.lan 5 /login
ask deleted
vanish
call
uidls mail.postern.lan /login
hangup
`})
	o.b.fetched(t, "alice", len(waiting))
	// What is accepted stays in the queue.
	o.p.closed.Store(true)

	mark := o.p.dovecot.mark()
	r := o.g.run(t, "midway", func(string) {
		o.b.kill()
		o.b.start(t)
		o.b.ready(t)
	})
	uids := said(r, "uid")
	if len(uids) != 2*len(waiting) || !slices.Equal(uids[:len(waiting)], uids[len(waiting):]) {
		t.Errorf("UIDL before, after the first and after the second kill: %q", uids)
	}
	var want []string
	for i, letter := range waiting {
		want = append(want, strings.TrimPrefix(sum(fmt.Sprint(i+1), letter), "sum "))
	}
	if got := said(r, "sum"); !slices.Equal(got, want) {
		t.Errorf("fetched after the kill\n%q, want\n%q", got, want)
	}
	if !slices.Equal(said(r, "pop3"), []string{"0", "0", "0", "0"}) || !slices.Equal(said(r, "smtp"), []string{"0"}) {
		t.Errorf("the guest says %q", r.said)
	}
	if row := mailbox(o.b.snapshot(t.Context(), t), "alice"); row.Queued != 1 || row.Messages != 0 {
		t.Errorf("the page shows %+v", row)
	}
	o.p.dovecot.await(t, mark, "pop3(alice)", "del=")
	if n := o.p.waiting(t, "alice"); n != 0 {
		t.Errorf("%d messages are still at the provider", n)
	}
	o.b.terminate(t)
	o.p.closed.Store(false)
	o.b.start(t)
	if d := o.p.arrival(t); d.data != outgoing[0] {
		t.Errorf("arrived: %q", d.data)
	}
	o.b.await(t, "an empty queue", func(s status.Snapshot) bool { return mailbox(s, "alice").Queued == 0 && s.Counters.Submitted == 1 })
	if n := len(o.p.received); n != 0 {
		t.Errorf("%d messages more arrived than were accepted: %q", n, (<-o.p.received).data)
	}
}

func TestSIGTERMEndsARunningCallInOrder(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, nil, nil, map[string]string{"wait": `
call
ask up
gone
grep -q 'rcvd \[LCP TermReq' /tmp/ppp.log && say terminated by the box
`})
	code := -1
	r := o.g.run(t, "wait", func(string) { code = o.b.terminate(t) })
	if code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	if !r.says("terminated by the box") {
		t.Errorf("pppd did not hear of the end: %q", r.said)
	}
	if !strings.Contains(o.b.log.text(0), "call ended") {
		t.Error("the log does not tell of the end of the call")
	}
	o.b.start(t)
	o.answers(t)
}

func TestBadInputHarmsNothingAndTheNextCallIsAnswered(t *testing.T) {
	t.Parallel()
	outgoing := letters("alice@example.org", "friend@example.net")[3:4]
	o := newOffice(t, nil, letters("friend@example.net", "alice@example.org"), outgoing, map[string]string{
		"vanish-in-data": `
call
hold mail.postern.lan 587 /half-message '^354'
ask vanishing
vanish
`,
		"noise": "call\nask noise\nfetch mail.postern.lan 5 /login\n" + submitAll + "ask clean\nhangup\n",
	})
	o.b.fetched(t, "alice", 5)
	calls := int64(0)
	verdict := func(t *testing.T) status.Verdict {
		t.Helper()
		calls++
		v := o.b.lastCall(t, calls).Verdict
		t.Logf("%s, %s: %s", v.Side, v.Code, v.Text)
		if v.Text == "" || v.Code == "" {
			t.Error("the call ended without a reason")
		}
		return v
	}
	answers := func(t *testing.T) {
		t.Helper()
		o.answers(t)
		verdict(t)
	}
	random := make([]byte, 40_000)
	rand.Read(random)
	var frames []byte // of every length up to 100, of some up to beyond the MRU
	for n := 0; n < 1800; n += 1 + n/100*30 {
		frames = append(append(frames, random[:n]...), '~')
	}
	for _, bad := range []struct {
		name string
		sent []byte
	}{
		{"noise", random},
		{"frames of every length", frames},
		{"nothing but flags and escapes", append(slices.Repeat([]byte("~"), 10_000), slices.Repeat([]byte("}"), 10_000)...)},
		{"one frame without end", append([]byte("~\xff}#\xc0!"), slices.Repeat([]byte("a"), 20_000)...)},
		{"what a person at a terminal types", []byte("\r\n\r\nlogin: root\r\nhello? NO CARRIER\r\n+++ATH\r\n")},
	} {
		t.Run("the caller sends "+bad.name, func(t *testing.T) {
			line := o.tel.dial(t, "5550142", boxNumber)
			if _, err := line.Write(bad.sent); err != nil {
				t.Logf("the box hung up on it: %v", err)
			}
			line.Close()
			verdict(t)
			o.b.ready(t)
		})
	}
	t.Run("and is followed by one that is served", answers)
	t.Run("the line breaks in the middle of a message", func(t *testing.T) {
		o.g.run(t, "vanish-in-data", func(string) { o.tel.x.Modem(guestNumber).DropCarrier() })
		if v := verdict(t); v.Side != status.Wire {
			t.Errorf("whose doing: %+v", v)
		}
		answers(t)
	})
	t.Run("the line goes silent in the middle of a message", func(t *testing.T) {
		o.g.run(t, "vanish-in-data", func(string) { o.tel.x.Modem(guestNumber).Silence() })
		if v := verdict(t); v.Side != status.Wire {
			t.Errorf("whose doing: %+v", v)
		}
		answers(t)
	})
	if s := o.b.snapshot(t.Context(), t); s.Counters.Accepted != 0 || mailbox(s, "alice").Queued != 0 {
		t.Errorf("half a message was accepted: %+v", s.Counters)
	}
	t.Run("the line is noisy", func(t *testing.T) {
		r := o.g.run(t, "noise", func(words string) {
			noise := map[string]float64{"noise": 0.00005, "clean": 0}[words]
			o.tel.x.SetNoise(noise)
		})
		verdict(t)
		if !r.says("pop3 0") || !r.says("smtp 0") || len(said(r, "sum")) != 5 {
			t.Errorf("the guest says %q", r.said)
		}
		if d := o.p.arrival(t); d.data != outgoing[0] {
			t.Errorf("arrived: %.2000q", d.data)
		}
	})
}

func TestPppdWhoMayNotComeInIsToldAndTheNextCallIsAnswered(t *testing.T) {
	t.Parallel()
	wrong := boxUser{name: "wrong", dial: "the-right-one", typed: "not-the-right-one", upstream: "tls"}
	naked := boxUser{name: "naked", dial: "dial-naked", upstream: "starttls", encryption: "require"}
	refused := []struct{ name, options, code string }{
		{"wrong-pap", "user wrong " + onlyPAP, "auth-failed"},
		{"wrong-chap", "user wrong " + onlyCHAP, "auth-failed"},
		{"wrong-mschap", "user wrong " + onlyMSCHAP, "auth-failed"},
		{"wrong-v2", "user wrong " + onlyMSCHAPv2, "auth-failed"},
		{"no-method", "user wrong refuse-pap " + onlyCHAP + " refuse-chap", "auth-refused"},
		{"naked-nomppe", "user naked nomppe", "encryption-required"},
		{"naked-noccp", "user naked noccp", "encryption-required"},
		{"naked-pap", "user naked " + onlyPAP, "encryption-required"},
	}
	cases := map[string]string{}
	for _, c := range refused {
		cases[c.name] = "dial $box remotename box " + c.options + " && hangup\n"
	}
	// Of the options, password goes before the secrets file.
	cases["right"] = "dial $box remotename box user wrong password the-right-one " + onlyMSCHAP + " && hangup\n"
	o := newOffice(t, nil, nil, nil, cases, wrong, naked)
	for i, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			r := o.g.run(t, c.name, nil)
			if r.says("up") {
				t.Errorf("let in: %q", r.said)
			}
			// 19 is pppd's word for a peer that did not believe it.
			if c.code == "auth-failed" && !r.says("exit 19") {
				t.Errorf("pppd does not know that its password is wrong: %q", r.said)
			}
			call := o.b.lastCall(t, int64(i+1))
			t.Logf("%s: %s", call.Verdict.Code, call.Verdict.Text)
			if call.Verdict.Code != c.code || call.Verdict.Text == "" || !call.IPUp.IsZero() {
				t.Errorf("the page shows %+v", call)
			}
		})
	}
	t.Run("the right password in the next call", func(t *testing.T) {
		if r := o.g.run(t, "right", nil); !r.says("up ") {
			t.Errorf("not let in: %q", r.said)
		}
		if call := o.b.lastCall(t, int64(len(refused))+1); call.User != "wrong" || call.Method != "MS-CHAP" || call.Verdict.Code != "peer-hangup" {
			t.Errorf("the page shows %+v", call)
		}
	})
	t.Run("the next call", o.answers)
}
