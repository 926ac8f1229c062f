package rootless

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
)

// Join replaces this process by the same program, with the same arguments, as root of the user namespace that a container
// was set up in. A new namespace would not do: it is a sibling of the container's and has no rights over it, whereas the
// user has all rights over both (user_namespaces(7)). On success it does not return.
func Join(container proc.ID) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", container.PID))
	if err != nil {
		return fmt.Errorf("user namespace of the container: %w", err)
	}
	if !container.Running() { // the PID may have gone to another process before the file was opened
		return proc.ErrGone
	}
	if f, err = belowOwn(f); err != nil {
		return fmt.Errorf("user namespace of the container: %w", err)
	}
	// A number that is not between those that the caller hands on.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 100)
	if err != nil {
		return err
	}
	// nsenter(1), for only a process of one thread may change its user namespace (setns(2)), and Go's have several.
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("nsenter is not there; install the package util-linux")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"nsenter", "--preserve-credentials", fmt.Sprintf("--user=/proc/self/fd/%d", fd), "--", self}
	return fmt.Errorf("nsenter: %w", syscall.Exec(path, append(args, os.Args[1:]...), configured()))
}

// belowOwn returns the namespace on the way up from f that is the child of this process's own: a container may have made
// namespaces of its own in the one that it was set up in.
func belowOwn(f *os.File) (*os.File, error) {
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return nil, err
	}
	for {
		// The parent of a namespace outside of our own is kept from us (EPERM, ioctl_ns(2)).
		parent, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_PARENT)
		if err != nil {
			return nil, fmt.Errorf("it is not one of this user's: %w", err)
		}
		up := os.NewFile(uintptr(parent), "user namespace")
		var st unix.Stat_t
		if err := unix.Fstat(parent, &st); err != nil {
			return nil, err
		}
		if st.Dev == own.Dev && st.Ino == own.Ino {
			up.Close()
			return f, nil
		}
		f.Close()
		f = up
	}
}
