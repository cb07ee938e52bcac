package mailrelay

import (
	"errors"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/mailrelay/spool"
)

// errReadOnly answers a change after EXAMINE, which the library lets through.
func errReadOnly() error {
	return imapNo("", "The mailbox was opened by EXAMINE; SELECT it to change it")
}

// errSomeGone is RFC 2180 section 4.1's answer about messages that another
// session has expunged, and whose EXPUNGE this one has not been told.
func errSomeGone() error {
	return imapNo(responseCodeExpunge, "Some of the messages are there no more")
}

// Store is the STORE command.
func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.selected
	if v.readOnly {
		return errReadOnly()
	}
	want := spoolFlags(flags.Flags)
	uids := v.uids(set)
	now, err := v.folder.SetFlags(uids, func(have spool.Flags) spool.Flags {
		switch flags.Op {
		case imap.StoreFlagsAdd:
			return have | want
		case imap.StoreFlagsDel:
			return have &^ want
		}
		return want
	})
	if err != nil {
		return s.spoolError(err)
	}
	err = v.each(set, func(i int) error {
		m := &v.messages[i]
		flagsNow, here := now[m.UID]
		if !here {
			return nil
		}
		m.Flags = flagsNow
		if flags.Silent {
			return nil
		}
		response := w.CreateMessage(uint32(i) + 1)
		response.WriteUID(imap.UID(m.Seq()))
		response.WriteFlags(imapFlags(m.Flags))
		return response.Close()
	})
	if err == nil && len(now) < len(uids) {
		return errSomeGone()
	}
	return err
}

// Expunge is the EXPUNGE, UID EXPUNGE and CLOSE commands. The client is told
// which messages went by the Poll that follows, as of all others that went.
func (s *imapSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.selected
	if v.readOnly {
		if *w == (imapserver.ExpungeWriter{}) { // CLOSE, which tells nothing
			return nil // RFC 3501 section 6.4.2
		}
		return errReadOnly()
	}
	state, err := v.folder.State(time.Now())
	if err != nil {
		return s.spoolError(err)
	}
	known := make(map[string]bool, len(v.messages))
	for i, m := range v.messages {
		known[m.UID] = uids == nil || v.in(*uids, i)
	}
	var doomed []string
	for _, m := range state.Messages {
		if m.Flags&spool.Deleted != 0 && known[m.UID] {
			doomed = append(doomed, m.UID)
		}
	}
	return s.expunge(v, doomed)
}

func (s *imapSession) expunge(v *imapView, doomed []string) error {
	if len(doomed) == 0 {
		return nil
	}
	if err := v.folder.Expunge(doomed); err != nil {
		return s.spoolError(err)
	}
	s.log.Info("messages deleted", "messages", len(doomed))
	return nil
}

// Append is the APPEND command. A message put into INBOX is mail of this box
// only: it is shown by POP3 too, sent to nobody, and not put to the provider.
func (s *imapSession) Append(name string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.message(true)
	defer s.conn.message(false)
	// What is left of the literal would be taken for commands.
	defer io.Copy(io.Discard, r)
	f, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	state, err := f.State(time.Now())
	if err != nil {
		return nil, s.spoolError(err)
	}
	if err := s.server.Spool.Fits(s.user, r.Size(), 1); err != nil {
		return nil, s.spoolError(err)
	}
	date := options.Time
	if date.IsZero() {
		date = time.Now()
	}
	m, err := f.Append(date.Truncate(time.Second), spoolFlags(options.Flags), &wholeLiteral{r: r, left: r.Size()})
	if err != nil {
		return nil, s.spoolError(err)
	}
	return &imap.AppendData{UID: imap.UID(m.Seq()), UIDValidity: state.UIDValidity}, nil
}

// wholeLiteral fails when the connection ends before the literal does; the
// library's reader then ends as if that were all.
type wholeLiteral struct {
	r    io.Reader
	left int64
}

func (l *wholeLiteral) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if err == io.EOF && l.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Copy is the COPY command.
func (s *imapSession) Copy(set imap.NumSet, name string) (*imap.CopyData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.copy(set, name)
	return c.data(), err
}

// copies are what a COPY has made, by names in the spool.
type copies struct {
	folder   *spool.Folder
	validity uint32
	of, made []string
	from, to imap.UIDSet
}

// data is for the client; nil if there was nothing to copy.
func (c copies) data() *imap.CopyData {
	if len(c.made) == 0 {
		return nil
	}
	return &imap.CopyData{UIDValidity: c.validity, SourceUIDs: c.from, DestUIDs: c.to}
}

// copy copies all of the set or after an error nothing (RFC 3501 section 6.4.7).
func (s *imapSession) copy(set imap.NumSet, name string) (c copies, err error) {
	v := s.selected
	if c.folder, err = s.folder(name); err != nil {
		return copies{}, err
	}
	state, err := c.folder.State(time.Now())
	if err != nil {
		return copies{}, s.spoolError(err)
	}
	c.validity = state.UIDValidity
	err = v.each(set, func(i int) error {
		m, err := v.copyTo(c.folder, i)
		if err != nil {
			return err
		}
		c.of, c.made = append(c.of, v.messages[i].UID), append(c.made, m.UID)
		c.from.AddNum(imap.UID(v.messages[i].Seq()))
		c.to.AddNum(imap.UID(m.Seq()))
		return nil
	})
	if errors.Is(err, spool.ErrNoMessage) {
		err = errSomeGone()
	}
	if err != nil {
		s.undo(c)
		return copies{}, err
	}
	return c, nil
}

func (s *imapSession) undo(c copies) {
	if err := c.folder.Expunge(c.made); err != nil {
		s.log.Error("copies that were not to be could not be removed", "messages", len(c.made), "err", err)
	}
}

func (v *imapView) copyTo(to *spool.Folder, i int) (spool.Message, error) {
	m := v.messages[i]
	date, err := v.date(m)
	if err != nil {
		return spool.Message{}, err
	}
	body, err := v.open(m.UID)
	if err != nil {
		return spool.Message{}, err
	}
	defer body.Close()
	if err := v.session.server.Spool.Fits(v.session.user, m.Size, 1); err != nil {
		return spool.Message{}, v.session.spoolError(err)
	}
	made, err := to.Append(date, m.Flags, body)
	if err != nil {
		return spool.Message{}, v.session.spoolError(err)
	}
	return made, nil
}

// Move is the MOVE command (RFC 6851). A crash in the middle leaves both.
func (s *imapSession) Move(w *imapserver.MoveWriter, set imap.NumSet, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.selected
	if v.readOnly {
		return errReadOnly()
	}
	c, err := s.copy(set, name)
	if err != nil || len(c.made) == 0 {
		return err
	}
	if err := s.expunge(v, c.of); err != nil {
		s.undo(c)
		return err
	}
	return w.WriteCopyData(c.data())
}
