package mimetree

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
)

const (
	maxDepth = 100
	maxParts = 10000
	// maxValues bounds the header fields kept of one message, in octets.
	maxValues = 4 << 20
	// maxBoundary is generous; RFC 2046 section 5.1.1 allows 70 octets.
	maxBoundary = 1000
)

// Parse reads a message to its end. An error is that of r.
func Parse(r io.Reader) (*Part, error) {
	p := &parser{budget: maxValues}
	root := p.open("text", "plain")
	br := bufio.NewReaderSize(r, 8<<10)
	for {
		piece, err := br.ReadSlice('\n') // a long line comes in pieces
		if len(piece) > 0 {
			p.piece(piece)
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			p.close(0, p.at, p.lines)
			return root, nil
		default:
			return nil, err
		}
	}
}

// parser is at one place of a message.
type parser struct {
	at      int64 // octets so far
	lines   int64 // line ends so far
	inLine  bool  // the next piece continues a line
	cr      bool  // the last octet was a CR
	lineEnd int64 // octets of the line end just passed: 2, 1, or 0

	unclosed []*node // parts not yet at their end, the outermost first
	header   []byte  // of the innermost, while it is in its header
	budget   int     // of maxValues
	parts    int
}

// node is a part that is being read.
type node struct {
	*Part
	inHeader bool
	lines    int64  // before its body
	boundary string // of a multipart whose last boundary has not come
}

func (p *parser) open(mediaType, subtype string) *Part {
	part := &Part{Start: p.at, Type: mediaType, Subtype: subtype}
	p.unclosed = append(p.unclosed, &node{Part: part, inHeader: true})
	p.header = p.header[:0]
	p.parts++
	return part
}

func (p *parser) piece(b []byte) {
	if !p.inLine && bytes.HasPrefix(b, []byte("--")) {
		if i, last := p.boundary(b); i >= 0 {
			p.pass(i, last, b)
			return
		}
	}
	atStart := !p.inLine
	p.advance(b)
	top := p.unclosed[len(p.unclosed)-1]
	switch {
	case !top.inHeader:
	case atStart && blank(b):
		p.endHeader(top)
	case len(p.header)+len(b) <= MaxHeader:
		p.header = append(p.header, b...)
	}
}

func (p *parser) advance(b []byte) {
	p.at += int64(len(b))
	p.lineEnd = 0
	if p.inLine = b[len(b)-1] != '\n'; !p.inLine {
		p.lines++
		p.lineEnd = 1
		if len(b) > 1 && b[len(b)-2] == '\r' || len(b) == 1 && p.cr {
			p.lineEnd = 2
		}
	}
	p.cr = b[len(b)-1] == '\r'
}

// boundary finds the multipart that a line is a boundary of, -1 if none.
func (p *parser) boundary(line []byte) (i int, last bool) {
	text := string(bytes.TrimRight(line, " \t\r\n")[2:])
	for i := len(p.unclosed) - 1; i >= 0; i-- {
		switch b := p.unclosed[i].boundary; {
		case b == "":
		case text == b:
			return i, false
		case text == b+"--":
			return i, true
		}
	}
	return -1, false
}

// pass goes over a boundary of part i. The line end before it is part of it
// (RFC 2046 section 5.1.1).
func (p *parser) pass(i int, last bool, line []byte) {
	p.close(i+1, p.at-p.lineEnd, p.lines-min(p.lineEnd, 1))
	p.advance(line)
	multipart := p.unclosed[i]
	if last {
		multipart.boundary = ""
		return
	}
	if p.parts >= maxParts {
		return
	}
	mediaType, subtype := "text", "plain"
	if multipart.Subtype == "digest" {
		mediaType, subtype = "message", "rfc822" // RFC 2046 section 5.1.5
	}
	multipart.Parts = append(multipart.Parts, p.open(mediaType, subtype))
}

// close ends the open parts from the i-th on.
func (p *parser) close(i int, end, lines int64) {
	for _, n := range slices.Backward(p.unclosed[i:]) {
		if n.inHeader {
			p.readHeader(n)
			if n.isMessage() {
				n.Message = &Part{Start: n.Body, Body: n.Body, End: n.Body, Type: "text", Subtype: "plain"}
			}
		}
		end = max(n.Body, end) // not before what is in it
		n.End = end
		n.Lines = max(0, lines-n.lines)
	}
	p.unclosed = p.unclosed[:i]
}

func (p *parser) endHeader(n *node) {
	p.readHeader(n)
	boundary := n.Params["boundary"]
	switch {
	case n.IsMultipart() && boundary != "" && len(boundary) <= maxBoundary:
		n.boundary = strings.TrimRight(boundary, " \t")
	case n.isMessage():
		n.Message = p.open("text", "plain")
	}
}

// readHeader sets what the header says, which ends here.
func (p *parser) readHeader(n *node) {
	n.inHeader, n.Body, n.lines = false, p.at, p.lines
	n.Header = parseHeader(p.header, &p.budget)
	if value, params := Value(n.Header["content-type"]); value != "" {
		mediaType, subtype, _ := strings.Cut(value, "/")
		if mediaType == "" || subtype == "" {
			mediaType, subtype, params = "text", "plain", nil
		}
		n.Type, n.Subtype, n.Params = mediaType, subtype, params
	}
	if len(p.unclosed) >= maxDepth && (n.isMessage() || n.IsMultipart()) || p.parts >= maxParts && n.isMessage() {
		n.Type, n.Subtype, n.Params = "application", "octet-stream", nil
	}
}
