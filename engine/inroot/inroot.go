// Package inroot opens paths of a container's file system. Everything below the root belongs to the container and may
// change at any moment, so a path is resolved by the kernel with the root as its limit (openat2(2), RESOLVE_IN_ROOT): a
// link, absolute or with "..", never leads out. No other package may join a path of a container to one of the host.
package inroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a directory that paths cannot leave.
type Root struct {
	dir     *os.File
	noLinks bool
}

// Open opens the directory at a path of the host.
func Open(dir string) (Root, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	return Root{dir: f}, err
}

// At is the root that a handle on a directory stands for; it is closed with the root.
func At(dir *os.File) Root { return Root{dir: dir} }

// Close gives the handle back.
func (r Root) Close() error { return r.dir.Close() }

// FD is the root's file descriptor, which it keeps.
func (r Root) FD() int { return int(r.dir.Fd()) }

// open resolves p in the root.
func (r Root) open(p string, flags int, mode uint64) (*os.File, error) {
	if flags&unix.O_PATH == 0 { // with which openat2 takes few others
		flags |= unix.O_NOCTTY
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Mode:    mode,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if r.noLinks {
		how.Resolve |= unix.RESOLVE_NO_SYMLINKS
	}
	for {
		fd, err := unix.Openat2(int(r.dir.Fd()), p, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue // a rename raced with ".."; the kernel asks to try again
		}
		if err != nil {
			return nil, &os.PathError{Op: "open in container", Path: p, Err: err}
		}
		return os.NewFile(uintptr(fd), p), nil
	}
}

// ReadFile reads a regular file of at most limit bytes. It is looked at before it is opened: to open a device of the
// image can be enough to do harm, a watchdog's for one.
func (r Root) ReadFile(p string, limit int64) ([]byte, error) {
	handle, err := r.open(p, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s in the container is no regular file", p)
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%s in the container is larger than %d bytes", p, limit)
	}
	return data, err
}

// Append writes text to the end of a regular file that is there.
func (r Root) Append(p, text string) error {
	handle, err := r.open(p, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s in the container is no regular file", p)
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// HasLink reports whether p is a link, or one lies on the way to it. What is missing is none.
func (r Root) HasLink(p string) (bool, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(int(r.dir.Fd()), p, &how)
		switch {
		case err == nil:
			return false, unix.Close(fd)
		case errors.Is(err, unix.ELOOP):
			return true, nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return false, nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return false, &os.PathError{Op: "look at in container", Path: p, Err: err}
		}
	}
}

// Readlink returns what the link p says, "" when p is none.
func (r Root) Readlink(p string) (string, error) {
	f, err := r.open(p, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", err
	}
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", b)
	if err != nil {
		return "", &os.PathError{Op: "readlink in container", Path: p, Err: err}
	}
	return string(b[:n]), nil
}

// Handle returns a handle on what lies at p, of whatever kind, without opening it.
func (r Root) Handle(p string) (*os.File, error) { return r.open(p, unix.O_PATH, 0) }

// OpenDir opens a directory below the root as a root of its own.
func (r Root) OpenDir(p string) (Root, error) {
	f, err := r.open(p, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return Root{dir: f}, err
}

// MkdirAll makes a directory and its parents, owned by uid and gid where it makes them. An existing one stays as it is.
func (r Root) MkdirAll(p string, mode uint32, uid, gid int) error {
	done := "."
	for _, part := range strings.Split(path.Clean("/" + p)[1:], "/") {
		if part == "" {
			continue
		}
		if err := r.mkdir(done, part, mode, uid, gid); err != nil {
			return err
		}
		done = path.Join(done, part)
	}
	return nil
}

func (r Root) mkdir(parent, name string, mode uint32, uid, gid int) error {
	if f, err := r.open(path.Join(parent, name), unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
		return f.Close()
	}
	dir, err := r.open(parent, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = unix.Mkdirat(int(dir.Fd()), name, mode)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s in the container is no directory", path.Join(parent, name))
	}
	if err != nil {
		return &os.PathError{Op: "mkdir in container", Path: path.Join(parent, name), Err: err}
	}
	return unix.Fchownat(int(dir.Fd()), name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}
