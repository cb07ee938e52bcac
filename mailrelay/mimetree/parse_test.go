package mimetree

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func mustParse(t *testing.T, s string) *Part {
	t.Helper()
	p, err := Parse(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// nested is the example of RFC 3501 section 6.4.5, with contents that say where
// they are.
var nested = crlf(`Subject: outer
Content-Type: multipart/mixed; boundary="a b"

preamble
--a b

text 1
--a b  ` + `
Content-Type: application/octet-stream

2
2
--a b
Content-Type: message/rfc822

Subject: inner of 3
Content-Type: multipart/mixed; boundary=c

--c

3.1
--c
Content-Type: application/x-3.2

3.2
--c--
epilogue of c
--a b
Content-Type: multipart/mixed; boundary=d

--d
Content-Type: image/gif

4.1
--d
Content-Type: message/rfc822

Subject: inner of 4.2
Content-Type: multipart/mixed; boundary=e

--e

4.2.1
--e
Content-Type: multipart/alternative; boundary=f

--f

4.2.2.1
--f
Content-Type: text/richtext

4.2.2.2
--f--
--e--
--d--
--a b--
epilogue
`)

func TestPartsAreNumberedAsInRFC3501(t *testing.T) {
	root := mustParse(t, nested)
	for path, want := range map[string]string{
		"1": "text 1", "2": "2\r\n2", "3.1": "3.1", "3.2": "3.2", "4.1": "4.1", "4.2.1": "4.2.1", "4.2.2.1": "4.2.2.1", "4.2.2.2": "4.2.2.2",
	} {
		p := root.Find(numbers(path)...)
		if p == nil {
			t.Errorf("no part %s", path)
			continue
		}
		if got := nested[p.Body:p.End]; got != want {
			t.Errorf("part %s is %q", path, got)
		}
	}
	for _, path := range []string{"0", "5", "1.1", "2.1", "3.3", "3.1.1", "4.2.2.3"} {
		if root.Find(numbers(path)...) != nil {
			t.Errorf("there is a part %s", path)
		}
	}
	three := root.Find(3)
	if got := nested[three.Message.Start:three.Message.Body]; got != "Subject: inner of 3\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" {
		t.Errorf("header of the message in 3 is %q", got)
	}
	if three.Body != three.Message.Start || three.End != three.Message.End {
		t.Error("the message is not the body of part 3")
	}
	if root.End != int64(len(nested)) || root.Header["subject"] != "outer" {
		t.Errorf("the message is %+v", root)
	}
	if n := root.Find(2).Lines; n != 1 {
		t.Errorf("part 2 has %d line ends", n)
	}
}

func numbers(path string) (list []int) {
	for n := range strings.SplitSeq(path, ".") {
		var i int
		fmt.Sscan(n, &i)
		list = append(list, i)
	}
	return list
}

func TestAMessageWithoutPartsIsItsPartOne(t *testing.T) {
	root := mustParse(t, "Subject: x\r\n\r\nbody\r\n")
	if root.Find(1) != root || root.Find(2) != nil || root.Find(1, 1) != nil || root.Lines != 1 {
		t.Errorf("%+v", root)
	}
}

func TestWhateverIsBrokenHasATree(t *testing.T) {
	for name, c := range map[string]struct{ message, tree string }{
		"nothing":                  {"", "text/plain[0,0,0]"},
		"no blank line":            {"Subject: x\r\n", "text/plain[0,12,12]"},
		"no header":                {"\r\nbody", "text/plain[0,2,6]"},
		"senseless type":           {"Content-Type: x\n\nb", "text/plain[0,17,18]"},
		"multipart, no boundary":   {"Content-Type: multipart/mixed\n\n--\n", "multipart/mixed[0,31,34]()"},
		"boundary never comes":     {"Content-Type: multipart/x; boundary=b\n\nc\n", "multipart/x[0,39,41]()"},
		"last boundary is missing": {"Content-Type: multipart/x; boundary=b\n\n--b\n\nc\n", "multipart/x[0,39,46](text/plain[43,44,46])"},
		"header ends at boundary":  {"Content-Type: multipart/x; boundary=b\n\n--b\nA: b\n--b--", "multipart/x[0,39,53](text/plain[43,48,48])"},
		"nothing between":          {"Content-Type: multipart/x; boundary=b\n\n--b\n\n--b--\n", "multipart/x[0,39,50](text/plain[43,44,44])"},
		"message without anything": {"Content-Type: message/rfc822\n", "message/rfc822[0,29,29]<text/plain[29,29,29]>"},
		"report":                   {"Content-Type: message/delivery-status\n\nx", "message/delivery-status[0,39,40]"},
		"digest":                   {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\nc\n--b--", "multipart/digest[0,44,62](message/rfc822[48,49,56]<text/plain[49,55,56]>)"},
	} {
		if got := tree(mustParse(t, c.message)); got != c.tree {
			t.Errorf("%s: %s, want %s", name, got, c.tree)
		}
	}
}

func tree(p *Part) string {
	s := fmt.Sprintf("%s/%s[%d,%d,%d]", p.Type, p.Subtype, p.Start, p.Body, p.End)
	if p.IsMultipart() {
		var parts []string
		for _, c := range p.Parts {
			parts = append(parts, tree(c))
		}
		s += "(" + strings.Join(parts, " ") + ")"
	}
	if p.Message != nil {
		s += "<" + tree(p.Message) + ">"
	}
	return s
}

func TestDepthAndNumberOfPartsAreBounded(t *testing.T) {
	var deep strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	depth := 0
	for p := mustParse(t, deep.String()); len(p.Parts) > 0; p = p.Parts[0] {
		depth++
	}
	if depth != maxDepth-1 {
		t.Errorf("depth is %d", depth)
	}
	wide := mustParse(t, "Content-Type: multipart/mixed; boundary=b\n\n"+strings.Repeat("--b\n\nx\n", 20000))
	if len(wide.Parts) != maxParts-1 {
		t.Errorf("%d parts", len(wide.Parts))
	}
}

func TestLongLinesAreNoBoundaryAndLoseNothing(t *testing.T) {
	long := strings.Repeat("x", 8191) + "\r\n" // CR and LF are read apart
	message := "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n" + long + "--b--\r\n"
	p := mustParse(t, message).Find(1)
	if p == nil || message[p.Body:p.End] != long[:8191] {
		t.Errorf("part 1 is %+v", p)
	}
	message = "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n" + strings.Repeat("y", 8192-48) + "--b--\r\nz"
	if p := mustParse(t, message).Find(1); p == nil || p.End != int64(len(message)) {
		t.Errorf("a boundary inside of a line ends part 1: %+v", p)
	}
}

func TestAnErrorOfTheReaderIsReturned(t *testing.T) {
	if _, err := Parse(io.MultiReader(strings.NewReader("A: b\n"), iotest.ErrReader(io.ErrNoProgress))); err != io.ErrNoProgress {
		t.Errorf("error is %v", err)
	}
	if _, err := ReadHeader(iotest.ErrReader(io.ErrNoProgress)); err != io.ErrNoProgress {
		t.Errorf("error is %v", err)
	}
}

func TestFieldsAreUnfoldedAndTheFirstOfANameCounts(t *testing.T) {
	header := "Subject: a\r\n b\r\nJUNK\r\nsubject: second\r\nX-Other : y\r\nTo:z\r\n\r\nFrom: body"
	got, err := ReadHeader(strings.NewReader(header))
	if err != nil || !strings.HasSuffix(string(got), "To:z\r\n\r\n") {
		t.Fatalf("header is %q, %v", got, err)
	}
	var names, fields []string
	for name, field := range Fields(got) {
		names, fields = append(names, name), append(fields, string(field))
	}
	if !slices.Equal(names, []string{"Subject", "", "subject", "X-Other", "To"}) || strings.Join(fields, "") != string(got[:len(got)-2]) {
		t.Errorf("fields are %q %q", names, fields)
	}
	if h := ParseHeader(got); h["subject"] != "a b" || h["to"] != "z" || len(h) != 2 {
		t.Errorf("header is %q", h)
	}
}

func TestParametersInTheirForms(t *testing.T) {
	value, params := Value(`Text/PLAIN; Charset="a\"b;c" ; name=x y;broken;; format=flowed; name=2; last="open`)
	if value != "text/plain" || len(params) != 4 || params["charset"] != `a"b;c` || params["name"] != "x y" || params["format"] != "flowed" || params["last"] != "open" {
		t.Errorf("%q %q", value, params)
	}
}

// FuzzParse checks that the offsets of any tree lie as they must.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{nested, "", "\n", "--\n", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\nc\n--b--", "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		root := mustParse(t, string(message))
		if root.Start != 0 || root.End != int64(len(message)) {
			t.Fatalf("%q is %s", message, tree(root))
		}
		check(t, root)
		header, err := ReadHeader(strings.NewReader(string(message)))
		if err != nil || !strings.HasPrefix(string(message), string(header)) {
			t.Fatalf("header of %q is %q, %v", message, header, err)
		}
	})
}

func check(t *testing.T, p *Part) {
	if p.Start > p.Body || p.Body > p.End || p.Lines < 0 || p.Lines > p.End-p.Body {
		t.Fatalf("%s", tree(p))
	}
	at := p.Body
	for _, c := range p.Parts {
		if c.Start < at || c.End > p.End {
			t.Fatalf("%s in %s", tree(c), tree(p))
		}
		at = c.End
		check(t, c)
	}
	if p.Message != nil {
		if p.Message.Start != p.Body || p.Message.End != p.End {
			t.Fatalf("%s in %s", tree(p.Message), tree(p))
		}
		check(t, p.Message)
	}
}
