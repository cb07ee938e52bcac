package config

import (
	"errors"
	"fmt"
	"strings"
)

// Faults is all that is wrong with a file, one fault a line.
type Faults []error

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, err := range f {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look into every fault.
func (f Faults) Unwrap() []error { return f }

// In puts the file's name before every fault, or before the error as a whole.
func In(file string, err error) error {
	var all Faults
	if !errors.As(err, &all) {
		return Faults{fmt.Errorf("%s: %w", file, err)}
	}
	named := make(Faults, len(all))
	for i, fault := range all {
		named[i] = fmt.Errorf("%s: %w", file, fault)
	}
	return named
}

func (f *Faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf(format, args...))
}

// err is nil where there is no fault.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Nearest returns the word that was probably meant: one that differs in a
// third of its letters at most. It is "" if there is none.
func Nearest(written string, words []string) string {
	best, found := len(written)/3+1, ""
	for _, w := range words {
		if d := distance(strings.ToLower(written), strings.ToLower(w)); d <= best && (found == "" || d < best) {
			best, found = d, w
		}
	}
	return found
}

// maxWord bounds the work that a hostile key makes.
const maxWord = 64

// distance is how many octets must be put in, taken out, replaced or swapped
// with their neighbour (Damerau's optimal string alignment) to make b of a.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var rows [maxWord + 1][maxWord + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
