package proc

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// HollowProgram is where Hollow shows the program.
const HollowProgram = "/init"

// Hollow moves the calling thread into a mount namespace in which there is nothing but one program, a static one, read-only. What such a thread
// starts has nothing to show to who may look into it: with CAP_SYS_PTRACE a process reaches all files of another by way of
// /proc/PID/root (proc(5)). The thread must be locked, and of no other use afterwards.
func Hollow(program string) error { return hollow(program, false) }

// place is a directory that is always there (hier(7)), and has no programs. What is mounted on it nobody else sees.
const place = "/run"

// hollow leaves /proc there too if that is wanted.
func hollow(program string, withProc bool) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("detach mount namespace: %w", err)
	}
	if err := unix.Mount("hollow", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16k,nr_inodes=4,mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", place, err)
	}
	file := filepath.Join(place, HollowProgram)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o555)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(program, file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show %s: %w", program, err)
	}
	if withProc {
		dir := filepath.Join(place, procDir)
		if err := errors.Join(os.Mkdir(dir, 0o555), unix.Mount(procDir, dir, "", unix.MS_BIND|unix.MS_REC, "")); err != nil {
			return fmt.Errorf("show %s: %w", procDir, err)
		}
	}
	readonly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	for _, mount := range []string{file, place} {
		if err := unix.MountSetattr(unix.AT_FDCWD, mount, 0, &readonly); err != nil {
			return fmt.Errorf("make %s read-only: %w", mount, err)
		}
	}
	if err := unix.Chdir(place); err != nil {
		return err
	}
	// The old root lies over the new one then, and is taken off (pivot_root(2)).
	if err := errors.Join(unix.PivotRoot(".", "."), unix.Unmount(".", unix.MNT_DETACH), unix.Chdir("/")); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return nil
}

const procDir = "/proc"

// startHollow starts a program from a thread of its own, in a hollow namespace.
func startHollow(program string, start func() error) error {
	done := make(chan error)
	var there func()
	there = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // the first thread does not end, and /proc/self shows its root
			end := make(chan struct{})
			go func() { defer close(end); there() }()
			<-end
			runtime.UnlockOSThread()
			return
		}
		err := hollow(program, true) // the thread ends with the goroutine, which is never unlocked
		if err == nil {
			err = start() // which writes maps into /proc
		}
		if err == nil {
			err = unix.Unmount(procDir, unix.MNT_DETACH) // in the mount namespace that is the program's too
		}
		done <- err
	}
	go there()
	return <-done
}

// Pause does nothing but reap its children, as the first process of a PID namespace must, until it is told to end.
func Pause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGCHLD)
	for s := range signals {
		if s == unix.SIGTERM {
			return
		}
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
