package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnknown says that the keeper does not read a container's output.
var ErrUnknown = errors.New(unknownContainer)

// Attach connects with a container. What comes of it is told by Next.
func (c *Conn) Attach(ctx context.Context, a Attach) error {
	a.Version = attachVersion
	if err := c.send(request{Attach: &a}); err != nil {
		return err
	}
	_, err := c.answer(ctx, waitLimit)
	if err != nil && strings.Contains(err.Error(), unknownContainer) {
		return fmt.Errorf("%w %.12s", ErrUnknown, a.ID)
	}
	return err
}

// Event is something that one who is attached is told. One of its fields is set.
type Event struct {
	Begun          *Begun
	Stdout, Stderr []byte
	Lost           uint64 // bytes that were not shown
	Finished       bool   // no more output will come
	Ended          *Ended
}

// Next waits for the next event. ErrLost says that the keeper has ended; attaching to the next one goes on. The bytes are
// valid until the next call.
func (c *Conn) Next() (Event, error) {
	if c.frames == nil {
		c.frames = make([]byte, maxFrame+1)
	}
	for {
		n, err := unix.Read(c.fd, c.frames)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case n == 0 && err == nil, errors.Is(err, unix.ECONNRESET):
			return Event{}, ErrLost
		case err != nil:
			return Event{}, fmt.Errorf("read from the keeper: %w", err)
		}
		f, err := parseFrame(c.frames[:n])
		if err != nil {
			return Event{}, err
		}
		switch f.kind {
		case frameBegun:
			return Event{Begun: &f.begun}, nil
		case frameStdout:
			return Event{Stdout: f.data}, nil
		case frameStderr:
			return Event{Stderr: f.data}, nil
		case frameLost:
			return Event{Lost: f.lost}, nil
		case frameFinished:
			return Event{Finished: true}, nil
		case frameEnded:
			return Event{Ended: &f.ended}, nil
		}
	}
}

// Type sends what is typed.
func (c *Conn) Type(text []byte) error {
	for len(text) > 0 {
		n := min(len(text), maxFrame)
		if err := c.message(append([]byte{frameInput}, text[:n]...), nil); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// CloseInput says that nothing more will be typed.
func (c *Conn) CloseInput() error { return c.message([]byte{frameClose}, nil) }

// Resize tells the size of the screen.
func (c *Conn) Resize(rows, columns uint16) error { return c.message(sizeFrame(rows, columns), nil) }

// Hangup ends the connection while another goroutine waits in Next, which returns ErrLost.
func (c *Conn) Hangup() error { return unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// TellEnd tells those who are attached how a container has ended. Nobody waits for an answer.
func (c *Conn) TellEnd(e Ended) error {
	return c.send(request{Ended: &e})
}
