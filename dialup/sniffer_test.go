package dialup

import "testing"

var firstBytes = []struct {
	name, bytes string
	want        speaker
	at          int // bytes looked at
}{
	{"Windows' first frame", "\x7e\xff\x7d\x23\xc0\x21\x7d\x21", peer, 2},
	{"a frame without address and control", "\x7e\xc0\x21\x01", peer, 2},
	{"a frame with everything escaped", "\x7e\x7d\xdf\x7d\x23", peer, 2},
	{"the first flag was lost", "\xff\x7d\x23\xc0\x21", peer, 2},
	{"the flag and the address were lost", "\x7d\x23\xc0\x21", peer, 2},
	{"PPP in clear control characters", "\xff\x03\xc0\x21", peer, 2},
	{"PPP behind noise", "\x91\x0e\x42\x7e\xff", peer, 5},
	{"PPP behind a person", "\x7e\x7e\x7e\xff\x7d", peer, 4},
	{"flags alone", "\x7e\x7e\x7e", unknown, 3},
	{"a direct cable", "CLIENT", directCable, 6},
	{"a direct cable that says it twice", "CLICLIENTCLIENT", directCable, 9},
	{"a person's Return", "\r", person, 1},
	{"a name typed blindly", "alice\r", person, 6},
	{"a name with a tilde", "~alice}\r", person, 8},
	{"corrections", "alc\b\x7fice\r", person, 9},
	{"line feeds left of CONNECT", "\n\n", unknown, 2},
	{"noise that holds a Return", "\x81\x91\r\x05\r", unknown, 5},
	{"a Return behind noise", "\x81\x91\r\r", person, 4},
	{"words without Return", "NO CARRIER", unknown, 10},
	{"silence", "", unknown, 0},
}

func TestTheFirstBytesTellWhoSpeaks(t *testing.T) {
	for _, tc := range firstBytes {
		var s sniffer
		if who, n := s.feed([]byte(tc.bytes)); who != tc.want || n != tc.at {
			t.Errorf("%s: speaker %d after %d bytes, want %d after %d", tc.name, who, n, tc.want, tc.at)
		}
	}
}

func TestWhatAKeyboardHasIsNoPPPWhileSomebodyTypes(t *testing.T) {
	for _, typed := range []string{"~}#~\xc0", "CLIENT", "a}#b", "~~~"} {
		s := sniffer{typing: true}
		if who, _ := s.feed([]byte(typed)); who != unknown {
			t.Errorf("%q is taken for %d", typed, who)
		}
	}
	s := sniffer{typing: true}
	if who, n := s.feed([]byte("ppp~\xff}#")); who != peer || n != 5 {
		t.Errorf("PPP while somebody types is taken for %d after %d bytes", who, n)
	}
}

func FuzzSniffer(f *testing.F) {
	for _, tc := range firstBytes {
		f.Add([]byte(tc.bytes), 1, false)
	}
	f.Fuzz(func(t *testing.T, p []byte, cut int, typing bool) {
		whole, parts := sniffer{typing: typing}, sniffer{typing: typing}
		who, n := whole.feed(p)
		if n < 0 || n > len(p) || who == unknown && n != len(p) {
			t.Fatalf("looked at %d of %d bytes", n, len(p))
		}
		cut = max(0, min(cut, n))
		first, a := parts.feed(p[:cut])
		if first == unknown {
			second, b := parts.feed(p[cut:n])
			first, a = second, a+b
		}
		if first != who || a != n {
			t.Errorf("in two parts it is %d after %d, in one %d after %d", first, a, who, n)
		}
		if len(whole.text) > len(cableClient) {
			t.Errorf("keeps %d bytes", len(whole.text))
		}
		// Whatever came before, PPP's first frame is heard at once.
		for rest := p[n:]; len(rest) > 0; rest = rest[n:] {
			_, n = whole.feed(rest)
		}
		if who, _ := whole.feed([]byte("\x7e\xff\x7d\x23")); who != peer {
			t.Errorf("PPP behind %q is taken for %d", p, who)
		}
	})
}
