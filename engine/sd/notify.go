// Package sd is the engine's way to systemd: notifications and transient units. It is the home of go-systemd.
package sd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Manager sends notifications to the service manager that started this process.
type Manager struct{}

// barrierTimeout is how long the manager may take to read its messages. While it reloads it reads none, which takes seconds where
// there are many units and the machine is small.
const barrierTimeout = time.Minute

// Notify sends a state (sd_notify(3)) and returns when the manager has taken it: it looks a sender up by PID, and a
// message of a process that has ended meanwhile is dropped. Without NOTIFY_SOCKET in the environment nothing happens.
func (Manager) Notify(state string) error {
	sent, err := daemon.SdNotify(false, state)
	if err == nil && sent {
		err = barrier(os.Getenv("NOTIFY_SOCKET"), barrierTimeout)
	}
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

// Store gives the manager an open file to keep: a process that it starts again gets it under that name
// (sd_pid_notify_with_fds(3)). FDPOLL=0, for a namespace cannot be polled.
func (Manager) Store(name string, f *os.File) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if err := sendFile(socket, "FDSTORE=1\nFDPOLL=0\nFDNAME="+name, f); err != nil {
		return fmt.Errorf("give the service manager a file to keep: %w", err)
	}
	return nil
}

// barrier sends the end of a pipe and waits until the manager closes it, which it does when it has come to that message.
func barrier(socket string, timeout time.Duration) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = sendFile(socket, "BARRIER=1", w)
	w.Close()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(timeout)
	for {
		fds := []unix.PollFd{{Fd: int32(r.Fd())}} // a hang-up is always reported
		n, err := unix.Poll(fds, int(max(time.Until(deadline), 0)/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("no answer within %s", timeout)
		}
		return nil
	}
}

// sendFile sends one datagram with an open file.
func sendFile(socket, text string, f *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendmsg(fd, []byte(text), unix.UnixRights(int(f.Fd())), &unix.SockaddrUnix{Name: socket}, 0)
}
