package mailrelay

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func (p *imapTest) peer(t *testing.T, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	p.l.conns <- theirs
	c := imapclient.New(ours, options)
	if err := c.Login("alice", alicePassword).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheLibrarysOwnClientAsAPeer(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		t := p.T
		p.deliver(imapLetter)
		told := make(chan uint32, 8)
		c := p.peer(t, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) {
				if data.NumMessages != nil {
					told <- *data.NumMessages
				}
			},
		}})
		defer c.Close()
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil || box.NumMessages != 1 || box.UIDNext != 2 {
			t.Fatalf("SELECT gives %+v, %v", box, err)
		}
		section := &imap.FetchItemBodySection{Peek: true}
		got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{
			UID: true, Flags: true, Envelope: true, InternalDate: true, RFC822Size: true,
			BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{section},
		}).Collect()
		if err != nil || len(got) != 1 {
			t.Fatalf("FETCH gives %v, %v", got, err)
		}
		m := got[0]
		if string(m.FindBodySection(section)) != imapLetter || m.RFC822Size != int64(len(imapLetter)) || m.UID != 1 {
			t.Errorf("the message is %q", m.FindBodySection(section))
		}
		if e := m.Envelope; e.From[0].Name != "Jörg" || e.MessageID != "1@example.org" || !e.To[0].IsGroupStart() || e.Date.Day() != 2 {
			t.Errorf("the envelope is %+v", e)
		}
		if s, ok := m.BodyStructure.(*imap.BodyStructureMultiPart); !ok || len(s.Children) != 2 || s.Children[1].MediaType() != "message/rfc822" {
			t.Errorf("the structure is %+v", m.BodyStructure)
		}

		idle, err := c.Idle()
		if err != nil {
			t.Fatal(err)
		}
		p.deliver("Subject: new\r\n\r\n")
		if n := <-told; n != 2 {
			t.Errorf("told of %d messages", n)
		}
		idle.Close()
		if err := idle.Wait(); err != nil {
			t.Fatal(err)
		}

		appending := c.Append("Sent", int64(len(imapLetter)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
		io.WriteString(appending, imapLetter)
		appending.Close()
		if data, err := appending.Wait(); err != nil || data.UID != 1 {
			t.Errorf("APPEND gives %+v, %v", data, err)
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "new"}}}, nil).Wait()
		if err != nil || len(found.AllUIDs()) != 1 || found.AllUIDs()[0] != 2 {
			t.Errorf("SEARCH gives %+v, %v", found, err)
		}
		if moved, err := c.Move(imap.UIDSetNum(1), "Sent").Wait(); err != nil || moved.DestUIDs.String() != "2" {
			t.Errorf("MOVE gives %+v, %v", moved, err)
		}
		if status, err := c.Status("Sent", &imap.StatusOptions{NumMessages: true, Size: true}).Wait(); err != nil || *status.NumMessages != 2 || *status.Size != int64(2*len(imapLetter)) {
			t.Errorf("STATUS gives %+v, %v", status, err)
		}
		if err := c.Logout().Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestManySessionsAtOnce lets sessions, a POP3 session and deliveries work on the
// same mailbox; the race detector and the protocol's own bookkeeping watch.
func TestManySessionsAtOnce(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver(imapLetter, imapLetter, imapLetter)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				c := p.selected("INBOX")
				for i := range 30 {
					// A message may be gone, or be kept by the POP3 session: NO is fine.
					c.do([]string{"FETCH 1:* (UID FLAGS)", "STORE 1 +FLAGS (\\Seen \\Deleted)", "EXPUNGE", "COPY 1 Sent", "NOOP", "FETCH * BODY[TEXT]", "SEARCH SEEN"}[i%7])
				}
			})
		}
		all.Go(func() {
			for range 30 {
				p.deliver("A: b\r\n\r\n")
				if drop, err := p.spool.Lock("alice"); err == nil {
					for _, m := range drop.Messages() {
						body, err := drop.Open(m.UID)
						if err != nil {
							t.Errorf("POP3 has lost a message: %v", err)
							continue
						}
						body.Close()
					}
					drop.Unlock()
				}
			}
		})
		all.Wait()
		synctest.Wait()
		c := p.selected("INBOX")
		c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
		c.ok("EXPUNGE")
		if n := p.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		if uids, err := p.spool.Deletions("alice", "isp"); err != nil || len(uids) != 33 {
			t.Errorf("%d deletions, %v", len(uids), err)
		}
	})
}
