package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// notifyInside is where a container that tells systemd itself how it is (sd_notify(3)) finds the socket for that: systemd's own,
// but for a container whose root is the machine's. What comes from root may name any process of the machine as the service's main one
// (MAINPID=), and have that killed (WATCHDOG=trigger, or the next stop). That one gets notifyFile, in its directory, of which READY=1
// is handed on.
const (
	notifyFile   = "notify.sock"
	notifyInside = "/run/notify/notify.sock"
)

// saysReady tells whether the container is to say READY=1 itself, and somebody waits for that.
func (e *Engine) saysReady(s State) bool {
	return s.Container.SDNotify == "container" && e.Host.Environment["NOTIFY_SOCKET"] != ""
}

// mayBeRoot tells whether a process of the container can be root outside of it.
func (e *Engine) mayBeRoot(s State) bool {
	return !e.Host.Rootless && (s.IDs.Empty() || slices.ContainsFunc(s.IDs.UIDs, func(m spec.IDMap) bool { return m.Outside == 0 }))
}

// openNotify makes the socket for READY=1 of a container that is not given systemd's own; nil for others.
func (e *Engine) openNotify(s State) (*os.File, error) {
	if !e.saysReady(s) || !e.mayBeRoot(s) {
		return nil, nil
	}
	dir, err := os.Open(e.Dirs.Container(s.ID))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), notifyFile) // the name of a socket is short
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), notifyFile)
	// Whoever the container's user is may write to it; nobody else comes through the directory.
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), os.Chmod(path, 0o777)); err != nil {
		f.Close()
		return nil, fmt.Errorf("make the notification socket: %w", err)
	}
	return f, nil
}

// awaitReady tells systemd that the service is ready when the container says so. Who started it in the foreground has its signals and
// its terminal to look after and stays until it ends: there it is told beside that.
func (e *Engine) awaitReady(ctx context.Context, s State) error {
	switch {
	case s.notify == nil:
		return nil
	case s.Container.Detach:
		return e.handReadyOn(ctx, s)
	}
	go func() {
		if err := e.handReadyOn(context.WithoutCancel(ctx), s); err != nil {
			fmt.Fprintln(e.Warn, err)
		}
	}()
	return nil
}

// handReadyOn waits until the container says READY=1, and closes its socket. One that has ended before needs nothing: systemd sees
// that itself.
func (e *Engine) handReadyOn(ctx context.Context, s State) error {
	defer s.notify.Close()
	pidfd, err := s.Init.Open()
	if err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	defer pidfd.Close() // nil is no error
	text := make([]byte, 8<<10)
	for ended := pidfd == nil; ctx.Err() == nil; {
		n, _, err := unix.Recvfrom(int(s.notify.Fd()), text, unix.MSG_DONTWAIT)
		switch {
		case err == nil && slices.Contains(strings.Split(string(text[:n]), "\n"), "READY=1"):
			return e.Manager.Notify("READY=1")
		case err == nil:
			continue
		case ended: // and there is nothing more to read
			return nil
		}
		fds := []unix.PollFd{{Fd: int32(s.notify.Fd()), Events: unix.POLLIN}, {Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
		const look = 250 // milliseconds, to look at ctx
		if _, err := unix.Poll(fds, look); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait until container %q is ready: %w", s.Name, err)
		}
		ended = fds[1].Revents != 0
	}
	return fmt.Errorf("wait until container %q is ready: %w", s.Name, ctx.Err())
}
