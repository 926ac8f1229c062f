package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// fileRoots are the trees in which container managers leave files.
var fileRoots = []string{"/run", "/tmp", "/var/tmp", "/var/lib/berth"}

// idleFiles change on a machine on which nobody does anything.
var idleFiles = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`^/run/log/journal/`), "the journal rotates"},
	{regexp.MustCompile(`^/run/systemd/journal/streams/`), "one per connected writer"},
	{regexp.MustCompile(`^/run/systemd/(sessions|users|seats|inhibit|machines)/`), "logins"},
	{regexp.MustCompile(`^/run/systemd/transient(/session-.*)?$`), "logins; the directory stays after the first transient unit"},
	{regexp.MustCompile(`^/run/systemd/units/(invocation|log-extra-fields|log-level-max):(session-|user@|user-runtime-dir@)`), "logins"},
	{regexp.MustCompile(`^/run/systemd/netif/`), "address leases of the machine itself"},
	{regexp.MustCompile(`^/run/systemd/(ask-password|timesync)/`), "prompts and clock stamps"},
	{regexp.MustCompile(`^/run/udev/`), "numbered by device and interface"},
	{regexp.MustCompile(`^/run/user/\d+(/(bus|pipewire.*|systemd(/(private|notify|units|generator.*|inaccessible.*|propagate.*|io\.systemd.*|invocation:.*))?))?$`), "logins"},
	{regexp.MustCompile(`^/run/host(/|$)`), "belongs to the host of this machine"},
}

func idleFile(path string) bool {
	for _, idle := range idleFiles {
		if idle.pattern.MatchString(path) {
			return true
		}
	}
	return false
}

func collectFiles(*machine) ([]string, error) {
	var lines []string
	var errs []error
	for _, root := range fileRoots {
		err := walkFiles(root, func(path string, st *unix.Stat_t) {
			if !idleFile(path) && !isSnapshot(path, st) {
				lines = append(lines, fileLine(path, st))
			}
		})
		errs = append(errs, err)
	}
	return lines, errors.Join(errs...)
}

// walkFiles visits everything below root. It crosses into a mounted tmpfs
// (/run/user/1000, /run/lock) but into no other file system: what is mounted
// there is told by the mounts, and a container's root is not ours to list.
func walkFiles(root string, visit func(string, *unix.Stat_t)) error {
	var top unix.Stat_t
	if err := unix.Lstat(root, &top); err != nil {
		return nil // absent
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return nil // ended meanwhile, or not ours to read: the line of the directory itself stands
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil {
			return nil
		}
		visit(path, &st)
		if entry.IsDir() && st.Dev != top.Dev && !isTmpfs(path) {
			return fs.SkipDir
		}
		return nil
	})
}

func isTmpfs(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

// fileLine prints kind, permissions, owner and path, and where a link leads.
func fileLine(path string, st *unix.Stat_t) string {
	line := fmt.Sprintf("%s%04o %d:%d %s", fileKind(st.Mode), st.Mode&0o7777, st.Uid, st.Gid, path)
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
	}
	return line
}

func fileKind(mode uint32) string {
	kinds := map[uint32]string{
		unix.S_IFDIR: "d", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFSOCK: "s",
		unix.S_IFCHR: "c", unix.S_IFBLK: "b", unix.S_IFREG: "-",
	}
	return kinds[mode&unix.S_IFMT]
}

// isSnapshot knows our own output, which tests keep where we look.
func isSnapshot(path string, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !strings.HasSuffix(path, ".json") {
		return false
	}
	if isOutput(st) {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 32)
	n, _ := f.Read(head)
	return bytes.Contains(head[:n], []byte(`"leakcheck":`))
}

// isOutput reports whether a file is our own standard output, still empty.
func isOutput(st *unix.Stat_t) bool {
	var out unix.Stat_t
	return unix.Fstat(1, &out) == nil && out.Dev == st.Dev && out.Ino == st.Ino
}

// leaseRoots hold address leases and what network helpers keep running with.
func leaseRoots() []string {
	roots := []string{"/run/berth", "/run/containers/networks"}
	users, _ := filepath.Glob("/run/user/*")
	for _, dir := range users {
		roots = append(roots, filepath.Join(dir, "berth"), filepath.Join(dir, "containers/networks"))
	}
	return roots
}

const leaseSizeMax = 64 << 10 // bytes of a text file that are compared

// collectLeases prints small text files line by line. Databases are named
// only: their bytes differ for the same contents.
func collectLeases(*machine) ([]string, error) {
	var lines []string
	var errs []error
	for _, root := range leaseRoots() {
		err := walkFiles(root, func(path string, st *unix.Stat_t) {
			lines = append(lines, leaseLines(path, st)...)
		})
		errs = append(errs, err)
	}
	return lines, errors.Join(errs...)
}

func leaseLines(path string, st *unix.Stat_t) []string {
	lines := []string{path}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > leaseSizeMax {
		return lines
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return lines
	}
	for line := range strings.Lines(string(data)) {
		lines = append(lines, path+": "+strings.TrimSpace(line))
	}
	return lines
}
