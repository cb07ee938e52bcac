package mailrelay

import (
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"postern/mailrelay/mimetree"
)

// imapEnvelope is RFC 3501 section 7.4.2's. Texts stay as they are in the
// header, encoded words and all, which the library passes on unchanged.
func imapEnvelope(h mimetree.Header) *imap.Envelope {
	date, err := mail.ParseDate(h["date"])
	if err != nil || !plausible(date) {
		date = time.Time{}
	}
	return &imap.Envelope{
		Date:      date,
		Subject:   headerText(h["subject"]),
		From:      imapAddresses(h["from"]),
		Sender:    imapAddresses(h["sender"]),
		ReplyTo:   imapAddresses(h["reply-to"]),
		To:        imapAddresses(h["to"]),
		Cc:        imapAddresses(h["cc"]),
		Bcc:       imapAddresses(h["bcc"]),
		InReplyTo: messageIDs(h["in-reply-to"]),
		MessageID: firstOf(messageIDs(h["message-id"])),
	}
}

// headerText makes a field's text fit for a string of IMAP: no NUL, and UTF-8;
// what is not is most likely Latin-1.
func headerText(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// messageIDs are those in angle brackets; the library puts these back.
func messageIDs(s string) (ids []string) {
	for {
		_, rest, found := strings.Cut(s, "<")
		if !found {
			return ids
		}
		id, after, found := strings.Cut(rest, ">")
		if !found {
			return ids
		}
		if id = headerText(id); id != "" {
			ids = append(ids, id)
		}
		s = after
	}
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// imapAddresses reads an address list (RFC 5322 section 3.4) as far as it can be
// understood: one that is malformed must not hide the others. A group begins
// with an address that has a mailbox only and ends with an empty one.
func imapAddresses(s string) (list []imap.Address) {
	a := addressReader{}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && (a.quoted || a.depth > 0) && i+1 < len(s):
			i++
			a.take(s[i])
		case c == '"' && a.depth == 0:
			a.quoted = !a.quoted
		case a.quoted:
			a.take(c)
		case c == '(':
			if a.depth++; a.depth > 1 {
				a.take(c)
			}
		case c == ')' && a.depth > 0:
			if a.depth--; a.depth > 0 {
				a.take(c)
			}
		case a.depth > 0:
			a.take(c)
		case c == '<':
			a.angle, a.hasAngle, a.inAngle = nil, true, true
		case c == '>':
			a.inAngle = false
		case c == ',' && !a.inAngle:
			list = a.end(list)
		case c == ':' && !a.inAngle && !a.group:
			a.group = true
			list = append(list, imap.Address{Mailbox: headerText(a.name())})
			a.reset()
		case c == ';' && a.group && !a.inAngle:
			list = append(a.end(list), imap.Address{})
			a.group = false
		default:
			a.take(c)
		}
	}
	list = a.end(list)
	if a.group {
		list = append(list, imap.Address{})
	}
	return list
}

// addressReader has what was read of one address.
type addressReader struct {
	phrase, comment, angle    []byte
	depth                     int // of comments
	quoted, inAngle, hasAngle bool
	group                     bool
}

func (a *addressReader) take(c byte) {
	switch {
	case a.depth > 0:
		a.comment = append(a.comment, c)
	case a.inAngle:
		a.angle = append(a.angle, c)
	default:
		a.phrase = append(a.phrase, c)
	}
}

func (a *addressReader) name() string { return strings.TrimSpace(string(a.phrase)) }

func (a *addressReader) reset() { *a = addressReader{group: a.group} }

// end adds the address that has been read, if there is one.
func (a *addressReader) end(list []imap.Address) []imap.Address {
	defer a.reset()
	name, address := a.name(), string(a.angle)
	if !a.hasAngle {
		// The form of old: user@host (Name).
		name, address = strings.TrimSpace(string(a.comment)), a.name()
	}
	if route, rest, found := strings.Cut(address, ":"); found && strings.HasPrefix(route, "@") {
		address = rest // RFC 822's source route, of which RFC 3501 wants nothing known
	}
	if address = headerText(strings.TrimSpace(address)); address == "" {
		return list
	}
	mailbox, host := address, "MISSING_DOMAIN" // without a host it would be a group
	if i := strings.LastIndexByte(address, '@'); i >= 0 && i+1 < len(address) {
		mailbox, host = address[:i], address[i+1:]
	}
	return append(list, imap.Address{Name: headerText(name), Mailbox: mailbox, Host: host})
}

// imapStructure is BODYSTRUCTURE, and BODY for who asks less.
func imapStructure(p *mimetree.Part) imap.BodyStructure {
	disposition := imapDisposition(p.Header["content-disposition"])
	language := languages(p.Header["content-language"])
	location := headerText(p.Header["content-location"])
	if p.IsMultipart() {
		children := make([]imap.BodyStructure, len(p.Parts))
		for i, c := range p.Parts {
			children[i] = imapStructure(c)
		}
		if len(children) == 0 {
			// One of no parts cannot be written down, and the library panics.
			children = append(children, imapStructure(&mimetree.Part{Type: "text", Subtype: "plain"}))
		}
		return &imap.BodyStructureMultiPart{
			Children: children,
			Subtype:  headerText(p.Subtype),
			Extended: &imap.BodyStructureMultiPartExt{Params: texts(p.Params), Disposition: disposition, Language: language, Location: location},
		}
	}
	single := &imap.BodyStructureSinglePart{
		Type:        headerText(p.Type),
		Subtype:     headerText(p.Subtype),
		Params:      texts(p.Params),
		ID:          headerText(p.Header["content-id"]),
		Description: headerText(p.Header["content-description"]),
		Encoding:    headerText(p.Header["content-transfer-encoding"]),
		Size:        uint32(min(p.End-p.Body, 1<<32-1)),
		Extended:    &imap.BodyStructureSinglePartExt{Disposition: disposition, Language: language, Location: location},
	}
	switch {
	case p.Message != nil:
		single.MessageRFC822 = &imap.BodyStructureMessageRFC822{
			Envelope:      imapEnvelope(p.Message.Header),
			BodyStructure: imapStructure(p.Message),
			NumLines:      p.Lines,
		}
	case p.Type == "text":
		single.Text = &imap.BodyStructureText{NumLines: p.Lines}
	}
	return single
}

func imapDisposition(field string) *imap.BodyStructureDisposition {
	value, params := mimetree.Value(field)
	if value == "" {
		return nil
	}
	return &imap.BodyStructureDisposition{Value: headerText(value), Params: texts(params)}
}

func languages(field string) (list []string) {
	for language := range strings.SplitSeq(field, ",") {
		if language = headerText(strings.TrimSpace(language)); language != "" {
			list = append(list, language)
		}
	}
	return list
}

func texts(params map[string]string) map[string]string {
	clean := make(map[string]string, len(params))
	for name, value := range params {
		clean[headerText(name)] = headerText(value)
	}
	return clean
}
