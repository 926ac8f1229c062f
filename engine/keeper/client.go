package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// SocketIn is the keeper's socket in the directory of berth's state.
func SocketIn(run string) string { return filepath.Join(run, "keeper.sock") }

// ErrNone says that no keeper can be reached.
var ErrNone = errors.New("no keeper")

// Conn is a connection to the keeper.
type Conn struct {
	fd     int
	frames []byte // of one who is attached
}

// Dial connects; ErrNone when nobody listens. The service manager listens in the keeper's place and starts it. When too many wait already
// to be let in, it waits as long as for an answer.
func Dial(socket string) (*Conn, error) { return dial(socket, waitLimit) }

func dial(socket string, limit time.Duration) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = connectWithin(fd, socket, limit)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EACCES) {
		err = fmt.Errorf("%w at %s: %w", ErrNone, socket, err)
	} else if err != nil {
		err = fmt.Errorf("connect to the keeper at %s: %w", socket, err)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Conn{fd: fd}, nil
}

// connectWithin bounds how long connect(2) waits for room in the queue of a socket; what is sent later is not bound.
func connectWithin(fd int, socket string, limit time.Duration) error {
	bound := func(d time.Duration) error {
		tv := unix.NsecToTimeval(int64(d))
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	}
	if err := bound(limit); err != nil {
		return err
	}
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		switch {
		case errors.Is(err, unix.EINTR): // with a bound it is not restarted (signal(7))
		case errors.Is(err, unix.EAGAIN):
			return fmt.Errorf("not let in within %s", limit)
		case err != nil:
			return err
		default:
			return bound(0)
		}
	}
}

// Close ends the connection; what has been kept stays kept.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Keep sends a container's files, one for each of the record's streams. Wait tells what came of it.
func (c *Conn) Keep(r Record, files ...*os.File) error {
	r.Version = r.version()
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
		var st unix.Stat_t
		if err := unix.Fstat(fds[i], &st); err != nil {
			return err
		}
		r.Streams[i].Inode = st.Ino
	}
	data, err := json.Marshal(request{Keep: &r, Guard: r.Guard})
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return fmt.Errorf("what is to be told to the keeper has %d bytes; at most %d can be", len(data), maxMessage)
	}
	return c.message(data, unix.UnixRights(fds...))
}

// waitLimit is how long the keeper may take to answer: it may have to be started first, on a machine that boots.
const waitLimit = time.Minute

// Wait returns when the keeper has taken over what was sent last: from then on it is safe, whatever happens to the keeper.
func (c *Conn) Wait(ctx context.Context) error {
	_, err := c.answer(ctx, waitLimit)
	return err
}

func (c *Conn) answer(ctx context.Context, limit time.Duration) (response, error) {
	var r response
	data, err := c.receive(ctx, limit)
	if err != nil {
		return r, fmt.Errorf("wait for the keeper: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("answer of the keeper: %w", err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("keeper: %s", r.Error)
	}
	return r, nil
}

// noLimit waits as long as the context lets it.
const noLimit = 1<<63 - 1

// AwaitHealthy returns when the container with this ID has become healthy, or has ended.
func (c *Conn) AwaitHealthy(ctx context.Context, id string) error {
	if err := c.send(request{Await: id}); err != nil {
		return err
	}
	_, err := c.answer(ctx, noLimit)
	return err
}

// Probe looks at a container's health now. It returns the state and the exit status of the probe.
func (c *Conn) Probe(ctx context.Context, id string) (status string, code int, err error) {
	if err := c.send(request{Probe: id}); err != nil {
		return "", 0, err
	}
	r, err := c.answer(ctx, noLimit)
	return r.Health, r.Code, err
}

// Join asks root's keeper to take this process into the unit of a container of the same user's: into the part of its control
// group from where programs are added to the container.
func (c *Conn) Join(ctx context.Context, pid int, start uint64) error {
	if err := c.send(request{Join: &Process{PID: pid, Start: start}}); err != nil {
		return err
	}
	_, err := c.answer(ctx, waitLimit)
	return err
}

// Guard makes the keeper kill the PID 1 of a container of which it keeps nothing else, if the connection ends before Started. There is no
// answer.
func (c *Conn) Guard(pid int, start uint64) error {
	return c.send(request{Pledge: &Process{PID: pid, Start: start}})
}

// Started says that the program of a guarded container runs. There is no answer.
func (c *Conn) Started() error { return c.send(request{Started: true}) }

func (c *Conn) send(r request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.message(data, nil)
}

// message sends a message, and files with it.
func (c *Conn) message(data, rights []byte) error {
	err := unix.Sendmsg(c.fd, data, rights, nil, unix.MSG_NOSIGNAL)
	switch {
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return ErrLost
	case err != nil:
		return fmt.Errorf("send to the keeper: %w", err)
	}
	return nil
}

// ErrLost says that the keeper ended before it answered. What was sent, or was to be, may be sent again, to the next one.
var ErrLost = errors.New("the keeper ended")

func (c *Conn) receive(ctx context.Context, limit time.Duration) ([]byte, error) {
	begin := time.Now()
	for {
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 250) // to look at ctx
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case n == 0 && ctx.Err() != nil:
			return nil, ctx.Err()
		case n == 0 && time.Since(begin) > limit:
			return nil, fmt.Errorf("no answer within %s", limit)
		case n == 0:
			continue
		}
		buf := make([]byte, 4096)
		n, err = unix.Read(c.fd, buf)
		if n == 0 && err == nil || errors.Is(err, unix.ECONNRESET) {
			return nil, ErrLost
		}
		return buf[:max(n, 0)], err
	}
}
