package spool

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// faultyDisk is a disk in memory. It counts the operations that change it and
// lets one of them fail, or all from one on: then the process is dead, for it
// cannot do anything any more. It knows what has been synced, so that a power
// cut can be played after the death.
type faultyDisk struct {
	root   *node
	faulty func(op int) error // may be nil
	ops    []string           // the operations so far
	locked bool
}

// node is a file or a directory. What is synced of it survives a power cut.
type node struct {
	dir       map[string]*node // nil for a file
	syncedDir map[string]*node
	content   []byte // of a file
	synced    []byte
}

func newDirNode() *node { return &node{dir: map[string]*node{}} }

var errDead = errors.New("the process is dead")

func newFaultyDisk(faulty func(op int) error) *faultyDisk {
	return &faultyDisk{root: newDirNode(), faulty: faulty}
}

func (d *faultyDisk) step(name, path string) error {
	d.ops = append(d.ops, name+" "+filepath.Base(path))
	if d.faulty == nil {
		return nil
	}
	return d.faulty(len(d.ops))
}

// node finds what is at path, nil if nothing is. The spool is at the root.
func (d *faultyDisk) node(path string) *node {
	n := d.root
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if n != nil && name != "" {
			n = n.dir[name]
		}
	}
	return n
}

func (d *faultyDisk) parent(path string) (map[string]*node, string) {
	return d.node(filepath.Dir(path)).dir, filepath.Base(path)
}

type lockRelease func()

func (r lockRelease) Close() error { r(); return nil }

func (d *faultyDisk) lock(string) (io.Closer, error) {
	if d.locked {
		return nil, ErrInUse
	}
	d.locked = true
	return lockRelease(func() { d.locked = false }), nil
}

func (d *faultyDisk) create(path string) (file, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	n := &node{}
	dir, name := d.parent(path)
	dir[name] = n
	return &faultyFile{disk: d, path: path, node: n}, nil
}

func (d *faultyDisk) open(path string) (readFile, error) {
	n := d.node(path)
	if n == nil || n.dir != nil {
		return nil, os.ErrNotExist
	}
	return memFile{bytes.NewReader(n.content)}, nil
}

func (d *faultyDisk) rename(from, to string) error {
	if err := d.step("rename", to); err != nil {
		return err
	}
	a, nameA := d.parent(from)
	b, nameB := d.parent(to)
	b[nameB] = a[nameA]
	delete(a, nameA)
	return nil
}

func (d *faultyDisk) remove(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	dir, name := d.parent(path)
	if dir[name] == nil {
		return os.ErrNotExist
	}
	delete(dir, name)
	return nil
}

func (d *faultyDisk) mkdir(path string) error {
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	if d.node(path) == nil {
		dir, name := d.parent(path)
		dir[name] = newDirNode()
	}
	return nil
}

func (d *faultyDisk) syncDir(path string) error {
	if err := d.step("syncDir", path); err != nil {
		return err
	}
	n := d.node(path)
	n.syncedDir = maps.Clone(n.dir)
	return nil
}

func (d *faultyDisk) list(path string) ([]string, error) {
	return slices.Sorted(maps.Keys(d.node(path).dir)), nil
}

func (d *faultyDisk) free(string) (int64, error) { return 1 << 40, nil }

type memFile struct{ *bytes.Reader }

func (f memFile) size() (int64, error) { return f.Size(), nil }
func (f memFile) Close() error         { return nil }

type faultyFile struct {
	disk *faultyDisk
	path string
	node *node
}

// Write fails with half of its work done.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.step("write", f.path); err != nil {
		f.node.content = append(f.node.content, p[:len(p)/2]...)
		return len(p) / 2, err
	}
	f.node.content = append(f.node.content, p...)
	return len(p), nil
}

func (f *faultyFile) Sync() error {
	if err := f.disk.step("sync", f.path); err != nil {
		return err
	}
	f.node.synced = bytes.Clone(f.node.content)
	return nil
}

func (f *faultyFile) Close() error { return f.disk.step("close", f.path) }

// survivors says what a death leaves.
type survivors int

const (
	everything  survivors = iota // kill -9: the kernel lives on and writes all
	syncedOnly                   // a power cut: only what was synced
	namesOfAll                   // a power cut: all names, but only synced content, as on a journalling file system
	survivorEnd                  // how many there are
)

// after is the disk that is found after a death.
func (d *faultyDisk) after(what survivors) *faultyDisk {
	return &faultyDisk{root: d.root.after(what)}
}

func (n *node) after(what survivors) *node {
	if n.dir == nil {
		content := n.synced
		if what == everything {
			content = n.content
		}
		return &node{content: bytes.Clone(content), synced: bytes.Clone(content)}
	}
	names := n.dir
	if what == syncedOnly {
		names = n.syncedDir
	}
	left := newDirNode()
	for name, child := range names {
		left.dir[name] = child.after(what)
	}
	left.syncedDir = maps.Clone(left.dir)
	return left
}
