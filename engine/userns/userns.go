// Package userns finds the user namespace that a user's berth works in, from any below it.
package userns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Of opens the user namespace that a process was set up in: that of the process's, or above it, which is the child of this
// process's own. A container may have namespaces of its own in the one that it was set up in.
func Of(pid int) (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err == nil {
		f, err = belowOwn(f)
	}
	if err != nil {
		return nil, fmt.Errorf("user namespace of process %d: %w", pid, err)
	}
	return f, nil
}

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
