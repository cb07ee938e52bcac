//go:build interop

package interop

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/internal/status"
)

const boxNumber = "5550100"

// callCase is one way to log in.
type callCase struct {
	name     string
	upstream string // which of the two forms of TLS
	options  string // of pppd
	box      string // the user's encryption on the box
	method   string // as the page shows it
	cipher   string // a word of what the page shows, empty: none
	pop3     string // curl's login-options
	smtp     string // curl's login-options
	submit   string // URL
}

func (c callCase) user() boxUser {
	return boxUser{name: c.name, dial: "dial-" + c.name, mail: "mail-" + c.name, upstream: c.upstream, encryption: c.box}
}

// refuse is pppd's options to be left with one way to log in.
func refuse(others ...string) string {
	options := "refuse-eap"
	for _, o := range others {
		options += " refuse-" + o
	}
	return options
}

var callCases = []callCase{
	// Without further options Debian's pppd offers Deflate and BSD-Compress,
	// which must be refused without harm.
	{name: "pap", upstream: "tls", options: refuse("chap", "mschap", "mschap-v2"), method: "PAP",
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
	{name: "chap", upstream: "starttls", options: refuse("pap", "mschap", "mschap-v2"), method: "CHAP-MD5",
		pop3: "AUTH=+APOP", smtp: "AUTH=LOGIN", submit: "smtp://mail.postern.lan:25"},
	{name: "mschap", upstream: "tls", options: refuse("pap", "chap", "mschap-v2") + " nomppe", method: "MS-CHAP",
		pop3: "AUTH=*", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:25"},
	{name: "mschap128", upstream: "starttls", options: refuse("pap", "chap", "mschap-v2") + " require-mppe-128", box: "require", method: "MS-CHAP", cipher: "128",
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "v2mppe128", upstream: "tls", options: refuse("pap", "chap", "mschap") + " require-mppe-128", box: "require", method: "MS-CHAPv2", cipher: "128",
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
	{name: "v2stateful", upstream: "starttls", options: refuse("pap", "chap", "mschap") + " require-mppe-128 mppe-stateful", box: "require", method: "MS-CHAPv2", cipher: "128",
		pop3: "AUTH=+APOP", smtp: "AUTH=LOGIN", submit: "smtp://mail.postern.lan:25"},
	// By MS-CHAPv2: pppd gives 40 bit up after MS-CHAP v1.
	{name: "v2mppe40", upstream: "tls", options: refuse("pap", "chap", "mschap") + " require-mppe-40 nomppe-128", box: "require", method: "MS-CHAPv2", cipher: "40",
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
}

// callScript is a case's part in the guest: dial, fetch everything, send
// everything, hang up.
func callScript(c callCase, letters int) string {
	var s strings.Builder
	fmt.Fprintf(&s, ". /lib.sh\ndial %s user %s remotename box %s || exit 1\n", boxNumber, c.name, c.options)
	fmt.Fprintf(&s, "fetch mail.postern.lan %d /cases/%s.pop3\n", letters, c.name)
	fmt.Fprintf(&s, "submit %s /cases/%s.smtp %s friend@example.net /letters/%s/*\n", c.submit, c.name, c.user().address(), c.name)
	s.WriteString("hangup\n")
	return s.String()
}

// guestSecrets is how pppd knows the users' passwords.
func guestSecrets(users []boxUser) map[string]guestFile {
	var secrets strings.Builder
	for _, u := range users {
		password := u.dial
		if u.typed != "" {
			password = u.typed
		}
		fmt.Fprintf(&secrets, "%q * %q *\n", u.name, password)
	}
	// pppd does not read them when others may.
	file := guestFile{0o600, []byte(secrets.String())}
	return map[string]guestFile{"/etc/ppp/chap-secrets": file, "/etc/ppp/pap-secrets": file}
}

func curlLogin(u boxUser, options string) guestFile {
	return guestFile{0o600, fmt.Appendf(nil, "user = %q\nlogin-options = %q\n", u.name+":"+u.mailPassword(), options)}
}

// sum is how lib.sh's sums tells of a file.
func sum(name, data string) string {
	return fmt.Sprintf("sum %s %d %x", name, len(data), sha256.Sum256([]byte(data)))
}

func TestPppdGetsAndSendsMailWhicheverWayItLogsIn(t *testing.T) {
	t.Parallel()
	tel := newTelephone()
	users := []boxUser{}
	for _, c := range callCases {
		users = append(users, c.user())
	}
	files := guestSecrets(users)
	passwords := map[string]string{}
	for _, u := range users {
		passwords[u.name] = providerPassword
	}
	p := startProvider(t, passwords)
	waiting, outgoing := map[string][]string{}, map[string][]string{}
	for _, c := range callCases {
		u := c.user()
		waiting[c.name] = letters("friend@example.net", u.address())
		outgoing[c.name] = letters(u.address(), "friend@example.net")
		for i, letter := range outgoing[c.name] {
			files[fmt.Sprintf("/letters/%s/%d", c.name, i+1)] = guestFile{0o644, []byte(letter)}
		}
		for _, letter := range waiting[c.name] {
			p.deliver(t, c.name, letter)
		}
		files["/cases/"+c.name] = guestFile{0o644, []byte(callScript(c, len(waiting[c.name])))}
		files["/cases/"+c.name+".pop3"] = curlLogin(u, c.pop3)
		files["/cases/"+c.name+".smtp"] = curlLogin(u, c.smtp)
	}
	b := newBox(t, p, boxConfig{port: tel.line(t, boxNumber), users: users})
	g := bootGuest(t, files, tel.cable(t))
	b.ready(t)
	for _, c := range callCases {
		b.fetched(t, c.name, len(waiting[c.name]))
	}

	calls := int64(0)
	for _, c := range callCases {
		t.Run(c.name, func(t *testing.T) {
			calls++
			mark := p.dovecot.mark()
			r := g.run(t, c.name, nil)
			var want []string
			for i, letter := range waiting[c.name] {
				want = append(want, sum(fmt.Sprint(i+1), letter))
			}
			var got []string
			for _, s := range r.said {
				if strings.HasPrefix(s, "sum ") {
					got = append(got, s)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("fetched\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				for i, s := range got {
					if i < len(want) && s != want[i] {
						t.Errorf("letter %d: %.3000q\nwant %.3000q", i+1, g.get(t, fmt.Sprint("/tmp/inbox/", i+1)), waiting[c.name][i])
					}
				}
			}
			if !r.says("pop3 0") || !r.says("smtp 0") || !r.says("exit 5") {
				t.Fatalf("the guest says %q", r.said)
			}
			arrived := map[string]int{}
			for range outgoing[c.name] {
				d := p.arrival(t)
				if d.from != c.user().address() || d.to != "friend@example.net" {
					t.Errorf("envelope from %s to %s", d.from, d.to)
				}
				arrived[d.data]++
			}
			for i, letter := range outgoing[c.name] {
				if arrived[letter] != 1 {
					t.Errorf("letter %d arrived %d times unchanged: %.3000q", i+1, arrived[letter], letter)
				}
			}
			if t.Failed() {
				for data := range arrived {
					t.Logf("arrived: %.3000q", data)
				}
			}
			// What was deleted after QUIT reaches the provider.
			p.dovecot.await(t, mark, "pop3("+c.name+")", fmt.Sprintf("del=%d/", len(waiting[c.name])))
			if n := p.waiting(t, c.name); n != 0 {
				t.Errorf("%d messages are still at the provider", n)
			}
			call := b.lastCall(t, calls)
			if call.User != c.name || call.Method != c.method || (c.cipher == "") != (call.Cipher == "") || !strings.Contains(call.Cipher, c.cipher) {
				t.Errorf("the page shows %+v", call)
			}
			if call.Verdict.Side != status.Peer || call.Verdict.Text == "" {
				t.Errorf("the caller hung up; the page says %+v", call.Verdict)
			}
		})
	}
}
