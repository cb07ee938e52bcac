package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// disk is all that the spool asks of a file system. Every file of mail is
// created and opened here and nowhere else. Tests put a failing disk in its
// place and stop it at every single operation.
type disk interface {
	lock(path string) (io.Closer, error) // ErrInUse if another process has it
	create(path string) (file, error)    // fails if path exists
	open(path string) (readFile, error)
	rename(from, to string) error
	remove(path string) error
	mkdir(path string) error // nil if path is a directory already
	syncDir(path string) error
	list(path string) ([]string, error) // names in lexical order
	free(path string) (int64, error)    // octets that we may still write
}

type file interface {
	io.WriteCloser
	Sync() error
}

// readFile is an open file; size is what can be read from it in all.
type readFile interface {
	io.ReadSeekCloser
	size() (int64, error)
}

type osDisk struct{}

// lock takes the spool for this process. The lock is the kernel's, so a killed
// process leaves none behind.
func (osDisk) lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			owner, _ := io.ReadAll(io.LimitReader(f, 32))
			return nil, fmt.Errorf("%w (process %s); stop it first", ErrInUse, owner)
		}
		return nil, err
	}
	// Who holds it is only told to people; failing to write that harms nothing.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d", os.Getpid())
	}
	return f, nil
}

func (osDisk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osDisk) open(path string) (readFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }

func (osDisk) mkdir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, os.ErrExist) {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) list(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osDisk) free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
