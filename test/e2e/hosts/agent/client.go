package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrGone says that the machine went away, by reboot or power-off, while a command ran or before it was sent.
var ErrGone = errors.New("the machine has gone")

// Client sends commands to one agent. Its methods may be called from several goroutines.
type Client struct {
	out  *writer
	done chan struct{} // closed when the stream has ended

	mu    sync.Mutex
	last  uint32
	calls map[uint32]*call
}

type call struct {
	stdout, stderr io.Writer
	ended          chan exit
}

// Streams are where a command's input comes from and its output goes; any may be nil.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Connect waits for the agent's greeting on the stream, then reads its answers until the stream ends.
func Connect(stream io.ReadWriter) (*Client, error) {
	r := bufio.NewReaderSize(stream, 2*chunk)
	if err := skipToHello(r); err != nil {
		return nil, fmt.Errorf("wait for the agent: %w", err)
	}
	c := &Client{out: &writer{w: stream}, done: make(chan struct{}), calls: map[uint32]*call{}}
	go c.read(r)
	return c, nil
}

// Resume connects to an agent that has greeted an earlier client, which left it between two commands.
func Resume(stream io.ReadWriter) (*Client, error) {
	if err := (&writer{w: stream}).send(kindGreet, 0, nil); err != nil {
		return nil, fmt.Errorf("call the agent: %w", err)
	}
	return Connect(stream)
}

// Done is closed when the agent can no longer be reached.
func (c *Client) Done() <-chan struct{} { return c.done }

// Run runs a command to its end and returns its exit code. The error is non-nil when the command could not be started,
// when the machine went away (ErrGone), or when ctx ended, which kills the command's process group.
func (c *Client) Run(ctx context.Context, cmd Command, io Streams) (int, error) {
	cmd.Input = io.Stdin != nil
	k := &call{stdout: io.Stdout, stderr: io.Stderr, ended: make(chan exit, 1)}
	id := c.register(k)
	defer c.forget(id)
	if err := c.out.sendJSON(kindExec, id, cmd); err != nil {
		return -1, fmt.Errorf("%w: %v", ErrGone, err)
	}
	if cmd.Input {
		go c.feed(id, io.Stdin)
	}
	select {
	case e := <-k.ended:
		return e.result()
	case <-ctx.Done():
		c.out.send(kindKill, id, nil)
		return -1, context.Cause(ctx)
	case <-c.done:
	}
	select { // the exit may have come just before the end of the stream
	case e := <-k.ended:
		return e.result()
	default:
		return -1, ErrGone
	}
}

func (e exit) result() (int, error) {
	if e.Error != "" {
		return e.Code, errors.New(e.Error)
	}
	return e.Code, nil
}

func (c *Client) register(k *call) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.calls[c.last] = k
	return c.last
}

func (c *Client) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

func (c *Client) feed(id uint32, stdin io.Reader) {
	buf := make([]byte, chunk)
	for {
		n, err := stdin.Read(buf)
		if n > 0 && c.out.send(kindStdin, id, buf[:n]) != nil {
			return
		}
		if err != nil {
			c.out.send(kindStdin, id, nil)
			return
		}
	}
}

func (c *Client) read(r io.Reader) {
	defer close(c.done)
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		c.deliver(f)
	}
}

func (c *Client) deliver(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock() // so that nothing is written after Run has returned
	k := c.calls[f.id]
	if k == nil {
		return
	}
	switch f.kind {
	case kindStdout:
		writeTo(k.stdout, f.payload)
	case kindStderr:
		writeTo(k.stderr, f.payload)
	case kindExit:
		var e exit
		if err := json.Unmarshal(f.payload, &e); err != nil {
			e = exit{Code: 127, Error: err.Error()}
		}
		k.ended <- e
	}
}

func writeTo(w io.Writer, p []byte) {
	if w != nil {
		w.Write(p) // the reader of a test's output has no way to stop the test
	}
}
