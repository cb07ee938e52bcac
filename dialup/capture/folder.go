package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	fileName   = "capture-%06d.pcapng"
	unfinished = ".capture-*.tmp"
)

// File is a saved capture.
type File struct {
	Name    string // within its folder; higher numbers are newer
	Size    int64  // octets
	Saved   time.Time
	Comment string // the call, as Call.String says it
}

// Save writes the calls that have ended and are not yet saved to the folder, which it
// makes if it is not there, each whole or not at all, and then removes the oldest files beyond keep (at least 1). Files of other names are
// left alone. A call that could not be saved is tried again at the next Save.
//
// Files are numbered on, not named by the time: a box without a clock starts in 1970.
func (r *Recorder) Save(dir string, keep int) error {
	r.saver.Lock()
	defer r.saver.Unlock()
	waiting := r.unsaved()
	if len(waiting) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the folder of captures cannot be made: %w", err)
	}
	names, err := captures(dir)
	if err != nil {
		return err
	}
	next := 1
	if len(names) > 0 {
		next = number(names[len(names)-1]) + 1
	}
	if err := sweep(dir); err != nil {
		return err
	}
	for _, rec := range waiting {
		name := fmt.Sprintf(fileName, next)
		if err := writeFile(dir, name, func(w io.Writer) error { return writeCall(w, rec.Call, rec.store.copy()) }); err != nil {
			return fmt.Errorf("call %d could not be saved: %w", rec.ID, err)
		}
		next++
		names = append(names, name)
		r.mu.Lock()
		rec.saved = true
		r.mu.Unlock()
	}
	for len(names) > max(keep, 1) {
		if err := os.Remove(filepath.Join(dir, names[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("an old capture could not be removed: %w", err)
		}
		names = names[1:]
	}
	return nil
}

// unsaved returns the calls that have ended, which nobody changes any more, and are
// not saved.
func (r *Recorder) unsaved() (calls []*recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.calls {
		if rec.Ended && !rec.saved {
			calls = append(calls, rec)
		}
	}
	return calls
}

// List returns the captures in the folder, the newest first. A file that cannot be read
// is listed with the reason as its comment.
func List(dir string) ([]File, error) {
	names, err := captures(dir)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range slices.Backward(names) {
		file, err := describe(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			file = File{Name: name, Comment: "unreadable: " + err.Error()}
		}
		files = append(files, file)
	}
	return files, nil
}

func describe(dir, name string) (File, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	// The comment stands in front: no need to read the packets.
	c, err := newReader(f)
	if err != nil {
		return File{}, err
	}
	return File{Name: name, Size: info.Size(), Saved: info.ModTime(), Comment: c.comment}, nil
}

// Open opens a capture in the folder by its Name. Names that are not a capture's do not
// exist, so that a name may come from a web page.
func Open(dir, name string) (*os.File, error) {
	if number(name) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return os.Open(filepath.Join(dir, name))
}

// captures returns the names of the captures in the folder, the oldest first.
func captures(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of captures cannot be read: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && number(e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return names, nil
}

// number is the one in a capture's name; 0 if the name is not a capture's.
func number(name string) int {
	var n int
	if _, err := fmt.Sscanf(name, fileName, &n); err != nil || n <= 0 || fmt.Sprintf(fileName, n) != name {
		return 0
	}
	return n
}

// sweep removes what a Save left unfinished when the power went.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the folder of captures cannot be read: %w", err)
	}
	for _, e := range entries {
		if left, _ := filepath.Match(unfinished, e.Name()); !left {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("an unfinished capture could not be removed: %w", err)
		}
	}
	return nil
}

// writeFile writes a file whole or not at all, and durably: its octets are on the disk
// before it has its name.
func writeFile(dir, name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
