package dialup

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// scanAll feeds p in pieces of the given size and returns every result.
func scanAll(s *lineScanner, p []byte, piece int) (all []result) {
	for chunk := range slices.Chunk(p, piece) {
		s.feed(chunk)
		for {
			r, found := s.next()
			if !found {
				break
			}
			all = append(all, r)
		}
	}
	return all
}

func TestResultsAreReadInEverySpelling(t *testing.T) {
	for _, test := range []struct {
		line    string
		numeric bool
		want    result
	}{
		{"OK", false, result{code: ok}},
		{"ok", false, result{code: ok}},
		{"ERROR", false, result{code: failed}},
		{"+CME ERROR: 10", false, result{code: failed}},
		{"RING", false, result{code: ring}},
		{"RING;", false, result{code: ring}},
		{"RING A", false, result{code: ring}},
		{"RING 1", false, result{code: ring}},
		{"+CRING: ASYNC", false, result{code: ring}},
		{"RINGING", false, result{code: info}}, // the far end rings, when we dial
		{"NO CARRIER", false, result{code: noCarrier}},
		{"NO DIALTONE", false, result{code: noDialtone}},
		{"NO DIAL TONE", false, result{code: noDialtone}},
		{"BUSY", false, result{code: busy}},
		{"NO ANSWER", false, result{code: noAnswer}},
		{"CONNECT", false, result{code: connect}},
		{"CONNECT 33600", false, result{code: connect, rate: 33600}},
		{"CONNECT 33600/ARQ/V34/LAPM/V42BIS", false, result{code: connect, rate: 33600}},
		{"CONNECT 28800EC", false, result{code: connect, rate: 28800}},
		{"CONNECT 9600bps", false, result{code: connect, rate: 9600}},
		{"CONNECT/ARQ", false, result{code: connect}},
		{"CONNECT FAST", false, result{code: connect}},
		{"CONNECT V42BIS", false, result{code: connect}},
		{"CONNECT 1200/75", false, result{code: connect, rate: 1200}},
		{"CONNECT 115200/V34/LAPM/V42BIS/33600:TX/31200:RX", false, result{code: connect, rate: 33600}},
		{"CONNECTED", false, result{code: info}},
		{"CARRIER 33600", false, result{code: modulation, rate: 33600}},
		{"CARRIER 31200/33600", false, result{code: modulation, rate: 31200}},
		{"+MRR: 28800,26400", false, result{code: modulation, rate: 28800}},
		{"PROTOCOL: LAPM", false, result{code: modulation}},
		{"COMPRESSION: V.42BIS", false, result{code: modulation}},
		{"NMBR = 5550100", false, result{code: callerID, key: "NMBR", value: "5550100"}},
		{"NMBR=5550100", false, result{code: callerID, key: "NMBR", value: "5550100"}},
		{"NMBR = P", false, result{code: callerID, key: "NMBR", value: "private"}},
		{"NMBR = O", false, result{code: callerID, key: "NMBR", value: "out of area"}},
		{"NAME = MARTHA P", false, result{code: callerID, key: "NAME", value: "MARTHA P"}},
		{"DATE = 0704", false, result{code: callerID, key: "DATE", value: "0704"}},
		{"TIME = 1435", false, result{code: callerID, key: "TIME", value: "1435"}},
		{`+CLIP: "5550100",129`, false, result{code: callerID, key: "NMBR", value: "5550100"}},
		{`+CLIP: "",128`, false, result{code: callerID, key: "NMBR", value: "private"}},
		{"ATZ", false, result{code: info}},
		{"0", false, result{code: info}}, // ATS0? of some families
		{"0", true, result{code: ok}},
		{"000", true, result{code: info}},
		{"1", true, result{code: connect}},
		{"2", true, result{code: ring}},
		{"3", true, result{code: noCarrier}},
		{"4", true, result{code: failed}},
		{"5", true, result{code: connect, rate: 1200}},
		{"10", true, result{code: connect, rate: 2400}},
		{"18", true, result{code: connect}},
	} {
		test.want.text = test.line
		if got := parseResult(test.line, test.numeric); got != test.want {
			t.Errorf("%q, numeric %v: %+v, want %+v", test.line, test.numeric, got, test.want)
		}
	}
}

func TestResultsMayBeCutAnywhere(t *testing.T) {
	stream := []byte("ATA\r\r\nRING\r\n\r\nNMBR = 5550100\r\n\n\n\r\r\nNO CARRIER\r\nOK\rERROR\n")
	want := []code{info, ring, callerID, noCarrier, ok, failed}
	for piece := 1; piece <= len(stream); piece++ {
		var got []code
		for _, r := range scanAll(&lineScanner{}, stream, piece) {
			got = append(got, r.code)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: %v, want %v", piece, got, want)
		}
	}
}

func TestAStrayLineEndWithinACodeIsForgiven(t *testing.T) {
	for stream, want := range map[string]code{
		"NO CAR\r\nRIER\r\n":         noCarrier,
		"NO\r\nCARRIER\r\n":          noCarrier,
		"RI\r\n\r\nNG\r\n":           ring,
		"CONN\nECT 33600/V34\r\n":    connect,
		"ER\r\nROR\r\n":              failed,
		"\xff\x00~garb\r\nRING\r\n":  ring,
		"\x81\xf3NO CARRIER\xff\r\n": noCarrier,
	} {
		all := scanAll(&lineScanner{}, []byte(stream), 1)
		if last := all[len(all)-1]; last.code != want {
			t.Errorf("%q: %+v, want code %d", stream, last, want)
		}
	}
}

func TestNothingBehindConnectIsSwallowed(t *testing.T) {
	frame := []byte("~\xff\x7d\x23\xc0\x21~\r\nOK\r\n~")
	for _, head := range []string{"\r\nCONNECT 33600/ARQ\r\n", "CONNECT\r\n", "CONNECT\r", "CONNECT\n", "CARRIER 33600\r\n\r\nCONNECT 115200\r\n"} {
		stream := append([]byte(head), frame...)
		for cut := range stream {
			var s lineScanner
			var got []byte
			connected := false
			for _, chunk := range [][]byte{stream[:cut], stream[cut:]} {
				if connected {
					got = append(got, chunk...)
					continue
				}
				s.feed(chunk)
				for !connected {
					r, found := s.next()
					if !found {
						break
					}
					if r.code == connect {
						connected = true
						got = append(got, s.rest()...)
					}
				}
			}
			// The LF of the line end may come through; PPP's flag is behind it.
			if got = bytes.TrimPrefix(got, []byte("\n")); !bytes.Equal(got, frame) {
				t.Fatalf("%q cut at %d: PPP gets %q", head, cut, got)
			}
		}
	}
}

func TestALineWithoutEndIsBounded(t *testing.T) {
	var s lineScanner
	for range 1000 {
		s.feed(bytes.Repeat([]byte("x"), 1000))
		if r, found := s.next(); found {
			t.Fatalf("a line without end gave %+v", r)
		}
	}
	if len(s.buf) > maxLine {
		t.Fatalf("%d octets are kept", len(s.buf))
	}
	s.feed([]byte("\r\nOK\r\n"))
	s.next()
	if r, _ := s.next(); r.code != ok {
		t.Fatalf("after it comes %+v", r)
	}
}

func TestResultsThatNobodyTakesAreBounded(t *testing.T) {
	var s lineScanner
	for range 1000 {
		s.feed(bytes.Repeat([]byte("OK\r\n"), 1000))
	}
	s.feed([]byte("RING\r\n"))
	if len(s.buf) > maxHeld {
		t.Errorf("%d octets are kept", len(s.buf))
	}
	var last result
	for r, found := s.next(); found; r, found = s.next() {
		last = r
	}
	if last.code != ring {
		t.Errorf("the newest is lost, %+v is the last", last)
	}
}

func FuzzLineScanner(f *testing.F) {
	for _, seed := range []string{
		"\r\nRING\r\n\r\nNMBR = 5550100\r\n", "ATZ\r\r\nOK\r\n", "CONNECT 33600/ARQ/V34\r\n~\xff}#\xc0!",
		"0\r", "10\r", "NO\r\nCARRIER\r\n", "+CLIP: \"1\",2\r\n", "CONNECT /:TX\r", "NMBR=\r", strings.Repeat("A", 300) + "\r",
	} {
		f.Add([]byte(seed), true, byte(1))
		f.Add([]byte(seed), false, byte(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, numeric bool, piece byte) {
		if len(stream) > 1<<16 {
			return
		}
		whole := scanAll(&lineScanner{numeric: numeric}, stream, max(1, len(stream)))
		cut := scanAll(&lineScanner{numeric: numeric}, stream, int(piece)+1)
		// What a line means does not depend on where reads cut the stream,
		// unless it is too long to be kept.
		long := false
		for line := range bytes.FieldsFuncSeq(stream, func(r rune) bool { return r == '\r' || r == '\n' }) {
			long = long || len(line) > maxLine
		}
		if !long && !slices.Equal(whole, cut) {
			t.Fatalf("whole %+v, cut %+v", whole, cut)
		}
		for _, r := range whole {
			if r.rate < 0 || r.rate >= 1_000_000 || len(r.text) > 3*maxLine {
				t.Fatalf("%+v", r)
			}
		}
	})
}
