package ppp

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// rfcCell is a cell as the RFC prints it: "irc,scr,sca/8", "3r", "-".
func rfcCell(t *testing.T, s string) cell {
	t.Helper()
	if s == "-" {
		return no
	}
	names := map[string]action{"tld": tld, "irc": irc, "zrc": zrc, "scr": scr, "sca": sca, "scn": scn,
		"str": str, "sta": sta, "scj": scj, "ser": ser, "tls": tls, "tlu": tlu, "tlf": tlf}
	acts, next, ok := strings.Cut(s, "/")
	if !ok {
		acts, next = "", s
	}
	n, err := strconv.Atoi(strings.TrimRight(next, "rpx")) // footnote letters
	if err != nil {
		t.Fatalf("cell %q has no state", s)
	}
	c := cell{next: state(n)}
	for _, a := range strings.FieldsFunc(acts, func(r rune) bool { return r == ',' }) {
		bit, ok := names[a]
		if !ok {
			t.Fatalf("cell %q: unknown action %q", s, a)
		}
		c.do |= bit
	}
	return c
}

func TestEveryCellIsTheRFCs(t *testing.T) {
	text, err := os.ReadFile("testdata/rfc1661-table.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]event{"Up": evUp, "Down": evDown, "Open": evOpen, "Close": evClose,
		"TO+": evTOPlus, "TO-": evTOMinus, "RCR+": evRCRPlus, "RCR-": evRCRMinus, "RCA": evRCA, "RCN": evRCN,
		"RTR": evRTR, "RTA": evRTA, "RUC": evRUC, "RXJ+": evRXJPlus, "RXJ-": evRXJMinus, "RXR": evRXR}
	var columns []state
	seen := 0
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, "|")
		name = strings.TrimSpace(name)
		fields := strings.Fields(rest)
		switch {
		case !ok || len(fields) == 0 || name == "Events" || fields[0] == "State":
		case name == "": // the numbers of the states in this half of the table
			columns = nil
			for _, f := range fields {
				n, err := strconv.Atoi(f)
				if err != nil {
					t.Fatalf("state number %q", f)
				}
				columns = append(columns, state(n))
			}
		default:
			ev, ok := rows[name]
			if !ok || len(fields) != len(columns) {
				t.Fatalf("row %q has %d cells for %d states", name, len(fields), len(columns))
			}
			for i, f := range fields {
				if got, want := transitions[ev][columns[i]], rfcCell(t, f); got != want {
					t.Errorf("%s in %s: table has %+v, the RFC says %q", name, columns[i], got, f)
				}
				seen++
			}
		}
	}
	if seen != 160 {
		t.Fatalf("compared %d cells, the RFC has 160", seen)
	}
}
