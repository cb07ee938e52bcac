package spool

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxHeader bounds the first line of a file in octets. The largest is the
// journal of a caller who deletes some hundred thousand messages that upstream
// is not told of; anything beyond this is not ours.
const maxHeader = 32 << 20

// An entry's name is its arrival number and a random part. Sorting names gives
// the order of arrival. The random part keeps the name unique even if an old
// backup of the spool is put back and the numbers are given out again.
func entryName(seq uint64) string { return markedName(seq, rand.Text()[:markLength]) }

// markedName is an entry's name in the queue: there a part of the message's
// fingerprint stands in the place of the random one.
func markedName(seq uint64, mark string) string { return fmt.Sprintf("%010d-%s", seq, mark) }

// entrySeq undoes entryName; ok is false for a name that is not of its making.
func entrySeq(name string) (seq uint64, ok bool) {
	number, random, found := strings.Cut(name, "-")
	if !found || len(number) != 10 || len(random) != markLength {
		return 0, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	return seq, err == nil
}

// stage writes header and body to a file under tmp and syncs it. After an error
// nothing is left. size is the number of octets of the body.
func (s *Spool) stage(header any, body io.Reader) (tmp string, size int64, err error) {
	line, err := json.Marshal(header)
	if err != nil {
		return "", 0, err
	}
	if len(line) >= maxHeader {
		return "", 0, fmt.Errorf("spool: a first line of %d octets is longer than the %d allowed", len(line), maxHeader)
	}
	tmp = filepath.Join(s.dir, "tmp", rand.Text())
	f, err := s.disk.create(tmp)
	if err != nil {
		return "", 0, diskError(err)
	}
	size, err = fill(f, append(line, '\n'), body)
	if err != nil {
		s.disk.remove(tmp)
		return "", 0, err
	}
	return tmp, size, nil
}

// fill writes, syncs and closes a new file.
func fill(f file, line []byte, body io.Reader) (size int64, err error) {
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = diskError(closeErr)
		}
	}()
	if _, err := f.Write(line); err != nil {
		return 0, diskError(err)
	}
	if size, err = copyBody(f, body); err != nil {
		return 0, err
	}
	return size, diskError(f.Sync())
}

// copyBody is io.Copy that tells a failing disk from a failing source: an error
// of body is returned so that errors.As finds it, and blames nobody here.
func copyBody(f io.Writer, body io.Reader) (size int64, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, readErr := body.Read(buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return size, diskError(err)
			}
			size += int64(n)
		}
		if readErr == io.EOF {
			return size, nil
		}
		if readErr != nil {
			return size, fmt.Errorf("%w: %w", ErrCutShort, readErr)
		}
	}
}

// publish makes a staged file appear at path, durably. If that cannot be made
// sure the file is taken away again, for the caller will be told that it failed.
func (s *Spool) publish(tmp, path string) error {
	if err := s.disk.rename(tmp, path); err != nil {
		s.disk.remove(tmp)
		return diskError(err)
	}
	if err := s.syncDir(filepath.Dir(path)); err != nil {
		s.disk.remove(path)
		return diskError(err)
	}
	return nil
}

// replace writes the whole of path anew, durably and at one instant. An error
// with renamed true says that the new content stands, but that a power cut may
// bring the old one back.
func (s *Spool) replace(path string, content any) (renamed bool, err error) {
	tmp, _, err := s.stage(content, bytes.NewReader(nil))
	if err != nil {
		return false, err
	}
	if err := s.disk.rename(tmp, path); err != nil {
		s.disk.remove(tmp)
		return false, diskError(err)
	}
	return true, diskError(s.syncDir(filepath.Dir(path)))
}

// syncDir makes what was renamed and removed in a directory durable. The queue's
// is where many sessions meet; a mailbox is locked by the one who changes it.
func (s *Spool) syncDir(dir string) error {
	if dir == filepath.Join(s.dir, "queue") {
		return s.queue.sync.do(func() error { return s.disk.syncDir(dir) })
	}
	return s.disk.syncDir(dir)
}

// errPoisoned is a file that cannot be one of ours as it is.
var errPoisoned = errors.New("unreadable first line")

// openEntry reads the header of a file into header and returns the file placed
// at the first octet of the body. An error that wraps errPoisoned is the
// file's fault, any other the disk's.
func (s *Spool) openEntry(path string, header any) (body io.ReadCloser, size int64, err error) {
	f, err := s.disk.open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	// Most headers are short; a small buffer saves reading the message too.
	r := bufio.NewReaderSize(io.LimitReader(f, maxHeader), 512)
	line, err := r.ReadBytes('\n')
	if err == io.EOF {
		return nil, 0, errPoisoned
	}
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(line, header); err != nil {
		return nil, 0, fmt.Errorf("%w: %v", errPoisoned, err)
	}
	total, err := f.size()
	if err != nil {
		return nil, 0, err
	}
	if _, err := f.Seek(int64(len(line)), io.SeekStart); err != nil {
		return nil, 0, err
	}
	return f, total - int64(len(line)), nil
}

// readHeader is openEntry for those who do not want the body.
// A file on bad sectors is poisoned too: it must not keep a user from the rest.
func (s *Spool) readHeader(path string, header any) (size int64, err error) {
	body, size, err := s.openEntry(path, header)
	if errors.Is(err, syscall.EIO) {
		return 0, fmt.Errorf("%w: %w", errPoisoned, err)
	}
	if err != nil {
		return 0, err
	}
	return size, body.Close()
}

// setAside moves a poisoned file out of the way, where a person can look at it.
func (s *Spool) setAside(path string, why error) error {
	to := filepath.Join(s.dir, "aside", filepath.Base(filepath.Dir(path))+"-"+filepath.Base(path)+"-"+rand.Text()[:6])
	s.log.Warn("spool: file set aside; it is not shown to anybody and not sent", "file", path, "now", to, "err", why)
	if err := s.disk.rename(path, to); err != nil {
		return diskError(err)
	}
	return nil
}

// Aside lists the files in the folder aside that were set aside, now or in
// earlier runs. They are for a person to look at and to delete.
func (s *Spool) Aside() ([]string, error) {
	names, err := s.disk.list(filepath.Join(s.dir, "aside"))
	return names, diskError(err)
}

// diskError makes the errors of a full disk recognisable as ErrFull.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("spool: %w", err)
}

type limited struct {
	r    io.Reader
	left int64
}

// Limit returns a reader of r that fails with ErrTooBig if r has more than max
// octets. A body given to Deliver or Accept through it is wholly taken or not
// at all.
func Limit(r io.Reader, max int64) io.Reader { return &limited{r, max} }

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), ErrTooBig
	}
	l.left -= int64(n)
	return n, err
}
