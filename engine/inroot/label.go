package inroot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// labelAttribute is where SELinux looks for the label of a file (xattr(7)).
const labelAttribute = "security.selinux"

// LabelTree gives the directory, and all that is in it, a label of SELinux, the directory last: one that has the label may
// be taken for a tree that has it, even after a kill. Links are not followed. What is labelled already is not written to.
func (r Root) LabelTree(label string) error {
	at := func(path string, err error) error {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return err
	}
	return r.walk(".", visitor{
		entry: func(dir *os.File, name, path string) (bool, error) {
			directory, err := labelEntry(dir, name, label)
			return directory, at(path, err)
		},
		below: func(err error) error {
			if errors.Is(err, unix.ENOENT) { // it was removed meanwhile
				return nil
			}
			return err
		},
		last: func(dir *os.File, path string) error { return at(path, Label(dir, label)) },
	})
}

// labelEntry labels what is no directory. The entry may be exchanged at any moment: what is labelled is what was looked at.
func labelEntry(dir *os.File, name, label string) (directory bool, err error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true, nil
	}
	return false, Label(f, label)
}

// Label gives an open file a label of SELinux. The file may be open with O_PATH, and a link.
func Label(f *os.File, label string) error {
	if has, err := LabelOf(f); err == nil && has == label {
		return nil
	}
	// By way of /proc, since fsetxattr(2) takes no handle of O_PATH. The last step leads to the file itself, never on.
	return unix.Setxattr(ViaProc(f), labelAttribute, []byte(label), 0)
}

// LabelOf is the label of an open file.
func LabelOf(f *os.File) (string, error) {
	buf := make([]byte, 4096) // one page bounds what the kernel reports
	n, err := unix.Getxattr(ViaProc(f), labelAttribute, buf)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(buf[:n]), "\x00"), nil
}

// ViaProc is a path, for this program alone and while the handle is open, of what a handle stands for.
func ViaProc(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
