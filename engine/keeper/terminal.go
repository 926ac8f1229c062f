package keeper

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// terminal is the side of a container's terminal that people see. What the container prints goes into a pipe, within the kernel
// (splice(2)), and from there the way of all output: a kill between two steps loses nothing.
type terminal struct {
	c      *container
	master int
	screen *stream // the pipe's read end, which lies in the store too
	into   int     // its write end
	full   bool    // the pipe took no more
	more   bool    // there may be more to read
}

// screenSize is the size of the pipe: what is typed and echoed key by key takes a page for each key.
const screenSize = 1 << 20

// screen makes the pipe of a terminal.
func newScreen() (fd int, inode uint64, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, 0, fmt.Errorf("pipe for a terminal: %w", err)
	}
	unix.Close(fds[1])                                            // it is opened again where it is needed
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, screenSize) // or what the user may have
	var st unix.Stat_t
	if err := unix.Fstat(fds[0], &st); err != nil {
		unix.Close(fds[0])
		return -1, 0, err
	}
	return fds[0], st.Ino, nil
}

// connect begins to read a terminal into its pipe.
func (k *Keeper) connect(t *terminal) (err error) {
	if t.into, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", t.screen.fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("pipe of a terminal: %w", err)
	}
	if err := unix.SetNonblock(t.master, true); err != nil {
		unix.Close(t.into)
		return err
	}
	t.screen.terminal = t
	return k.watch(t.master, t, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

func (t *terminal) event(k *Keeper, _ uint32) {
	k.queue(t.screen)
	k.feed(t.c)
}

// pump moves what the container has printed into the pipe. The terminal has ended when nobody has its other side open (EIO,
// pty(7)) and PID 1 is gone; before that a program may open it again.
func (k *Keeper) pump(t *terminal) {
	t.full, t.more = false, false
	for range turn {
		n, err := unix.Splice(t.master, nil, t.into, nil, window, unix.SPLICE_F_NONBLOCK)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			t.full = !writable(t.into)
			return
		case err != nil || n == 0:
			if t.c.pidfd < 0 {
				t.screen.ended = true
			}
			return
		}
	}
	t.more = true
}

// close lets go of the terminal. The programs on its other side are hung up on.
func (t *terminal) close(k *Keeper) {
	k.closeWatched(t.master)
	unix.Close(t.into)
	t.c.terminal = nil
}

// input is the write end of a container's standard input.
type input struct {
	c  *container
	fd int
}

// inputSuffix makes the name of a standard input in the store, where it must be possible to take it out alone.
const inputSuffix = ".stdin"

func (i *input) event(k *Keeper, events uint32) {
	if events&unix.EPOLLERR != 0 { // nobody reads it any more
		i.close(k)
		return
	}
	k.feed(i.c)
}

// close ends what the container reads.
func (i *input) close(k *Keeper) {
	if i.c.input != i {
		return
	}
	i.c.input = nil
	k.closeWatched(i.fd)
	if err := k.Notify.Forget(i.c.name + inputSuffix); err != nil {
		k.warn("container %s: %v", i.c.record.Name, err)
	}
	k.feed(i.c)
}

// discard is the sink of what nobody wants to keep.
type discard struct{}

func (discard) write(lines []line, _ int) (int, error) { return len(lines), nil }

// withoutReturn takes the carriage return off that a terminal sets before each end of a line.
func withoutReturn(lines []line) {
	for i, l := range lines {
		if n := len(l.text); n > 0 && !l.partial && l.text[n-1] == '\r' {
			lines[i].text, lines[i].dropped = l.text[:n-1], 1
		}
	}
}
