package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

var (
	// ErrInUse is returned by Open while another process has the spool.
	ErrInUse = errors.New("spool is in use by another process")
	// ErrFull says that the disk has no room. Nothing was kept; trying again
	// after mail has been fetched or sent may succeed.
	ErrFull = errors.New("spool: the disk is full")
	// ErrTooBig is what a reader made by Limit fails with.
	ErrTooBig = errors.New("message is larger than allowed")
	// ErrCutShort says that the body given to Deliver or Accept failed; the error
	// wraps the body's own too.
	ErrCutShort = errors.New("message was cut short")
	// ErrLocked is returned by Lock while another session has the mailbox.
	ErrLocked = errors.New("mailbox is in use by another session")
	// ErrKnown is returned by Deliver for a Source that is already here, or was
	// and has been deleted by the caller.
	ErrKnown = errors.New("message has been delivered before")
	// ErrUnsure says that something has been done, but that the disk would not
	// promise that a power cut does not undo it.
	ErrUnsure = errors.New("done, but not yet safe from a power cut")
	// ErrNoMessage says that there is no message of that name (any more).
	ErrNoMessage = errors.New("no such message")
)

// defaultReserve is enough for the journals of some ten thousand deletions.
const defaultReserve = 4 << 20

// Options of Open. The zero value will do.
type Options struct {
	// Changed is called after a user's mailbox or queue has changed, outside of
	// all locks, from the goroutine that made the change. It may call Stat.
	Changed func(user string)
	// Reserve is how many octets of the disk new messages leave free (default
	// 4 MiB): deleting mail writes to the journal, so a wholly full disk could
	// never be emptied by its users.
	Reserve int64
	// ResendWindow is how long after its acceptance a message is recognised when
	// it is handed in again, see ErrResent (default 24 h), and BareWindow the same
	// for one without a Message-ID (default 15 min, not longer than the other).
	// Negative ones recognise none.
	ResendWindow, BareWindow time.Duration
	// Quota is what a user may keep, see Fits; nil: no limit for anybody.
	Quota func(user string) Quota
	// Log receives what a person should look into: files set aside, files that
	// could not be removed. Nil discards.
	Log *slog.Logger
}

// Spool is the mail of one box in one directory. Its methods may be called from
// many goroutines.
type Spool struct {
	dir     string
	disk    disk
	lock    io.Closer
	log     *slog.Logger
	changed func(user string)
	reserve int64
	quota   func(user string) Quota

	mu    sync.Mutex
	boxes map[string]*mailbox // by directory; loaded when first asked for

	queue   queue
	watches watches
}

// Open takes the spool in dir for this process, making it if it is not there,
// and finishes or undoes what a kill or a power cut left half done. While
// another process has it the error is ErrInUse.
func Open(dir string, opts Options) (*Spool, error) {
	return open(dir, opts, osDisk{})
}

func open(dir string, opts Options, d disk) (_ *Spool, err error) {
	s := &Spool{
		dir: dir, disk: d,
		log: opts.Log, reserve: opts.Reserve,
		boxes: make(map[string]*mailbox),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.quota = opts.Quota
	s.queue.resends = newResends(opts)
	s.changed = func(user string) {
		s.watches.tell(user)
		if opts.Changed != nil {
			opts.Changed(user)
		}
	}
	if s.reserve == 0 {
		s.reserve = defaultReserve
	}
	if err := d.mkdir(dir); err != nil {
		return nil, diskError(err)
	}
	if s.lock, err = d.lock(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("spool in %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	for _, sub := range []string{"tmp", "aside", string(InboxFolder), string(SentFolder), "queue"} {
		if err := d.mkdir(filepath.Join(dir, sub)); err != nil {
			return nil, diskError(err)
		}
	}
	if err := d.syncDir(dir); err != nil {
		return nil, diskError(err)
	}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	if err := s.loadQueue(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close gives the spool up. No other call may be running or follow.
func (s *Spool) Close() error { return s.lock.Close() }

// sweep removes what was being written when the process died: it was never
// acknowledged to anybody.
func (s *Spool) sweep() error {
	tmp := filepath.Join(s.dir, "tmp")
	names, err := s.disk.list(tmp)
	if err != nil {
		return diskError(err)
	}
	for _, name := range names {
		if err := s.disk.remove(filepath.Join(tmp, name)); err != nil {
			return diskError(err)
		}
	}
	return nil
}

// room refuses new mail when the disk is so full that deletions could soon not
// be recorded any more.
func (s *Spool) room() error {
	free, err := s.disk.free(s.dir)
	if err != nil {
		return diskError(err)
	}
	if free < s.reserve {
		return fmt.Errorf("%w: %d octets are free and %d are kept for deletions", ErrFull, free, s.reserve)
	}
	return nil
}

// Stat is what waits for and from one user.
type Stat struct {
	Messages int   // in the mailbox
	Octets   int64 // of these messages
	Waiting  int   // in the queue
	// WaitingOctets are those of the messages in the queue.
	WaitingOctets int64
	NextTry       time.Time // earliest Next of these; zero when nothing waits
}

// Stat sums a user's mailbox and queue up, as shown on the status page.
func (s *Spool) Stat(user string) (Stat, error) {
	b, err := s.mailbox(user)
	if err != nil {
		return Stat{}, err
	}
	var st Stat
	st.Messages, st.Octets = b.sum()
	s.queue.stat(user, &st)
	return st, nil
}

// dirName makes a directory name of a user name, whatever is in it. Different
// names stay different, also on file systems that fold case, and none of them
// is empty, a dot name, or longer than a file name may be.
func dirName(user string) string {
	if user == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(user) {
		c := user[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	if b.Len() > 120 {
		return fmt.Sprintf("%%%%%x", sha256.Sum256([]byte(user)))
	}
	return b.String()
}
