//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
)

// guestFile is one file for the guest's root.
type guestFile struct {
	mode uint32 // permission bits
	data []byte
}

// newc packs files, keyed by absolute path, as a cpio archive in the "newc"
// format that the Linux kernel unpacks into its root (Documentation/
// driver-api/early-userspace/buffer-format.rst). Folders are added: the kernel
// makes none by itself.
func newc(files map[string]guestFile) []byte {
	var b bytes.Buffer
	pad := func() { b.Write(make([]byte, -b.Len()&3)) }
	inode := 0
	entry := func(name string, mode uint32, data []byte) {
		inode++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad()
		b.Write(data)
		pad()
	}
	const folder, regular = 0o040000, 0o100000
	made := map[string]bool{"/": true}
	var mkdir func(dir string)
	mkdir = func(dir string) {
		if made[dir] {
			return
		}
		mkdir(path.Dir(dir))
		made[dir] = true
		entry(dir[1:], folder|0o755, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mkdir(path.Dir(name))
		entry(name[1:], regular|files[name].mode, files[name].data)
	}
	entry("TRAILER!!!", 0, nil)
	return b.Bytes()
}
