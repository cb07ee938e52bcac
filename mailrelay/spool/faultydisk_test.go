package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// faultyDisk counts the operations that change the disk and lets one of them
// fail, or all from one on: then the process is dead, for it cannot do anything
// any more. It keeps a model of what has been synced, so that a power cut can
// be played after the death. It does not really sync, which is slow.
type faultyDisk struct {
	osDisk
	root   *node
	rootAt string

	ops    int
	faulty func(op int) error
	names  []string // of the operations so far
}

// node is a file or a directory. What is synced of it survives a power cut.
type node struct {
	dir     map[string]*node // nil for a file
	synced  map[string]*node
	content []byte // of a file, as last synced
}

func newDirNode() *node { return &node{dir: map[string]*node{}, synced: map[string]*node{}} }

var errDead = errors.New("the process is dead")

func newFaultyDisk(root string, faulty func(op int) error) *faultyDisk {
	return &faultyDisk{root: newDirNode(), rootAt: root, faulty: faulty}
}

func (d *faultyDisk) step(name, path string) error {
	d.ops++
	d.names = append(d.names, name+" "+filepath.Base(path))
	return d.faulty(d.ops)
}

func (d *faultyDisk) node(path string) *node {
	rel, err := filepath.Rel(d.rootAt, path)
	if err != nil {
		panic(err)
	}
	n := d.root
	if rel == "." {
		return n
	}
	for name := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		n = n.dir[name]
	}
	return n
}

func (d *faultyDisk) parent(path string) (*node, string) {
	return d.node(filepath.Dir(path)), filepath.Base(path)
}

func (d *faultyDisk) create(path string) (file, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.create(path)
	if err != nil {
		return nil, err
	}
	n := &node{}
	parent, name := d.parent(path)
	parent.dir[name] = n
	return &faultyFile{file: f, disk: d, path: path, node: n}, nil
}

func (d *faultyDisk) rename(from, to string) error {
	if err := d.step("rename", to); err != nil {
		return err
	}
	if err := d.osDisk.rename(from, to); err != nil {
		return err
	}
	a, nameA := d.parent(from)
	b, nameB := d.parent(to)
	b.dir[nameB] = a.dir[nameA]
	delete(a.dir, nameA)
	return nil
}

func (d *faultyDisk) remove(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	if err := d.osDisk.remove(path); err != nil {
		return err
	}
	parent, name := d.parent(path)
	delete(parent.dir, name)
	return nil
}

func (d *faultyDisk) mkdir(path string) error {
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	if err := d.osDisk.mkdir(path); err != nil {
		return err
	}
	if path == d.rootAt {
		return nil
	}
	parent, name := d.parent(path)
	if parent.dir[name] == nil {
		parent.dir[name] = newDirNode()
	}
	return nil
}

func (d *faultyDisk) syncDir(path string) error {
	if err := d.step("syncDir", path); err != nil {
		return err
	}
	n := d.node(path)
	n.synced = make(map[string]*node, len(n.dir))
	for name, child := range n.dir {
		n.synced[name] = child
	}
	return nil
}

type faultyFile struct {
	file
	disk *faultyDisk
	path string
	node *node
}

// Write dies with half of its work done.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.step("write", f.path); err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, err
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() (err error) {
	if err := f.disk.step("sync", f.path); err != nil {
		return err
	}
	f.node.content, err = os.ReadFile(f.path)
	return err
}

// survivors says what a power cut leaves.
type survivors int

const (
	everything  survivors = iota // kill -9: the kernel lives on and writes all
	syncedOnly                   // only what was synced
	namesOfAll                   // all names, but only synced content: a journalling file system
	survivorEnd                  // how many there are
)

// after builds the directory that is found after a power cut.
func (d *faultyDisk) after(t *testing.T, what survivors) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "spool")
	if what == everything {
		if err := os.CopyFS(to, os.DirFS(d.rootAt)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	d.root.write(t, to, what)
	return to
}

func (n *node) write(t *testing.T, to string, what survivors) {
	t.Helper()
	if n.dir == nil {
		if err := os.WriteFile(to, n.content, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	names := n.synced
	if what == namesOfAll {
		names = n.dir
	}
	for name, child := range names {
		child.write(t, filepath.Join(to, name), what)
	}
}

// load makes the model of a directory as it is, all of it synced.
func (d *faultyDisk) load(t *testing.T) {
	t.Helper()
	d.root = loadNode(t, d.rootAt)
}

func loadNode(t *testing.T, path string) *node {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	n := newDirNode()
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		if e.IsDir() {
			n.dir[e.Name()] = loadNode(t, at)
		} else {
			content, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			n.dir[e.Name()] = &node{content: content}
		}
		n.synced[e.Name()] = n.dir[e.Name()]
	}
	return n
}
