package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"postern/dialup/capture"
	"postern/ppp"
)

// quick is a demo on a line that is fast enough for a test.
func quick(args ...string) []string {
	return append([]string{"demo", "--json", "--rate", "921600", "--latency", "1ms"}, args...)
}

func TestTheDemoFetchesAndSendsEveryByte(t *testing.T) {
	for _, tc := range []struct{ auth, encryption, wantAuth, wantCipher string }{
		{"mschapv2", "128", "MS-CHAPv2", "MPPE 128 bit"},
		{"mschap", "40", "MS-CHAP", "MPPE 40 bit"},
		{"chap", "off", "CHAP-MD5", ""},
		{"pap", "off", "PAP", ""},
	} {
		t.Run(tc.auth+" "+tc.encryption, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), quick("--auth", tc.auth, "--encryption", tc.encryption), &stdout, &stderr)
			if code != 0 {
				t.Fatalf("exit status %d\n%s%s", code, stdout.String(), stderr.String())
			}
			var r demoResult
			dec := json.NewDecoder(&stdout)
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if _, err := dec.Token(); err != io.EOF {
				t.Error("there is more than one object on standard output")
			}
			if !r.OK || r.Fetched != 3 || r.Sent != 2 || r.Auth != tc.wantAuth || !strings.HasPrefix(r.Encryption, tc.wantCipher) || (tc.wantCipher == "") != (r.Encryption == "") {
				t.Errorf("result %+v", r)
			}
			if r.BytesUp < 4000 || r.BytesDown < 13000 || r.ConnectRate != 921_600 || !strings.HasPrefix(r.UpstreamTLS, "TLS 1.3") {
				t.Errorf("result %+v", r)
			}
			if !strings.HasPrefix(r.Verdict, "alice hung up after ") || strings.Contains(r.Verdict, "saying") {
				t.Errorf("the caller hung up, but the box says %q", r.Verdict)
			}
		})
	}
}

func TestTheDemoTellsItsStory(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--rate", "921600", "--latency", "1ms"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	for _, step := range []string{"dials 5550100", "CONNECT", "MS-CHAPv2", "MPPE 128 bit", "IP is up", "3 messages wait", "on disk", "hung up", "every byte arrived"} {
		if !strings.Contains(stdout.String(), step) {
			t.Errorf("the story does not tell %q:\n%s", step, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), demoPassword) {
		t.Error("the story shows the password")
	}
}

func TestABadCommandLineIsExplained(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "serve --config"},
		{[]string{"fly"}, `no command "fly"`},
		{[]string{"demo", "--auth", "ntlm"}, "mschapv2, mschap, chap or pap"},
		{[]string{"demo", "--encryption", "64"}, "128, 56, 40 or off"},
		{[]string{"demo", "--auth", "pap", "--encryption", "128"}, "makes no keys"},
		{[]string{"demo", "--rate", "12"}, "300 to 921600"},
		{[]string{"demo", "--latency", "-1s"}, "is not a time span"},
		{[]string{"serve", "now"}, "no further words"},
		{[]string{"demo", "--no-such-flag"}, "no-such-flag"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), tc.args, &stdout, &stderr); code != 2 {
			t.Errorf("%q: exit status %d, want 2", tc.args, code)
		}
		if !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%q is not explained with %q: %s", tc.args, tc.want, stderr.String())
		}
	}
}

// No log-in that both ends allow ends the demo's call.
func TestAFailedCallIsAFailedDemo(t *testing.T) {
	w, err := newDemoWorld(demoOptions{rate: 921_600, log: slog.New(slog.DiscardHandler), stack: gvisor, auth: 99}, newStory(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	result, err := w.run(t.Context())
	if err == nil || result.Fetched != 0 {
		t.Errorf("a call that could not log in gave %+v, error %v", result, err)
	}
}

// On a fresh box the folder of captures is not there yet.
func TestAnEndedCallIsCapturedInTheStateFolder(t *testing.T) {
	w, err := newDemoWorld(demoOptions{
		rate: 921_600, log: slog.New(slog.DiscardHandler), stack: gvisor, auth: ppp.PAP, encryption: ppp.EncryptionOff,
	}, newStory(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := capture.List(w.box.captures.dir)
	if err != nil || len(files) != 1 || !strings.Contains(files[0].Comment, demoUser) {
		t.Fatalf("captures %+v, error %v", files, err)
	}
	var text bytes.Buffer
	if err := traceCommand([]string{filepath.Join(w.box.captures.dir, files[0].Name)}, &text, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LCP ConfReq", "PAP", "IPCP ConfAck", "TCP", "LCP TermReq"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the trace of the call has no %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), demoPassword) {
		t.Error("the trace shows the password")
	}
}
