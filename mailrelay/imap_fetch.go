package mailrelay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/mailrelay/mimetree"
	"postern/mailrelay/spool"
)

// maxSections bounds the files that one FETCH has open at once.
const maxSections = 32

// Fetch is the FETCH command. The octets of any section are those of the
// message, as they came; nothing of it is held in memory but header fields.
func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.selected
	if len(options.BinarySection)+len(options.BinarySectionSize) > 0 {
		return imapBad("BINARY is not offered here")
	}
	if len(options.BodySection) > maxSections {
		return imapBad("Too many sections in one FETCH")
	}
	for _, section := range options.BodySection {
		if section.Specifier == imap.PartSpecifierMIME && len(section.Part) == 0 {
			return imapBad("MIME needs the number of a part")
		}
	}
	seen, err := v.markSeen(set, options)
	if err != nil {
		return err
	}
	someGone := false
	err = v.each(set, func(i int) error {
		err := v.fetch(w, i, options, seen[v.messages[i].UID])
		if errors.Is(err, spool.ErrNoMessage) {
			someGone = true
			return nil
		}
		return err
	})
	if err == nil && someGone {
		return errSomeGone()
	}
	return err
}

// markSeen does what FETCH of a body does by the way, for all messages at once.
// It returns those whose flags are new to the client.
func (v *imapView) markSeen(set imap.NumSet, options *imap.FetchOptions) (map[string]bool, error) {
	peeks := func(section *imap.FetchItemBodySection) bool { return section.Peek }
	if v.readOnly || !slices.ContainsFunc(options.BodySection, func(b *imap.FetchItemBodySection) bool { return !peeks(b) }) {
		return nil, nil
	}
	var unseen []string
	v.each(set, func(i int) error {
		if m := v.messages[i]; m.Flags&spool.Seen == 0 {
			unseen = append(unseen, m.UID)
		}
		return nil
	})
	now, err := v.folder.SetFlags(unseen, func(f spool.Flags) spool.Flags { return f | spool.Seen })
	if err != nil {
		return nil, v.session.spoolError(err)
	}
	seen := make(map[string]bool, len(now))
	for i := range v.messages {
		if flags, ok := now[v.messages[i].UID]; ok {
			v.messages[i].Flags = flags
			seen[v.messages[i].UID] = true
		}
	}
	return seen, nil
}

// fetch writes the response for message i. Whatever may fail in the spool does
// so before the first octet is written; later there is only the connection to
// cut, lest the client takes a part for the whole.
func (v *imapView) fetch(w *imapserver.FetchWriter, i int, options *imap.FetchOptions, tellFlags bool) error {
	m := v.messages[i]
	var tree *mimetree.Part
	if needsTree(options) {
		body, err := v.open(m.UID)
		if err != nil {
			return err
		}
		tree, err = mimetree.Parse(body)
		body.Close()
		if err != nil {
			return v.session.spoolError(err)
		}
	}
	date, sections := time.Time{}, make([]imapSection, len(options.BodySection))
	var err error
	if options.InternalDate {
		if date, err = v.date(m); err != nil {
			return err
		}
	}
	for n, want := range options.BodySection {
		if sections[n], err = v.section(m, tree, want); err != nil {
			return err
		}
	}
	defer func() {
		for _, section := range sections {
			section.Close()
		}
	}()

	response := w.CreateMessage(uint32(i) + 1)
	defer response.Close()
	if options.UID {
		response.WriteUID(imap.UID(m.Seq()))
	}
	if options.Flags || tellFlags {
		response.WriteFlags(imapFlags(m.Flags))
	}
	if options.InternalDate {
		response.WriteInternalDate(date)
	}
	if options.RFC822Size {
		response.WriteRFC822Size(m.Size)
	}
	if options.Envelope {
		response.WriteEnvelope(imapEnvelope(tree.Header))
	}
	if options.BodyStructure != nil {
		response.WriteBodyStructure(imapStructure(tree))
	}
	for n, section := range sections {
		literal := response.WriteBodySection(options.BodySection[n], section.size)
		if _, err := io.CopyN(literal, section, section.size); err != nil {
			v.session.conn.Close()
			return fmt.Errorf("message %s: %w", m.UID, err)
		}
		literal.Close()
	}
	return nil
}

// needsTree is false for what can be had from the file as it is.
func needsTree(options *imap.FetchOptions) bool {
	return options.Envelope || options.BodyStructure != nil ||
		slices.ContainsFunc(options.BodySection, func(b *imap.FetchItemBodySection) bool {
			return len(b.Part) > 0 || b.Specifier != imap.PartSpecifierNone
		})
}

func (v *imapView) open(uid string) (io.ReadCloser, error) {
	body, err := v.folder.Open(uid)
	if errors.Is(err, spool.ErrNoMessage) {
		return nil, err
	}
	if err != nil {
		return nil, v.session.spoolError(err)
	}
	return body, nil
}

// imapSection is size octets to be sent.
type imapSection struct {
	io.Reader
	io.Closer
	size int64
}

// section opens what BODY[...] asks for. What there is not is empty: the
// library cannot write NIL.
func (v *imapView) section(m spool.Message, tree *mimetree.Part, want *imap.FetchItemBodySection) (imapSection, error) {
	from, to := int64(0), m.Size
	if tree != nil {
		from, to = sectionRange(tree, want)
	}
	body, err := v.open(m.UID)
	if err != nil {
		return imapSection{}, err
	}
	section := imapSection{body, body, to - from}
	if err := skip(body, from); err != nil {
		body.Close()
		return imapSection{}, v.session.spoolError(err)
	}
	if len(want.HeaderFields)+len(want.HeaderFieldsNot) > 0 {
		header, err := mimetree.ReadHeader(io.LimitReader(body, section.size))
		if err != nil {
			body.Close()
			return imapSection{}, v.session.spoolError(err)
		}
		picked := pickFields(header, want)
		section.Reader, section.size = bytes.NewReader(picked), int64(len(picked))
	}
	if want.Partial != nil {
		offset := min(want.Partial.Offset, section.size)
		if err := skip(section.Reader, offset); err != nil {
			body.Close()
			return imapSection{}, v.session.spoolError(err)
		}
		section.size = min(want.Partial.Size, section.size-offset)
	}
	return section, nil
}

func skip(r io.Reader, n int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekCurrent)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// sectionRange finds a section's octets, RFC 3501 section 6.4.5.
func sectionRange(root *mimetree.Part, want *imap.FetchItemBodySection) (from, to int64) {
	part, message := root, root
	if len(want.Part) > 0 {
		if part = root.Find(want.Part...); part == nil {
			return 0, 0
		}
		message = part.Message
	}
	switch want.Specifier {
	case imap.PartSpecifierMIME:
		return part.Start, part.Body
	case imap.PartSpecifierNone:
		if len(want.Part) == 0 {
			return part.Start, part.End
		}
		return part.Body, part.End
	}
	if message == nil {
		return 0, 0
	}
	if want.Specifier == imap.PartSpecifierHeader {
		return message.Start, message.Body
	}
	return message.Body, message.End
}

// pickFields is HEADER.FIELDS and HEADER.FIELDS.NOT, with the blank line that
// RFC 3501 puts behind them whether there is one or not.
func pickFields(header []byte, want *imap.FetchItemBodySection) []byte {
	names, listed := want.HeaderFields, true
	if len(names) == 0 {
		names, listed = want.HeaderFieldsNot, false
	}
	var picked []byte
	for name, field := range mimetree.Fields(header) {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) == listed {
			picked = append(picked, field...)
		}
	}
	if len(picked) > 0 && !bytes.HasSuffix(picked, []byte("\n")) {
		picked = append(picked, "\r\n"...)
	}
	return append(picked, "\r\n"...)
}

// date is the internal date: the one that a client gave along, or when the mail
// reached the provider, which the first Received field says (RFC 3501 section
// 2.3.3), or else what its sender wrote.
func (v *imapView) date(m spool.Message) (time.Time, error) {
	if !m.Date.IsZero() {
		return m.Date, nil
	}
	body, err := v.open(m.UID)
	if err != nil {
		return time.Time{}, err
	}
	defer body.Close()
	raw, err := mimetree.ReadHeader(body)
	if err != nil {
		return time.Time{}, v.session.spoolError(err)
	}
	return arrival(mimetree.ParseHeader(raw)), nil
}

func arrival(header mimetree.Header) time.Time {
	received := header["received"]
	if date, err := mail.ParseDate(strings.TrimSpace(received[strings.LastIndexByte(received, ';')+1:])); err == nil && plausible(date) {
		return date
	}
	if date, err := mail.ParseDate(header["date"]); err == nil && plausible(date) {
		return date
	}
	return time.Unix(0, 0).UTC()
}

// plausible are the years that IMAP's date-time has digits for.
func plausible(date time.Time) bool { return date.Year() >= 1 && date.Year() <= 9999 }
