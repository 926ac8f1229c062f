package store

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// limits are what a volume may hold; 0 is no limit.
type limits struct{ bytes, inodes uint64 }

// limits reads size= and inodes= of a volume that is a directory.
func (vol Volume) limits() (l limits, err error) {
	if vol.Options["type"] != "" {
		return l, nil // options of that file system
	}
	for _, o := range strings.Split(vol.Options["o"], ",") {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "size":
			l.bytes, err = parseSize(value)
		case "inodes":
			l.inodes, err = strconv.ParseUint(value, 10, 64)
		}
		if err != nil || name == "size" && l.bytes == 0 || name == "inodes" && l.inodes == 0 {
			return l, fmt.Errorf("volume option o=%s is no number; size=10m and inodes=1000 are", o)
		}
	}
	return l, nil
}

// parseSize reads a number of bytes, with k, m, g or t behind it for the powers of 1024.
func parseSize(s string) (uint64, error) {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s), "b"), "i")
	shift := 0
	if number != "" {
		if i := strings.IndexByte("kmgt", number[len(number)-1]); i >= 0 {
			number, shift = number[:len(number)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err == nil && n > math.MaxUint64>>shift {
		err = strconv.ErrRange
	}
	return n << shift, err
}

// limit makes the directory dir, which is new, the root of a project that may hold so much. volumes is the directory of all volumes: one
// at a time picks a number there. The kernel knows which numbers are taken, Podman's too: those that have a limit or files.
func limit(volumes, dir, name string, l limits) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("limit what is in volume %q: %w", name, noQuota(volumes, err))
		}
	}()
	all, err := os.Open(volumes)
	if err != nil {
		return err
	}
	defer all.Close()
	if err := atomicfile.Lock(all); err != nil {
		return err
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	// Far from the small numbers that people and Podman give.
	for project := h.Sum32()>>2 | 1<<30; ; project = (project+1)&^(1<<31) | 1<<30 {
		var q dqblk
		err := quotactl(all, qGetQuota, project, &q)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		if err == nil && q != (dqblk{valid: q.valid}) {
			continue
		}
		// The directory first: a number with a file is not given again.
		if err := setProject(dir, project); err != nil {
			return err
		}
		return quotactl(all, qSetQuota, project, &dqblk{hardBlocks: (l.bytes + 1023) / 1024, hardInodes: l.inodes, valid: qifLimits})
	}
}

// unlimit takes the limits of a removed volume's project away.
func unlimit(volumes string, project uint32) error {
	all, err := os.Open(volumes)
	if err != nil {
		return err
	}
	defer all.Close()
	if err := quotactl(all, qSetQuota, project, &dqblk{valid: qifLimits}); !errors.Is(err, unix.ESRCH) { // switched off since
		return err
	}
	return nil
}

// freeProjects gives back what limit gave to directories in that of a volume, which are to be removed.
func freeProjects(volumes, dir string, names []string) (err error) {
	for _, project := range ownProjects(dir, names, projectOf) {
		err = errors.Join(err, unlimit(volumes, project))
	}
	return err
}

// ownProjects are the projects of those directories that nobody else has: the machine may have given one to all volumes, and a killed start
// has made a directory of the project of the data that it was to replace.
func ownProjects(dir string, names []string, of func(path string) (uint32, error)) (list []uint32) {
	kept := map[uint32]bool{0: true}
	for _, name := range []string{".", "_data"} {
		if project, err := of(filepath.Join(dir, name)); err == nil && !slices.Contains(names, name) {
			kept[project] = true
		}
	}
	for _, name := range names {
		if project, err := of(filepath.Join(dir, name)); err == nil && !kept[project] {
			list = append(list, project)
			kept[project] = true
		}
	}
	return list
}

// noQuota says what a file system lacks.
func noQuota(path string, err error) error {
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) != nil || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EIO) {
		return err
	}
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return fmt.Errorf("only root may set project quotas (%w); type=tmpfs has a size for users too", err)
	case fs.Type == unix.XFS_SUPER_MAGIC:
		return fmt.Errorf("the xfs of %s has no project quotas (%w): mount it with the option pquota, or if it is / start the kernel with rootflags=pquota", path, err)
	case fs.Type == unix.EXT4_SUPER_MAGIC:
		return fmt.Errorf("the ext4 of %s has no project quotas (%w): `tune2fs -O quota,project` while it is not mounted, and mount it with the option prjquota", path, err)
	}
	return fmt.Errorf("the file system of %s (type %#x) has no project quotas (%w): xfs and ext4 have; type=tmpfs has a size anywhere", path, fs.Type, err)
}

// What follows is the kernel's (linux/fs.h, linux/quota.h); x/sys/unix has none of it.
const (
	fsGetXattr     = 0x801c581f // FS_IOC_FSGETXATTR
	fsSetXattr     = 0x401c5820 // FS_IOC_FSSETXATTR
	projectInherit = 0x200      // FS_XFLAG_PROJINHERIT: what is made in the directory is of its project
	projectQuota   = 2          // PRJQUOTA
	qGetQuota      = 0x800007<<8 | projectQuota
	qSetQuota      = 0x800008<<8 | projectQuota
	qifLimits      = 1 | 4 // QIF_BLIMITS, QIF_ILIMITS
)

type fsxattr struct {
	flags, extent, extents, project, cow uint32
	_                                    [8]byte
}

type dqblk struct {
	hardBlocks, softBlocks, space, hardInodes, softInodes, inodes, timeBlocks, timeInodes uint64
	valid                                                                                 uint32
}

func quotactl(f *os.File, command int, project uint32, q *dqblk) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(command), uintptr(project), uintptr(unsafe.Pointer(q)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// projectOf is the project of a directory, 0 for none.
func projectOf(dir string) (uint32, error) {
	x, err := xattrOf(dir, nil)
	return x.project, err
}

func setProject(dir string, project uint32) error {
	_, err := xattrOf(dir, func(x *fsxattr) { x.project, x.flags = project, x.flags|projectInherit })
	return err
}

// xattrOf reads what the file system has of a directory, and writes it back as change leaves it.
func xattrOf(dir string, change func(*fsxattr)) (x fsxattr, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return x, err
	}
	defer f.Close()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsGetXattr, uintptr(unsafe.Pointer(&x)))
	if errno == 0 && change != nil {
		change(&x)
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsSetXattr, uintptr(unsafe.Pointer(&x)))
	}
	if errno != 0 {
		return x, errno
	}
	return x, nil
}

// makeLimited makes the directory of a volume's data with its limits, all at once.
func makeLimited(dir string, vol Volume, l limits) error {
	fresh, err := os.MkdirTemp(dir, newPrefix)
	if err == nil {
		if err = os.Chmod(fresh, 0o755); err == nil {
			err = limit(filepath.Dir(dir), fresh, vol.Name, l)
		}
		if err == nil {
			err = unix.Rename(fresh, vol.Path)
		}
		if err != nil {
			err = errors.Join(err, freeProjects(filepath.Dir(dir), dir, []string{filepath.Base(fresh)}), os.RemoveAll(fresh))
		}
	}
	return err
}
