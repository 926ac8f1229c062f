package tty

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Console is the socket through which an OCI runtime sends the master side of a container's terminal (--console-socket).
type Console struct {
	Path string
	fd   int
}

// ListenConsole makes the socket in dir, which must be nobody else's.
func ListenConsole(dir string) (*Console, error) {
	c := &Console{Path: filepath.Join(dir, "console.sock")}
	var err error
	if c.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, fmt.Errorf("console socket: %w", err)
	}
	if err = unix.Bind(c.fd, &unix.SockaddrUnix{Name: c.Path}); err == nil {
		err = unix.Listen(c.fd, 1)
	}
	if err != nil {
		unix.Close(c.fd)
		return nil, fmt.Errorf("console socket %s: %w", c.Path, err)
	}
	return c, nil
}

// Close removes the socket.
func (c *Console) Close() error {
	return errors.Join(unix.Close(c.fd), os.Remove(c.Path))
}

// Receive returns the master side. The runtime sends it before its create or exec ends, so that nobody need wait for
// long: call it afterwards, or beside.
func (c *Console) Receive(ctx context.Context) (*os.File, error) {
	if err := readable(ctx, c.fd); err != nil {
		return nil, fmt.Errorf("wait for the runtime's terminal: %w", err)
	}
	conn, _, err := unix.Accept4(c.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("console socket: %w", err)
	}
	defer unix.Close(conn)
	if err := readable(ctx, conn); err != nil {
		return nil, fmt.Errorf("wait for the runtime's terminal: %w", err)
	}
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(conn, name, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the runtime's terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, fmt.Errorf("receive the runtime's terminal: %w", err)
	}
	var fds []int
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	if len(fds) != 1 {
		return nil, fmt.Errorf("the runtime sent %d files instead of one terminal", len(fds))
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

// readable waits until fd can be read or ctx is done.
func readable(ctx context.Context, fd int) error {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(100*time.Millisecond/time.Millisecond)) // to look at ctx
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
