package inroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// CopyTree copies what lies in the directory from into the directory to: directories, regular files and symbolic links,
// with owner, mode and times. Sockets, pipes and device nodes are passed over. The directory to itself gets from's owner
// and mode.
func CopyTree(from, to Root) error {
	return CopyTreeAs(from, to, func(uid, gid uint32) (uint32, uint32) { return uid, gid })
}

// CopyTreeAs is CopyTree with other owners.
func CopyTreeAs(from, to Root, owner func(uid, gid uint32) (uint32, uint32)) error {
	return copier{from, to, owner}.dir(".")
}

type copier struct {
	from, to Root
	owner    func(uid, gid uint32) (uint32, uint32)
}

func (c copier) dir(dir string) error {
	src, err := c.from.open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := c.to.open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dst.Close()
	names, err := src.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.entry(src, dst, path.Join(dir, name), name); err != nil {
			return fmt.Errorf("copy %s: %w", path.Join(dir, name), err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return err
	}
	return c.setMeta(dst, &st)
}

func (c copier) entry(src, dst *os.File, full, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(src.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(int(dst.Fd()), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		return c.dir(full)
	case unix.S_IFREG:
		return c.file(src, dst, name)
	case unix.S_IFLNK:
		return c.link(src, dst, name, &st)
	}
	return nil
}

func (c copier) file(src, dst *os.File, name string) error {
	in, err := openat(src, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(in.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("changed its kind while it was copied")
	}
	out, err := openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return c.setMeta(out, &st)
}

func openat(dir *os.File, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (c copier) link(src, dst *os.File, name string, st *unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(src.Fd()), name, buf)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(buf[:n]), int(dst.Fd()), name); err != nil {
		return err
	}
	uid, gid := c.owner(st.Uid, st.Gid)
	return unix.Fchownat(int(dst.Fd()), name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
}

func (c copier) setMeta(f *os.File, st *unix.Stat_t) error {
	fd := int(f.Fd())
	uid, gid := c.owner(st.Uid, st.Gid)
	if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), times, 0)
}
