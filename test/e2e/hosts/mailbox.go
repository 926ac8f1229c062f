package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// mailbox is a unix socket named "agent" in a directory of its own, on which a machine's agent calls.
type mailbox struct {
	dir      *os.File // its descriptor makes the path short enough for a socket address
	listener *net.UnixListener
}

func newMailbox(dir string) (*mailbox, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("/proc/self/fd/%d/agent", f.Fd())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", filepath.Base(dir), err)
	}
	return &mailbox{dir: f, listener: l}, nil
}

// accept waits for a call, for as long as the process that makes it lives.
func (m *mailbox) accept(ctx context.Context, caller *process) (io.ReadWriteCloser, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	accepted := make(chan result, 1)
	go func() {
		conn, err := m.listener.Accept()
		accepted <- result{conn, err}
	}()
	select {
	case r := <-accepted:
		return r.conn, r.err
	case <-caller.done:
		return nil, errors.New("it ended before it had booted")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *mailbox) close() {
	m.listener.Close()
	m.dir.Close()
}
