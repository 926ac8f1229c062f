package main

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fileLock is one row of /proc/locks.
type fileLock struct {
	kind, mode string // FLOCK, POSIX, OFDLCK; READ, WRITE
	waiting    bool
	pid        int // -1 for locks of open files
	device     uint64
	inode      uint64
}

// collectLocks finds the path of a locked file among the open files of all
// processes: the kernel tells its numbers only.
func collectLocks(m *machine) ([]string, error) {
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil, err
	}
	var lines []string
	open := openFiles{m: m}
	for row := range strings.Lines(string(data)) {
		lock, ok := parseLock(row)
		if !ok || lock.pid == m.self {
			continue
		}
		file := open.find(lock)
		if file == nil && os.Geteuid() == 0 {
			continue // nobody here has it open: it belongs to another machine on this kernel
		}
		if file == nil {
			file = &openFile{"(a file that we may not see)", "?"}
		}
		lines = append(lines, lock.line(*file))
	}
	return lines, nil
}

// parseLock reads "1: FLOCK  ADVISORY  WRITE 123 08:01:4711 0 EOF"; a
// waiting one has "->" after its number.
func parseLock(row string) (fileLock, bool) {
	f := strings.Fields(row)
	waiting := len(f) > 1 && f[1] == "->"
	if waiting {
		f = append(f[:1], f[2:]...)
	}
	if len(f) < 6 {
		return fileLock{}, false
	}
	place := strings.Split(f[5], ":")
	if len(place) != 3 {
		return fileLock{}, false
	}
	major, _ := strconv.ParseUint(place[0], 16, 32)
	minor, _ := strconv.ParseUint(place[1], 16, 32)
	inode, _ := strconv.ParseUint(place[2], 10, 64)
	pid, _ := strconv.Atoi(f[4])
	return fileLock{f[1], f[3], waiting, pid, unix.Mkdev(uint32(major), uint32(minor)), inode}, true
}

// openFile is one file that a process has open.
type openFile struct{ path, holder string }

// openFiles looks for the file of a lock: among those of its holder, or among
// all when the lock belongs to an open file instead of a process.
type openFiles struct {
	m   *machine
	all map[[2]uint64]openFile
}

func (o *openFiles) find(l fileLock) *openFile {
	key := [2]uint64{l.device, l.inode}
	for _, p := range o.m.procs {
		if p.pid == l.pid {
			if file, ok := p.openFiles()[key]; ok {
				return &file
			}
		}
	}
	if o.all == nil {
		o.all = map[[2]uint64]openFile{}
		for _, p := range o.m.procs {
			maps.Copy(o.all, p.openFiles())
		}
	}
	if file, ok := o.all[key]; ok {
		return &file
	}
	return nil
}

// openFiles returns the files on disk that a process has open, by device and inode.
func (p *process) openFiles() map[[2]uint64]openFile {
	open := map[[2]uint64]openFile{}
	for _, target := range p.fds {
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/dev/") {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/root%s", p.pid, strings.TrimSuffix(target, " (deleted)")), &st) == nil {
			open[[2]uint64{st.Dev, st.Ino}] = openFile{target, p.label()}
		}
	}
	return open
}

func (l fileLock) line(file openFile) string {
	line := l.kind + " " + l.mode
	if l.waiting {
		line += " waiting"
	}
	return line + " " + file.path + " by " + file.holder
}
