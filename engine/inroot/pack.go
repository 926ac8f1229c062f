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

// maxDepth is how deep a tree may be: a deeper one has no path that the kernel takes (path_resolution(7), PATH_MAX).
const maxDepth = unix.PathMax / 2

// PackOptions say how a tree is written.
type PackOptions struct {
	// Owner is what the archive says of a file that belongs to uid and gid; nil for the same.
	Owner func(uid, gid uint32) (uint32, uint32)
	// Note is told what was passed over, and why; nil for nobody.
	Note func(text string)
}

// Pack writes what a handle stands for, and all that lies below it, into an archive as an entry of that name. Nothing is
// opened but directories and regular files, and each was looked at before: a pipe cannot hold it up, a device not be
// touched, and a link is written as a link. The tree may change meanwhile.
func Pack(w *tar.Writer, top *os.File, name string, o PackOptions) error {
	p := packer{w: w, o: o, seen: map[fileID]string{}}
	return p.pack(top, name, 0)
}

type fileID struct{ dev, ino uint64 }

type packer struct {
	w    *tar.Writer
	o    PackOptions
	seen map[fileID]string // the names of files that have several
}

func (p *packer) note(format string, args ...any) {
	if p.o.Note != nil {
		p.o.Note(fmt.Sprintf(format, args...))
	}
}

// pack writes one entry. The handle was opened with O_PATH, so that it stays the same file whatever its name comes to mean.
func (p *packer) pack(f *os.File, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX,
		Uid: int(st.Uid), Gid: int(st.Gid),
	}
	if p.o.Owner != nil {
		uid, gid := p.o.Owner(st.Uid, st.Gid)
		h.Uid, h.Gid = int(uid), int(gid)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return p.dir(f, h, depth)
	}
	if first, ok := p.seen[fileID{st.Dev, st.Ino}]; ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return p.w.WriteHeader(h)
	}
	if st.Nlink > 1 {
		p.seen[fileID{st.Dev, st.Ino}] = name
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.file(f, h, st.Size)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(f.Fd()), "", buf)
		if err != nil {
			return &os.PathError{Op: "read link", Path: name, Err: err}
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(buf[:n])
		return p.w.WriteHeader(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.w.WriteHeader(h)
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		return p.w.WriteHeader(h)
	}
	delete(p.seen, fileID{st.Dev, st.Ino})
	p.note("%s is a socket, which an archive cannot hold: passed over", name)
	return nil
}

func (p *packer) file(f *os.File, h *tar.Header, size int64) error {
	in, err := reopen(f, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer in.Close()
	h.Typeflag, h.Size, h.PAXRecords = tar.TypeReg, size, attributes(in)
	if err := p.w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(p.w, io.LimitReader(in, size))
	if err != nil {
		return fmt.Errorf("read %s: %w", h.Name, err)
	}
	if n < size { // the size stands in the archive already
		p.note("%s became shorter while it was read: filled up with zeros", h.Name)
		_, err = io.CopyN(p.w, zeros{}, size-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func (p *packer) dir(f *os.File, h *tar.Header, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%.100s…: more than %d directories in each other", h.Name, maxDepth)
	}
	dir, err := reopen(f, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := h.Name
	h.Typeflag, h.Name, h.PAXRecords = tar.TypeDir, strings.TrimSuffix(name, "/")+"/", attributes(dir)
	if err := p.w.WriteHeader(h); err != nil {
		return err
	}
	if depth > 0 && ofKernel(dir) {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		fd, err := unix.Openat(int(dir.Fd()), n, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue // removed meanwhile
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: path.Join(name, n), Err: err}
		}
		entry := os.NewFile(uintptr(fd), path.Join(name, n))
		err = p.pack(entry, path.Join(name, n), depth+1)
		entry.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// reopen opens what a handle stands for, by way of which it cannot become another file (proc_pid_fd(5)).
func reopen(f *os.File, flags int) (*os.File, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// ofKernel reports whether a directory shows the kernel's own data, which are no files that could be copied.
func ofKernel(dir *os.File) bool {
	var fs unix.Statfs_t
	if unix.Fstatfs(int(dir.Fd()), &fs) != nil {
		return false
	}
	switch int64(fs.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.BPF_FS_MAGIC, unix.SECURITYFS_MAGIC, mqueueMagic:
		return true
	}
	return false
}

const mqueueMagic = 0x19800202 // of the file system of message queues (mq_overview(7))

const attributeRecord = "SCHILY.xattr." // as tar programs name them

// attributes are the extended attributes that belong to a file wherever it lies: the user's own, and capabilities.
func attributes(f *os.File) map[string]string {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), list)
	if err != nil || n == 0 {
		return nil
	}
	records := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !portable(name) {
			continue
		}
		value := make([]byte, 64<<10)
		if n, err := unix.Fgetxattr(int(f.Fd()), name, value); err == nil {
			records[attributeRecord+name] = string(value[:n])
		}
	}
	return records
}

func portable(attribute string) bool {
	return attribute == "security.capability" || strings.HasPrefix(attribute, "user.") && !strings.HasPrefix(attribute, "user.overlay.")
}
