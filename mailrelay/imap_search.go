package mailrelay

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/mailrelay/mimetree"
	"postern/mailrelay/spool"
)

const (
	// maxSearchDepth bounds how far a search may be nested.
	maxSearchDepth = 50
	// maxSearchText is how much of each text part is searched, in octets.
	maxSearchText = 1 << 20
)

// Search is the SEARCH command.
func (s *imapSession) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.selected
	if searchDepth(criteria) > maxSearchDepth {
		return nil, imapBad("The search is nested too deeply")
	}
	data := &imap.SearchData{}
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for i := range v.messages {
		found, err := (&imapSearch{view: v, i: i}).matches(criteria)
		if errors.Is(err, spool.ErrNoMessage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		uid := v.messages[i].Seq()
		uids.AddNum(imap.UID(uid))
		seqs.AddNum(uint32(i) + 1)
		n := uint32(i) + 1
		if kind == imapserver.NumKindUID {
			n = uid
		}
		if data.Count == 0 {
			data.Min = n
		}
		data.Max = n
		data.Count++
	}
	if options.ReturnSave {
		v.saved = savedResult(uids, data, options)
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	return data, nil
}

// savedResult is RFC 5182 section 2.4's: with MIN or MAX alone only these.
func savedResult(all imap.UIDSet, data *imap.SearchData, options *imap.SearchOptions) imap.UIDSet {
	if options.ReturnAll || options.ReturnCount || !options.ReturnMin && !options.ReturnMax || data.Count == 0 {
		return all
	}
	var saved imap.UIDSet
	if options.ReturnMin {
		saved.AddNum(all[0].Start)
	}
	if options.ReturnMax {
		saved.AddNum(all[len(all)-1].Stop)
	}
	return saved
}

func searchDepth(c *imap.SearchCriteria) int {
	deepest := 0
	type at struct {
		*imap.SearchCriteria
		depth int
	}
	for todo := []at{{c, 1}}; len(todo) > 0; {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		deepest = max(deepest, c.depth)
		for i := range c.Not {
			todo = append(todo, at{&c.Not[i], c.depth + 1})
		}
		for i := range c.Or {
			todo = append(todo, at{&c.Or[i][0], c.depth + 1}, at{&c.Or[i][1], c.depth + 1})
		}
	}
	return deepest
}

// imapSearch is the search in one message, whose file is read as late and as
// little as can be.
type imapSearch struct {
	view   *imapView
	i      int
	header []byte // read once
	texts  []string
	read   bool // texts have been
}

func (q *imapSearch) matches(c *imap.SearchCriteria) (bool, error) {
	v, m := q.view, q.view.messages[q.i]
	for _, set := range c.SeqNum {
		if !v.in(set, q.i) {
			return false, nil
		}
	}
	for _, set := range c.UID {
		if !v.in(set, q.i) {
			return false, nil
		}
	}
	if !hasFlags(m.Flags, c.Flag, c.NotFlag) || c.Larger != 0 && m.Size <= c.Larger || c.Smaller != 0 && m.Size >= c.Smaller {
		return false, nil
	}
	if !c.Since.IsZero() || !c.Before.IsZero() {
		date, err := v.date(m)
		if err != nil || !inDays(date, c.Since, c.Before) {
			return false, err
		}
	}
	if ok, err := q.matchesHeader(c); !ok || err != nil {
		return false, err
	}
	if ok, err := q.matchesText(c); !ok || err != nil {
		return false, err
	}
	for i := range c.Not {
		if found, err := q.matches(&c.Not[i]); found || err != nil {
			return false, err
		}
	}
	for i := range c.Or {
		found, err := q.matches(&c.Or[i][0])
		if err == nil && !found {
			found, err = q.matches(&c.Or[i][1])
		}
		if !found || err != nil {
			return false, err
		}
	}
	return true, nil
}

// hasFlags knows no message with \Recent or a keyword.
func hasFlags(flags spool.Flags, with, without []imap.Flag) bool {
	for _, f := range with {
		if one := spoolFlags([]imap.Flag{f}); flags&one == 0 {
			return false
		}
	}
	return flags&spoolFlags(without) == 0
}

// inDays compares dates as they are written, without their zones (RFC 3501
// section 6.4.4). Zero bounds are none.
func inDays(date, since, before time.Time) bool {
	day := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

func (q *imapSearch) matchesHeader(c *imap.SearchCriteria) (bool, error) {
	if len(c.Header) == 0 && c.SentSince.IsZero() && c.SentBefore.IsZero() {
		return true, nil
	}
	if err := q.readHeader(); err != nil {
		return false, err
	}
	for _, want := range c.Header {
		if !headerContains(q.header, want.Key, want.Value) {
			return false, nil
		}
	}
	if !c.SentSince.IsZero() || !c.SentBefore.IsZero() {
		date, err := mail.ParseDate(mimetree.ParseHeader(q.header)["date"])
		return err == nil && inDays(date, c.SentSince, c.SentBefore), nil
	}
	return true, nil
}

func (q *imapSearch) readHeader() error {
	if q.header != nil {
		return nil
	}
	body, err := q.view.open(q.view.messages[q.i].UID)
	if err != nil {
		return err
	}
	defer body.Close()
	if q.header, err = mimetree.ReadHeader(body); err != nil {
		return q.view.session.spoolError(err)
	}
	return nil
}

// headerContains looks in the decoded text of a field, and in that of all for an
// empty name.
func headerContains(header []byte, name, text string) bool {
	for n, field := range mimetree.Fields(header) {
		if (name == "" || strings.EqualFold(n, name)) && contains(decodedWords(mimetree.Unfold(field)), text) {
			return true
		}
	}
	return false
}

func decodedWords(s string) string {
	words := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(r)
		return strings.NewReader(headerText(string(b))), err
	}}
	if decoded, err := words.DecodeHeader(s); err == nil {
		return decoded
	}
	return headerText(s)
}

func contains(s, text string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(text))
}

func (q *imapSearch) matchesText(c *imap.SearchCriteria) (bool, error) {
	if len(c.Body)+len(c.Text) == 0 {
		return true, nil
	}
	if err := q.readTexts(); err != nil {
		return false, err
	}
	for _, want := range c.Body {
		if !q.inTexts(want) {
			return false, nil
		}
	}
	for _, want := range c.Text {
		if !headerContains(q.header, "", want) && !q.inTexts(want) {
			return false, nil
		}
	}
	return true, nil
}

func (q *imapSearch) inTexts(want string) bool {
	for _, text := range q.texts {
		if contains(text, want) {
			return true
		}
	}
	return want == ""
}

// readTexts decodes the beginnings of the text parts, in all maxSearchText.
func (q *imapSearch) readTexts() error {
	if q.read {
		return nil
	}
	q.read = true
	if err := q.readHeader(); err != nil {
		return err
	}
	uid := q.view.messages[q.i].UID
	body, err := q.view.open(uid)
	if err != nil {
		return err
	}
	tree, err := mimetree.Parse(body)
	body.Close()
	if err != nil {
		return q.view.session.spoolError(err)
	}
	left := int64(maxSearchText)
	return q.readText(uid, tree, &left)
}

func (q *imapSearch) readText(uid string, p *mimetree.Part, left *int64) error {
	for _, c := range p.Parts {
		if err := q.readText(uid, c, left); err != nil {
			return err
		}
	}
	if p.Message != nil {
		return q.readText(uid, p.Message, left)
	}
	if p.Type != "text" || *left <= 0 {
		return nil
	}
	body, err := q.view.open(uid)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := skip(body, p.Body); err != nil {
		return q.view.session.spoolError(err)
	}
	var text bytes.Buffer
	// What cannot be decoded ends the text there.
	n, _ := io.Copy(&text, io.LimitReader(decoded(io.LimitReader(body, p.End-p.Body), p.Header["content-transfer-encoding"]), *left))
	*left -= n
	q.texts = append(q.texts, headerText(text.String()))
	return nil
}

func decoded(r io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}
