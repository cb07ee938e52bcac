package mimetree

import "strings"

// Part is a part of a message, or the message itself.
type Part struct {
	// Start, Body and End are offsets into the message in octets: the header with
	// its blank line is [Start, Body), the body [Body, End).
	Start, Body, End int64
	// Lines is the number of line ends in the body.
	Lines int64
	// Type and Subtype are the media type in lower case; where there is none that
	// can be understood it is the default of RFC 2045 section 5.2.
	Type, Subtype string
	Params        map[string]string // of the Content-Type; names in lower case
	Header        Header
	// Parts are those of a multipart, which may have none if its boundary never
	// comes.
	Parts []*Part
	// Message is the one inside a message/rfc822 or message/global.
	Message *Part
}

// IsMultipart tells whether the part has Parts, if only none.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

func (p *Part) isMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// Find returns the part that RFC 3501 section 6.4.5 numbers so, counted from 1
// at each level; p is the whole message. It is nil if there is none.
func (p *Part) Find(path ...int) *Part {
	var found *Part
	list := p.numbered()
	for _, n := range path {
		if n < 1 || n > len(list) {
			return nil
		}
		found = list[n-1]
		switch {
		case found.IsMultipart():
			list = found.Parts
		case found.Message != nil:
			list = found.Message.numbered()
		default:
			list = nil
		}
	}
	return found
}

// numbered are the parts 1 and so on of a message: one that is no multipart has
// itself as part 1.
func (p *Part) numbered() []*Part {
	if p.IsMultipart() {
		return p.Parts
	}
	return []*Part{p}
}

// Header has the fields of a part that this package knows of, by name in lower
// case: unfolded, the first of each name.
type Header map[string]string

// known names the fields that an envelope or a body structure is made of, and
// those that tell when a message came.
func known(name string) bool {
	switch name {
	case "content-type", "content-transfer-encoding", "content-id", "content-description",
		"content-disposition", "content-language", "content-location",
		"date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id", "received":
		return true
	}
	return false
}

// Value splits a field like Content-Type into its value, in lower case, and its
// parameters (RFC 2045 section 5.1). It takes what it can of what is malformed.
func Value(s string) (value string, params map[string]string) {
	value, rest, _ := strings.Cut(s, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	for rest != "" {
		var name, v string
		name, v, rest = parameter(rest)
		if name == "" {
			continue
		}
		if params == nil {
			params = make(map[string]string)
		}
		if _, twice := params[name]; !twice {
			params[name] = v
		}
	}
	return value, params
}

// parameter takes name=value or name="value" off the front of s.
func parameter(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=;")
	if end < 0 {
		return "", "", ""
	}
	if s[end] == ';' {
		return "", "", s[end+1:]
	}
	name, s = strings.ToLower(strings.TrimSpace(s[:end])), strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return name, strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case s[i] == '"':
			_, rest, _ = strings.Cut(s[i+1:], ";")
			return name, b.String(), rest
		}
		b.WriteByte(s[i])
	}
	return name, b.String(), "" // the quote never ends
}
