package hw

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lock keeps other programs from the port at path. minicom, tio and agetty's
// kin lock the device itself as we do; pppd, cu and uucp leave a file with
// their process number in /var/lock.
func lock(fd int, path string) error {
	device := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		device = resolved // by-id names are links
	}
	if pid := lockFileHolder("/var/lock", device); pid != 0 {
		return inUseError(path, pid)
	}
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
	case unix.EWOULDBLOCK:
		return inUseError(path, flockHolder(fd))
	default:
		return fmt.Errorf("%s: lock: %w", path, err)
	}
	return nil
}

// exclude has the kernel turn away everyone else who opens the port, except
// root. unlock lets them in again; the flock goes with its descriptor.
func exclude(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0) }

func unlock(fd int) { unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) }

func inUseError(path string, pid int) error {
	who := "another program"
	switch {
	case pid == os.Getpid():
		who = "this program already: is it the port of another line too?"
	case pid > 0:
		who = fmt.Sprintf("process %d", pid)
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
			who = fmt.Sprintf("%s (process %d): stop that first", bytes.TrimSpace(name), pid)
		}
	}
	return fmt.Errorf("%s is in use by %s (%w)", path, who, ErrInUse)
}

// flockHolder finds in /proc/locks the process that has locked what fd is open
// on, 0 if the kernel does not tell.
func flockHolder(fd int) int {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		return 0
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(stat.Dev)), unix.Minor(uint64(stat.Dev)), stat.Ino)
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK ADVISORY WRITE 1234 00:05:678 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == file {
			pid, _ := strconv.Atoi(f[4])
			return max(0, pid)
		}
	}
	return 0
}

// lockFileHolder is the living process in the lock file of device in dir (the
// Filesystem Hierarchy Standard, section 5.9), 0 if there is none. A stale file
// is of no account.
func lockFileHolder(dir, device string) int {
	text, err := os.ReadFile(filepath.Join(dir, "LCK.."+filepath.Base(device)))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return 0
	}
	if err := unix.Kill(pid, 0); err == unix.ESRCH {
		return 0
	}
	return pid
}
