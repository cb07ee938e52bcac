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

// callCase is one way to call.
type callCase struct {
	name        string
	number      string // of the box, empty: boxNumber
	upstream    string // which of the two forms of TLS
	options     string // of pppd
	box         string // the user's encryption on the box
	method      string // as the page shows it, like the next two
	cipher      string
	compression string
	carries     carriage
	pop3        string // curl's login-options
	smtp        string // curl's login-options
	submit      string // URL
	before      string // what the guest does, once the call is up, before its mail; $login is for POP3
}

func (c callCase) user() boxUser {
	return boxUser{name: c.name, dial: "dial-" + c.name, mail: "mail-" + c.name, upstream: c.upstream, encryption: c.box}
}

// carriage is how IP packets pass on the line: what must be seen in both
// directions, and what must not be at all.
type carriage struct {
	passes string
	never  []string
}

var (
	inClear    = carriage{protoIP, []string{protoVJ, protoVJWhole, protoComp}}
	withVJ     = carriage{protoVJ, []string{protoComp}}
	compressed = carriage{protoComp, nil} // what does not shrink goes as it is
	encrypted  = carriage{protoComp, []string{protoIP, protoVJ, protoVJWhole}}
)

// refuse is pppd's options to be left with one way to log in.
func refuse(others ...string) string {
	options := "refuse-eap"
	for _, o := range others {
		options += " refuse-" + o
	}
	return options
}

var (
	onlyPAP      = refuse("chap", "mschap", "mschap-v2")
	onlyCHAP     = refuse("pap", "mschap", "mschap-v2")
	onlyMSCHAP   = refuse("pap", "chap", "mschap-v2")
	onlyMSCHAPv2 = refuse("pap", "chap", "mschap")
)

// callScript is a case's part in the guest: dial, fetch everything, send
// everything, hang up.
func callScript(c callCase, letters int) string {
	var s strings.Builder
	fmt.Fprintf(&s, ". /lib.sh\ndial %s user %s remotename box %s || exit 1\n", c.number, c.name, c.options)
	fmt.Fprintf(&s, "login=/cases/%s.pop3\n%s\n", c.name, c.before)
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

// logInCases are about logging in. Without further options pppd offers Deflate
// and BSD-Compress, and prefers the first.
var logInCases = []callCase{
	{name: "pap", upstream: "tls", options: onlyPAP, method: "PAP", compression: "Deflate", carries: compressed,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
	{name: "chap", upstream: "starttls", options: onlyCHAP, method: "CHAP-MD5", compression: "Deflate", carries: compressed,
		pop3: "AUTH=+APOP", smtp: "AUTH=LOGIN", submit: "smtp://mail.postern.lan:25"},
	{name: "mschap", upstream: "tls", options: onlyMSCHAP + " nomppe", method: "MS-CHAP", compression: "Deflate", carries: compressed,
		pop3: "AUTH=*", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:25"},
	{name: "mschap128", upstream: "starttls", options: onlyMSCHAP + " require-mppe-128", box: "require",
		method: "MS-CHAP", cipher: "MPPE 128 bit, stateless", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "v2mppe128", upstream: "tls", options: onlyMSCHAPv2 + " require-mppe-128", box: "require",
		method: "MS-CHAPv2", cipher: "MPPE 128 bit, stateless", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
	// Stateless mode is the first that both try.
	{name: "v2stateful", upstream: "starttls", options: onlyMSCHAPv2 + " require-mppe-128 mppe-stateful", box: "require",
		method: "MS-CHAPv2", cipher: "MPPE 128 bit, stateless", carries: encrypted,
		pop3: "AUTH=+APOP", smtp: "AUTH=LOGIN", submit: "smtp://mail.postern.lan:25"},
	// By MS-CHAPv2: pppd gives 40 bit up after MS-CHAP v1.
	{name: "v2mppe40", upstream: "tls", options: onlyMSCHAPv2 + " require-mppe-40 nomppe-128", box: "require",
		method: "MS-CHAPv2", cipher: "MPPE 40 bit, stateless", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://mail.postern.lan:587"},
}

func TestPppdGetsAndSendsMailWhicheverWayItLogsIn(t *testing.T) {
	t.Parallel()
	f := newCallers(t, logInCases, map[string]boxConfig{boxNumber: {}})
	for _, c := range f.cases {
		t.Run(c.name, func(t *testing.T) { f.call(t, c) })
	}
}

// callers are a guest that can call as each case has it, and the boxes that
// are called.
type callers struct {
	cases             []callCase
	p                 *provider
	boxes             map[string]*box // by number
	g                 *guest
	waiting, outgoing map[string][]string // letters, by the case's name
	calls             map[string]int64    // made so far, by number
}

// newCallers starts boxes, keyed by number, and the guest. Their configurations
// lack what follows from the cases.
func newCallers(t *testing.T, cases []callCase, boxes map[string]boxConfig) *callers {
	t.Helper()
	f := &callers{cases: slices.Clone(cases), boxes: map[string]*box{}, waiting: map[string][]string{}, outgoing: map[string][]string{}, calls: map[string]int64{}}
	tel := newTelephone()
	users, passwords := map[string][]boxUser{}, map[string]string{}
	all := []boxUser{}
	for i := range f.cases {
		c := &f.cases[i]
		if c.number == "" {
			c.number = boxNumber
		}
		users[c.number] = append(users[c.number], c.user())
		all = append(all, c.user())
		passwords[c.name] = providerPassword
	}
	files := guestSecrets(all)
	f.p = startProvider(t, passwords)
	for _, c := range f.cases {
		u := c.user()
		f.waiting[c.name] = letters("friend@example.net", u.address())
		f.outgoing[c.name] = letters(u.address(), "friend@example.net")
		for i, letter := range f.outgoing[c.name] {
			files[fmt.Sprintf("/letters/%s/%d", c.name, i+1)] = guestFile{0o644, []byte(letter)}
		}
		for _, letter := range f.waiting[c.name] {
			f.p.deliver(t, c.name, letter)
		}
		files["/cases/"+c.name] = guestFile{0o644, []byte(callScript(c, len(f.waiting[c.name])))}
		files["/cases/"+c.name+".pop3"] = curlLogin(u, c.pop3)
		files["/cases/"+c.name+".smtp"] = curlLogin(u, c.smtp)
	}
	for number, config := range boxes {
		config.port, config.users = tel.line(t, number), users[number]
		f.boxes[number] = newBox(t, f.p, config)
	}
	f.g = bootGuest(t, files, tel.cable(t))
	for _, b := range f.boxes {
		b.ready(t)
	}
	for _, c := range f.cases {
		f.boxes[c.number].fetched(t, c.name, len(f.waiting[c.name]))
	}
	return f
}

// call has the guest make the call of a case, in which it fetches and sends all
// mail, and compares what all sides say of it. It returns what the guest said
// and the call's packets.
func (f *callers) call(t *testing.T, c callCase) (result, []packet) {
	t.Helper()
	b, waiting, outgoing := f.boxes[c.number], f.waiting[c.name], f.outgoing[c.name]
	f.calls[c.number]++
	mark := f.p.dovecot.mark()
	r := f.g.run(t, c.name, nil)
	var want []string
	for i, letter := range waiting {
		want = append(want, strings.TrimPrefix(sum(fmt.Sprint(i+1), letter), "sum "))
	}
	if got := said(r, "sum"); !slices.Equal(got, want) {
		t.Errorf("fetched\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		for i, s := range got {
			if i < len(want) && s != want[i] {
				t.Errorf("letter %d: %.3000q\nwant %.3000q", i+1, f.g.get(t, fmt.Sprint("/tmp/inbox/", i+1)), waiting[i])
			}
		}
	}
	if !r.says("pop3 0") || !r.says("smtp 0") || !r.says("exit 5") {
		t.Fatalf("the guest says %q", r.said)
	}
	arrived := map[string]int{}
	for range outgoing {
		d := f.p.arrival(t)
		if d.from != c.user().address() || d.to != "friend@example.net" {
			t.Errorf("envelope from %s to %s", d.from, d.to)
		}
		arrived[d.data]++
	}
	for i, letter := range outgoing {
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
	f.p.dovecot.await(t, mark, "pop3("+c.name+")", fmt.Sprintf("del=%d/", len(waiting)))
	if n := f.p.waiting(t, c.name); n != 0 {
		t.Errorf("%d messages are still at the provider", n)
	}
	call := b.lastCall(t, f.calls[c.number])
	t.Logf("%s, %s, %q, %q, from %s: %d octets up, %d down", call.User, call.Method, call.Cipher, call.Compression, call.Client, call.Up, call.Down)
	if call.User != c.name || call.Method != c.method || call.Cipher != c.cipher || call.Compression != c.compression || !strings.Contains(call.Client, "pppd") {
		t.Errorf("the page shows %+v", call)
	}
	if call.Verdict.Side != status.Peer || call.Verdict.Code != "peer-hangup" || call.Verdict.Text == "" {
		t.Errorf("the caller hung up; the page says %+v", call.Verdict)
	}
	packets := b.packets(t, call.ID)
	logIn := protoCHAP
	if c.method == "PAP" {
		logIn = protoPAP
	}
	for _, protocol := range []string{protoLCP, logIn, protoIPCP, c.carries.passes} {
		if !passed(packets, protocol) {
			t.Errorf("tshark does not see %s pass in both directions", protocol)
		}
	}
	for _, p := range packets {
		if slices.Contains(c.carries.never, p.protocol) {
			t.Errorf("tshark sees %s", p.protocol)
			break
		}
	}
	return r, packets
}
