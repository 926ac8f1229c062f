package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// always are the calls that change something whatever their arguments are.
var always = map[uint64]string{
	unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_MOVE_MOUNT: "move_mount", unix.SYS_OPEN_TREE: "open_tree",
	unix.SYS_FSOPEN: "fsopen", unix.SYS_FSCONFIG: "fsconfig", unix.SYS_FSMOUNT: "fsmount",
	unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_PIVOT_ROOT: "pivot_root", unix.SYS_CHROOT: "chroot",
	unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns", unix.SYS_SETHOSTNAME: "sethostname",
	unix.SYS_MKDIR: "mkdir", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_RMDIR: "rmdir", unix.SYS_UNLINK: "unlink",
	unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAME: "rename", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
	unix.SYS_LINK: "link", unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINK: "symlink", unix.SYS_SYMLINKAT: "symlinkat",
	unix.SYS_MKNOD: "mknod", unix.SYS_MKNODAT: "mknodat", unix.SYS_CREAT: "creat",
	unix.SYS_TRUNCATE: "truncate", unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_FALLOCATE: "fallocate",
	unix.SYS_CHMOD: "chmod", unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHMODAT2: "fchmodat2",
	unix.SYS_CHOWN: "chown", unix.SYS_FCHOWN: "fchown", unix.SYS_LCHOWN: "lchown", unix.SYS_FCHOWNAT: "fchownat",
	unix.SYS_SETXATTR: "setxattr", unix.SYS_LSETXATTR: "lsetxattr", unix.SYS_FSETXATTR: "fsetxattr",
	unix.SYS_REMOVEXATTR: "removexattr", unix.SYS_LREMOVEXATTR: "lremovexattr", unix.SYS_FREMOVEXATTR: "fremovexattr",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_SYNCFS: "syncfs",
	unix.SYS_EXECVE: "execve", unix.SYS_EXECVEAT: "execveat", unix.SYS_FORK: "fork", unix.SYS_VFORK: "vfork",
	unix.SYS_KILL: "kill", unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal", unix.SYS_KEYCTL: "keyctl",
	unix.SYS_BIND: "bind", unix.SYS_SENDTO: "sendto", unix.SYS_SENDMSG: "sendmsg", unix.SYS_SENDMMSG: "sendmmsg",
	unix.SYS_COPY_FILE_RANGE: "copy_file_range", unix.SYS_SENDFILE: "sendfile",
}

// writes are the calls that change something when their first argument is a file of a file system.
var writes = map[uint64]string{
	unix.SYS_WRITE: "write", unix.SYS_WRITEV: "writev", unix.SYS_PWRITE64: "pwrite64", unix.SYS_PWRITEV: "pwritev",
}

// changing tells whether a call that process tid is about to make changes something, and what it is called.
func changing(tid int, nr uint64, args [6]uint64) (string, bool) {
	if name, ok := always[nr]; ok {
		return name, true
	}
	if name, ok := writes[nr]; ok {
		return name, inFileSystem(tid, args[0])
	}
	switch nr {
	case unix.SYS_OPEN:
		return "open", makes(args[1])
	case unix.SYS_OPENAT:
		return "openat", makes(args[2])
	case unix.SYS_OPENAT2:
		var how [8]byte // its first member is the flags (openat2(2))
		_, err := unix.PtracePeekData(tid, uintptr(args[2]), how[:])
		return "openat2", err == nil && makes(binary.LittleEndian.Uint64(how[:]))
	case unix.SYS_CLONE:
		return "clone", args[0]&unix.CLONE_THREAD == 0
	case unix.SYS_CLONE3:
		var flags [8]byte // the first member of struct clone_args (clone(2))
		_, err := unix.PtracePeekData(tid, uintptr(args[0]), flags[:])
		return "clone3", err == nil && binary.LittleEndian.Uint64(flags[:])&unix.CLONE_THREAD == 0
	case unix.SYS_IOCTL:
		return "ioctl TUNSETIFF", args[1] == unix.TUNSETIFF
	}
	return "", false
}

// makes reports whether flags of open(2) can change the file.
func makes(flags uint64) bool { return flags&(unix.O_CREAT|unix.O_TRUNC) != 0 }

// inFileSystem reports whether a file descriptor is of a file that has a path: not a pipe, a socket, an event counter,
// nor a device such as a terminal.
func inFileSystem(tid int, fd uint64) bool {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(fd)))
	return err == nil && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/memfd:")
}
