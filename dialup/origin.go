package dialup

import "strings"

// Origin is where a call comes from, as far as the telephone network says.
type Origin struct {
	Line   string // the line that it came in on
	Number string // the calling number; empty if none came or it was withheld
}

// newOrigin takes the number as the modem reported it. The words that stand in
// a number's place ("private", "out of area") are no place that a call comes
// from: they would make one caller of all who withhold theirs.
func newOrigin(line, number string) Origin {
	if !strings.ContainsAny(number, "0123456789") {
		number = ""
	}
	return Origin{Line: line, Number: number}
}
