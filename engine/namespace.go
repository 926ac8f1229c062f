package engine

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// handlePath names an open file for other processes, as long as this one has it open.
func handlePath(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// newNetNS makes a network namespace and returns a handle on it. It has no name: it ends with its last process or handle.
func newNetNS() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread belongs to the new namespace and ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{nil, fmt.Errorf("make network namespace: %w", err)}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

// protect shows the runtime's program read-only in the thread's mount namespace, so that no container can overwrite it
// by way of /proc/self/exe (CVE-2019-5736). crun sees that it is safe and need not make such a mount, and start itself
// again from there, at each call. Where it cannot be done the runtime protects itself.
func protect(program string) {
	if program == "" || unix.Mount(program, program, "", unix.MS_BIND, "") != nil {
		return
	}
	// Only adds to the flags, of which a user may take none away (mount_setattr(2)).
	readonly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if unix.MountSetattr(unix.AT_FDCWD, program, 0, &readonly) != nil {
		unix.Unmount(program, unix.MNT_DETACH)
	}
}

// ownMountNamespace moves the calling thread into a new mount namespace that still sees mounts made on the host later
// on, but not the other way round (mount_namespaces(7), MS_SLAVE).
func ownMountNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("detach mount namespace: %w", err)
	}
	return nil
}
