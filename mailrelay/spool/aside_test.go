package spool

import (
	"strings"
	"syscall"
	"testing"
)

// badSectors is a disk on which some files cannot be read.
type badSectors struct {
	*faultyDisk
	bad string
}

func (d badSectors) open(path string) (readFile, error) {
	if strings.HasSuffix(path, d.bad) {
		return nil, syscall.EIO
	}
	return d.faultyDisk.open(path)
}

func TestAFileOnBadSectorsIsSetAsideAndKeepsNobodyFromTheRest(t *testing.T) {
	d := newFaultyDisk(nil)
	s, err := open("/", Options{}, d)
	if err != nil {
		t.Fatal(err)
	}
	bad := mustDeliver(t, s, "alice", Source{"isp", "a"}, "bad")
	mustDeliver(t, s, "alice", Source{"isp", "b"}, "good")
	queued := mustBeNew(t, s, letterTo(noon, "b@x"), identified)
	mustBeNew(t, s, letterTo(noon, "c@x"), identified)

	for _, name := range []string{bad.UID, queued.ID + ".mail"} {
		again, err := open("/", Options{}, badSectors{d.after(everything), name})
		if err != nil {
			t.Fatal(err)
		}
		ms := mustMessages(t, again, "alice")
		q, _ := again.Queue()
		if len(ms)+len(q) != 3 {
			t.Errorf("%s: %d messages, %d queued", name, len(ms), len(q))
		}
		if aside, err := again.Aside(); len(aside) != 1 || err != nil || !strings.Contains(aside[0], name) {
			t.Errorf("set aside: %q, %v", aside, err)
		}
	}
}
