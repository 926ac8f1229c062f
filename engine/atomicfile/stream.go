package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stream lets fill write the file that a user has named for output. A file is complete or as it was: it is written beside
// and renamed, a new one with this mode less the umask, one that is there with its own mode and owner, and where a link
// leads. What is there and is no file (a pipe, a device, a terminal, /dev/stdout) is written to as it stands and is never
// removed.
func Stream(path string, mode os.FileMode, fill func(*os.File) error) error {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	fd, inherited := descriptor(path)
	switch {
	case inherited:
		return direct(path, func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }, fill)
	case there && info.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: unix.EISDIR}
	case there && !info.Mode().IsRegular():
		return direct(path, func() (int, error) { return unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0) }, fill)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return replace(path, mode, func(f *os.File) error {
		if err := fill(f); err != nil || !there {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // a user may not; it is the user's file then
		}
		return f.Chmod(info.Mode().Perm())
	})
}

// WriteTo is Stream for what is at hand already.
func WriteTo(path string, data []byte, mode os.FileMode) error {
	return Stream(path, mode, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// direct writes to what is no file. It is not synced: a device or a pipe has no such thing, and says EINVAL.
func direct(path string, open func() (int, error), fill func(*os.File) error) error {
	fd, err := ignoringEINTR(open)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// descriptor knows the names of files that are open already. Opening such a name again would begin a file anew, and a
// socket cannot be opened at all.
func descriptor(path string) (int, bool) {
	switch path {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if n, ok := strings.CutPrefix(path, dir); ok {
			fd, err := strconv.ParseUint(n, 10, 31)
			return int(fd), err == nil
		}
	}
	return 0, false
}
