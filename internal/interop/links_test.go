//go:build interop

package interop

import (
	"slices"
	"strings"
	"testing"
)

// Boxes that want the line otherwise than the default.
const (
	statefulNumber    = "5550101"
	rechallengeNumber = "5550102"
	clearNumber       = "5550103"
)

// rereadUntilChallenged keeps mail flowing until pppd has been challenged four
// times more than at the log-in.
const rereadUntilChallenged = `
until [ "$(grep -c 'rcvd \[CHAP Challenge' /tmp/ppp.log)" -gt 4 ]; do
	reread 10.64.64.1 4 "$login" || break
done
`

// linkCases are about compression, encryption and the challenges during a call.
var linkCases = []callCase{
	{name: "deflate", upstream: "tls", options: onlyMSCHAPv2 + " nomppe deflate 15 nobsdcomp",
		method: "MS-CHAPv2", compression: "Deflate", carries: compressed,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	// An amd64 kernel compresses, and fails to decompress from the second code on:
	// bsd_decompress relies on an unsigned long to have 32 bits. pppd then takes
	// compression down, and the mail must not notice.
	{name: "bsd", upstream: "starttls", options: onlyMSCHAPv2 + " nomppe bsdcomp 15 nodeflate",
		method: "MS-CHAPv2", carries: carriage{passes: protoCCP},
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "bsd-up", upstream: "starttls", options: onlyCHAP + " bsdcomp 0,15 nodeflate",
		method: "CHAP-MD5", compression: "nothing out; BSD-Compress in", carries: carriage{passes: protoVJ},
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "vj", upstream: "tls", options: onlyCHAP + " noccp",
		method: "CHAP-MD5", carries: withVJ,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "vj-slots", upstream: "tls", options: onlyCHAP + " noccp novjccomp vj-max-slots 4",
		method: "CHAP-MD5", carries: withVJ,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "stateful128", number: statefulNumber, upstream: "tls", options: onlyMSCHAPv2 + " require-mppe-128 mppe-stateful",
		method: "MS-CHAPv2", cipher: "MPPE 128 bit, stateful", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "stateful40", number: statefulNumber, upstream: "starttls", options: onlyMSCHAPv2 + " require-mppe-40 nomppe-128 mppe-stateful",
		method: "MS-CHAPv2", cipher: "MPPE 40 bit, stateful", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "stateful128v1", number: statefulNumber, upstream: "tls", options: onlyMSCHAP + " require-mppe-128 mppe-stateful",
		method: "MS-CHAP", cipher: "MPPE 128 bit, stateful", carries: encrypted,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "rechallenge", number: rechallengeNumber, upstream: "tls", options: onlyCHAP,
		method: "CHAP-MD5", compression: "Deflate", carries: compressed, before: rereadUntilChallenged,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "rechallenge-v2", number: rechallengeNumber, upstream: "tls", options: onlyMSCHAPv2 + " require-mppe-128", box: "require",
		method: "MS-CHAPv2", cipher: "MPPE 128 bit, stateless", carries: encrypted, before: rereadUntilChallenged,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
	{name: "clear", number: clearNumber, upstream: "tls", options: onlyPAP + " noccp novj",
		method: "PAP", carries: inClear,
		pop3: "AUTH=PLAIN", smtp: "AUTH=PLAIN", submit: "smtp://10.64.64.1:587"},
}

func TestPppdGetsAndSendsMailWhicheverWayTheLineIsPacked(t *testing.T) {
	t.Parallel()
	f := newCallers(t, linkCases, map[string]boxConfig{
		boxNumber:         {},
		statefulNumber:    {encryption: "require", ppp: `mppe_mode = "stateful"`},
		rechallengeNumber: {ppp: `rechallenge = "500ms"`},
		clearNumber:       {clear: true},
	})
	for _, c := range f.cases {
		t.Run(c.name, func(t *testing.T) {
			r, packets := f.call(t, c)
			switch c.number {
			case rechallengeNumber:
				challengedWhileUp(t, f, c, r, packets)
			case clearNumber:
				// What shows that the search for secrets in all the other captures would
				// find them.
				b := f.boxes[c.number]
				found := b.leaks(b.capture(t, 1))
				for _, want := range append([]string{c.user().dial, plain(c.user())}, letterMarks[:4]...) {
					if !slices.Contains(found, want) {
						t.Errorf("%q is not found in a capture that has it", want)
					}
				}
			}
		})
	}
}

// challengedWhileUp wants challenges on a link that is up, of which neither the
// link nor the mail takes notice.
func challengedWhileUp(t *testing.T, f *callers, c callCase, r result, packets []packet) {
	t.Helper()
	const configureRequest, challenge, response, success = "1", "1", "2", "3"
	up := slices.IndexFunc(packets, func(p packet) bool { return p.protocol == protoIPCP })
	seen := map[packet]int{}
	for _, p := range packets[up:] {
		seen[p]++
	}
	challenges := seen[packet{sent, protoCHAP, challenge, ""}]
	if challenges < 4 || seen[packet{received, protoCHAP, response, ""}] < 4 || seen[packet{sent, protoCHAP, success, ""}] < 4 {
		t.Errorf("of the challenges while the call was up tshark sees %v", seen)
	}
	for _, direction := range []string{sent, received} {
		if n := seen[packet{direction, protoLCP, configureRequest, ""}]; n != 0 {
			t.Errorf("LCP was begun anew %d times", n)
		}
	}
	reread := said(r, "reread")
	want := strings.TrimPrefix(sum("again", f.waiting[c.name][3]), "sum ")
	if len(reread) == 0 || slices.ContainsFunc(reread, func(got string) bool { return got != want }) {
		t.Errorf("read again and again: %q, want %q", reread, want)
	}
	t.Logf("%d challenges, %d readings", challenges, len(reread))
}
