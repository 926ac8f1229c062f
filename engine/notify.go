package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/spec"
)

// notifyInside is where a container that tells systemd itself how it is (sd_notify(3)) finds the socket for that: systemd's own,
// but for a container whose root is the machine's. What comes from root may name any process of the machine as the service's main one
// (MAINPID=), and have that killed (WATCHDOG=trigger, or the next stop). That one gets notifyFile, in its directory, of which the
// keeper hands on what speaks of nothing but the service.
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

// openNotify makes the socket of a container that is not given systemd's own, for the keeper to listen at; nil for others.
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
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
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
