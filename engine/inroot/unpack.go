package inroot

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// UnpackOptions say how an archive is unpacked.
type UnpackOptions struct {
	// Name is what an entry is called below the directory; nil for the same.
	Name func(name string) string
	// Owner are the user and group that a file gets of whom the archive says that it belongs to uid and gid; nil for the same.
	Owner func(uid, gid int) (int, int)
	// Foreign says that whoever made the archive is not trusted with the rights of the owner: set-user-ID bits and
	// capabilities of files are left out.
	Foreign bool
	// Overwrite lets a directory take the place of a file, and a file that of a directory with all that is in it.
	Overwrite bool
	// Note is told what was passed over, and why; nil for nobody.
	Note func(text string)
}

// Entries are those of an archive, of which the first may have been read.
type Entries struct {
	First *tar.Header // nil when it was not
	Rest  *tar.Reader
}

func (e *Entries) next() (*tar.Header, error) {
	if h := e.First; h != nil {
		e.First = nil
		return h, nil
	}
	return e.Rest.Next()
}

// Unpack writes the entries of an archive below a directory of the root. Directories on the way to an entry may be links
// of the root, which do not lead out of it. Directories that are there keep their owner and mode.
func (r Root) Unpack(dir string, from Entries, o UnpackOptions) error {
	u := unpacker{root: r, dir: dir, o: o}
	for {
		h, err := from.next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := u.entry(h, from.Rest); err != nil {
			return fmt.Errorf("unpack %.200s: %w", h.Name, err)
		}
	}
}

// WithoutLinks is the same root, in which no path may lead by way of a symbolic link.
func (r Root) WithoutLinks() Root {
	r.noLinks = true
	return r
}

type unpacker struct {
	root Root
	dir  string
	o    UnpackOptions
	dirs []madeDir
}

// madeDir is a directory that was made. What it is to be comes last: it may be closed to writing, and its time changes with
// each file.
type madeDir struct {
	name   string
	header *tar.Header
}

func (u *unpacker) note(format string, args ...any) {
	if u.o.Note != nil {
		u.o.Note(fmt.Sprintf(format, args...))
	}
}

// name is where an entry of the archive goes, below u.dir.
func (u *unpacker) name(name string) (string, error) {
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", errors.New("the name leads out of the directory that is unpacked into")
		}
	}
	name = path.Clean("/" + name)[1:]
	if u.o.Name != nil {
		name = path.Clean("/" + u.o.Name(name))[1:]
	}
	return name, nil
}

func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	name, err := u.name(h.Name)
	if err != nil {
		return err
	}
	if name == "" {
		if h.Typeflag != tar.TypeDir {
			return errors.New("it would take the place of the directory that is unpacked into")
		}
		return nil
	}
	parent, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	base := path.Base(name)
	if h.Typeflag == tar.TypeDir {
		return u.mkdir(parent, base, name, h)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		u.note("%s is a device: passed over", h.Name)
		return nil
	default:
		u.note("%s is of a kind (%q) that is not known: passed over", h.Name, h.Typeflag)
		return nil
	}
	if err := u.makeWay(parent, base, h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(parent, base, h, body)
	case tar.TypeLink:
		return u.link(parent, base, h)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, int(parent.Fd()), base); err != nil {
			return err
		}
	case tar.TypeFifo:
		if err := unix.Mkfifoat(int(parent.Fd()), base, uint32(h.Mode&0o777)); err != nil {
			return err
		}
	}
	return u.settle(parent, base, h)
}

// parent opens the directory of an entry, and makes it if the archive has not told of it.
func (u *unpacker) parent(dir string) (*os.File, error) {
	full := path.Join(u.dir, dir)
	if full == "" {
		full = "."
	}
	f, err := u.root.open(full, unix.O_PATH|unix.O_DIRECTORY, 0)
	if !errors.Is(err, unix.ENOENT) || dir == "." {
		return f, err
	}
	up, err := u.parent(path.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if err := u.mkdir(up, path.Base(dir), dir, &tar.Header{Mode: 0o755, ModTime: time.Now()}); err != nil {
		return nil, err
	}
	return u.root.open(full, unix.O_PATH|unix.O_DIRECTORY, 0)
}

func (u *unpacker) mkdir(parent *os.File, base, name string, h *tar.Header) error {
	err := unix.Mkdirat(int(parent.Fd()), base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(int(parent.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return nil
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK { // to a directory: what comes goes there
			if f, err := u.root.open(path.Join(u.dir, name), unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
				return f.Close()
			}
		}
		if !u.o.Overwrite {
			return errors.New("a directory cannot take the place of a file; --overwrite lets it")
		}
		if err := unix.Unlinkat(int(parent.Fd()), base, 0); err != nil {
			return err
		}
		err = unix.Mkdirat(int(parent.Fd()), base, 0o700)
	}
	if err == nil {
		u.dirs = append(u.dirs, madeDir{name, h})
	}
	return err
}

// makeWay removes what has the name of an entry that is no directory.
func (u *unpacker) makeWay(parent *os.File, base string, h *tar.Header) error {
	err := unix.Unlinkat(int(parent.Fd()), base, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR):
		if !u.o.Overwrite {
			return errors.New("a file cannot take the place of a directory; --overwrite lets it")
		}
		return removeTree(parent, base, 0)
	case errors.Is(err, unix.EBUSY) && h.Typeflag == tar.TypeReg: // something is mounted there: written into
		return nil
	}
	return err
}

// removeTree removes a directory and all that is in it, following no link.
func removeTree(parent *os.File, name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d directories in each other", maxDepth)
	}
	dir, err := openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		err := unix.Unlinkat(int(dir.Fd()), n, 0)
		if errors.Is(err, unix.EISDIR) {
			err = removeTree(dir, n, depth+1)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR)
}

func (u *unpacker) file(parent *os.File, base string, h *tar.Header, body io.Reader) error {
	// What the archive says of its size need not be in it: a hole takes no room there.
	var room unix.Statfs_t
	if err := unix.Fstatfs(int(parent.Fd()), &room); err == nil && room.Blocks > 0 && uint64(h.Size) > room.Bfree*uint64(room.Bsize) {
		return fmt.Errorf("it has %d bytes, for which there is no room", h.Size)
	}
	f, err := openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if errors.Is(err, unix.EEXIST) {
		f, err = intoMounted(parent, base)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	return u.dress(f, h)
}

// intoMounted opens a file that cannot be replaced, for something is mounted on it.
func intoMounted(parent *os.File, base string) (*os.File, error) {
	h, err := openat(parent, base, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("something that is no file is mounted there")
	}
	return reopen(h, unix.O_WRONLY|unix.O_TRUNC)
}

// link makes another name of a file that was unpacked before.
func (u *unpacker) link(parent *os.File, base string, h *tar.Header) error {
	target, err := u.name(h.Linkname)
	if err != nil {
		return fmt.Errorf("its first name %.200s: %w", h.Linkname, err)
	}
	dir, err := u.root.open(path.Join(u.dir, path.Dir(target)), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Linkat(int(dir.Fd()), path.Base(target), int(parent.Fd()), base, 0)
}

func (u *unpacker) owner(h *tar.Header) (int, int) {
	if u.o.Owner == nil {
		return h.Uid, h.Gid
	}
	return u.o.Owner(h.Uid, h.Gid)
}

func (u *unpacker) mode(h *tar.Header) uint32 {
	if u.o.Foreign && h.Typeflag != tar.TypeDir {
		return uint32(h.Mode & 0o1777)
	}
	return uint32(h.Mode & 0o7777)
}

// dress gives an open file what the archive says of it. The owner comes first: with another one the kernel takes
// set-user-ID bits and capabilities away.
func (u *unpacker) dress(f *os.File, h *tar.Header) error {
	uid, gid := u.owner(h)
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := unix.Fchmod(int(f.Fd()), u.mode(h)); err != nil {
		return err
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, attributeRecord)
		if !ok || !portable(name) || u.o.Foreign && !strings.HasPrefix(name, "user.") {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			u.note("%s: attribute %s is not taken over: %v", h.Name, name, err)
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), times(h), 0)
}

// settle is dress for what is not opened.
func (u *unpacker) settle(parent *os.File, base string, h *tar.Header) error {
	uid, gid := u.owner(h)
	if err := unix.Fchownat(int(parent.Fd()), base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(parent.Fd()), base, times(h), unix.AT_SYMLINK_NOFOLLOW)
}

func times(h *tar.Header) []unix.Timespec {
	t := unix.NsecToTimespec(h.ModTime.UnixNano())
	return []unix.Timespec{t, t}
}

// finish makes the new directories what they are to be, those inside of others first.
func (u *unpacker) finish() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		f, err := u.root.open(path.Join(u.dir, d.name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		err = u.dress(f, d.header)
		f.Close()
		if err != nil {
			return fmt.Errorf("directory %s: %w", d.name, err)
		}
	}
	return nil
}
