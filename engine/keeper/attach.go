package keeper

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// attacher is somebody who is connected with a container.
type attacher struct {
	caller *caller
	id     string
	c      *container // nil before it has been started, and after its end
	unit   string
	silent bool

	typed   []byte // could not be handed to the container yet
	closes  bool   // its input ends after that
	waiting []byte // frames that its socket did not take, one after another
	since   time.Time
	credit  time.Duration // how long the container may still be made to wait for it
	earned  time.Time
	behind  bool   // the container waits for it no more
	lost    uint64 // bytes that it was not shown
	done    bool   // no more output
	parked  bool   // its socket is not watched
	closed  bool
	rows    uint16
	columns uint16
}

// maxCredit is how long a container may be kept waiting for one who does not read: long enough for a busy machine. It is
// earned again in ten times as long, so that nobody can slow a container down for good.
const maxCredit = 2 * time.Second

// maxAttached bounds those who are connected with one container.
const maxAttached = 64

// attach connects a caller with a container.
func (k *Keeper) attach(cl *caller, r *Attach) error {
	if r.Version > attachVersion {
		return fmt.Errorf("attach of version %d; this keeper knows up to %d: restart it (systemctl restart berth-keeper)", r.Version, attachVersion)
	}
	if !isID(r.ID) {
		return fmt.Errorf("%q is not the ID of a container", r.ID)
	}
	c := k.newest(r.ID, ours)
	if c == nil && !r.Wait {
		return fmt.Errorf("%s %.12s", unknownContainer, r.ID)
	}
	n := 0
	for a := range k.attached {
		if a.id == r.ID {
			n++
		}
	}
	if n >= maxAttached {
		return fmt.Errorf("container %.12s has %d connections already", r.ID, n)
	}
	a := &attacher{caller: cl, id: r.ID, silent: r.Silent, rows: r.Rows, columns: r.Columns, credit: maxCredit, earned: time.Now()}
	cl.attacher = a
	k.attached[a] = true
	cl.respond(k, response{})
	if c != nil {
		k.bind(c, a)
	}
	return nil
}

const unknownContainer = "the keeper does not read the output of container"

// bind makes one who waited for the container one of its own.
func (k *Keeper) bind(c *container, a *attacher) {
	a.c, a.unit = c, c.record.Unit
	c.attached = append(c.attached, a)
	if a.rows > 0 {
		c.resize(a.rows, a.columns)
	}
	k.sendTo(a, jsonFrame(frameBegun, Begun{Terminal: c.terminal != nil, Input: c.terminal != nil || c.input != nil}))
}

// bindWaiting binds those who have waited for a container.
func (k *Keeper) bindWaiting(c *container) {
	for a := range k.attached {
		if a.id == c.record.ID && c.record.owner() == ours && a.c == nil && !a.done {
			k.bind(c, a)
		}
	}
}

// show sends what a stream has got to those who are attached.
func (k *Keeper) show(s *stream, data []byte) {
	if len(data) <= s.shown {
		return
	}
	text := data[s.shown:]
	s.shown = len(data)
	kind := byte(frameStdout)
	if s.standard == prioError {
		kind = frameStderr
	}
	for _, a := range slices.Clone(s.c.attached) {
		if a.silent {
			continue
		}
		for part := range slices.Chunk(text, maxFrame) {
			k.showTo(a, kind, part)
		}
	}
}

func (k *Keeper) showTo(a *attacher, kind byte, text []byte) {
	switch {
	case a.closed:
	case a.behind:
		a.lost += uint64(len(text))
	case len(a.waiting) > 0:
		a.waiting = appendFrame(a.waiting, append([]byte{kind}, text...))
	default:
		k.sendTo(a, append([]byte{kind}, text...))
	}
}

// appendFrame writes a frame with its length before it.
func appendFrame(list, f []byte) []byte {
	return append(append(list, byte(len(f)>>8), byte(len(f))), f...)
}

// sendTo sends a frame, or keeps it until the socket takes it.
func (k *Keeper) sendTo(a *attacher, f []byte) {
	if a.closed {
		return
	}
	if len(a.waiting) > 0 {
		a.waiting = appendFrame(a.waiting, f)
		return
	}
	_, err := unix.SendmsgN(a.caller.fd, f, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		a.waiting = appendFrame(a.waiting, f)
		a.since = time.Now()
		k.slow[a] = true
		k.rearm(a)
	case err != nil:
		a.close(k)
	}
}

// rearm tells epoll what is wanted of the attacher's socket: to read from it as long as the container takes what is typed, to
// write to it when something waits.
func (k *Keeper) rearm(a *attacher) {
	events := uint32(0)
	if len(a.typed) == 0 && !a.closes {
		events |= unix.EPOLLIN
	}
	if len(a.waiting) > 0 || a.behind {
		events |= unix.EPOLLOUT
	}
	how := unix.EPOLL_CTL_MOD
	if a.parked {
		how, a.parked = unix.EPOLL_CTL_ADD, false
	}
	unix.EpollCtl(k.epoll, how, a.caller.fd, &unix.EpollEvent{Events: events, Fd: int32(a.caller.fd)})
}

// event: the attacher's socket can be read or written, or is closed.
func (a *attacher) event(k *Keeper, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		k.flush(a)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	for range turn {
		switch {
		case a.closed:
			return
		case len(a.typed) == 0 && !a.closes:
		case events&unix.EPOLLHUP == 0:
			return
		case a.c == nil:
			a.close(k)
			return
		default: // it has gone; what it has typed is still to be read, and the hang-up would be told for ever
			unix.EpollCtl(k.epoll, unix.EPOLL_CTL_DEL, a.caller.fd, nil)
			a.parked = true
			return
		}
		data, files, err := receive(a.caller.fd, k.buf)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return
		case err != nil || len(data) == 0 || len(files) > 0:
			a.caller.drop(k, files)
			a.close(k)
			return
		}
		f, err := parseFrame(data)
		if err != nil {
			k.warn("container %.12s: %v", a.id, err)
			a.close(k)
			return
		}
		k.take(a, f)
	}
}

// take does what an attached one asks for.
func (k *Keeper) take(a *attacher, f frame) {
	switch f.kind {
	case frameInput:
		a.typed = append(a.typed, f.data...)
		k.feedFrom(a)
	case frameClose:
		a.closes = true
		k.feedFrom(a)
	case frameSize:
		a.rows, a.columns = f.rows, f.columns
		if a.c != nil {
			a.c.resize(f.rows, f.columns)
		}
	}
}

// resize gives a container's terminal the size of somebody's screen.
func (c *container) resize(rows, columns uint16) {
	if c.terminal != nil {
		unix.IoctlSetWinsize(c.terminal.master, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
}

// feed hands what has been typed to a container that can take more.
func (k *Keeper) feed(c *container) {
	for _, a := range slices.Clone(c.attached) {
		if len(a.typed) > 0 || a.closes {
			k.feedFrom(a)
		}
	}
}

func (k *Keeper) feedFrom(a *attacher) {
	c := a.c
	if c == nil && !a.done {
		k.rearm(a) // it has not been started yet
		return
	}
	for c != nil && len(a.typed) > 0 {
		fd := -1
		switch {
		case c.terminal != nil:
			fd = c.terminal.master
		case c.input != nil:
			fd = c.input.fd
		}
		n, err := unix.Write(fd, a.typed)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || err == nil && n == 0 {
			k.rearm(a)
			k.hungry[a] = true
			return
		}
		if err != nil { // there is nobody to read it
			break
		}
		a.typed = a.typed[n:]
	}
	delete(k.hungry, a)
	a.typed = nil
	if a.closes {
		a.closes = false
		if c != nil && c.input != nil {
			c.input.close(k)
		}
	}
	k.rearm(a)
}

// flush sends what has waited.
func (k *Keeper) flush(a *attacher) {
	for len(a.waiting) > 0 {
		n := int(a.waiting[0])<<8 | int(a.waiting[1])
		_, err := unix.SendmsgN(a.caller.fd, a.waiting[2:2+n], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			a.close(k)
			return
		}
		a.waiting = a.waiting[2+n:]
	}
	a.waiting = nil
	if k.slow[a] {
		delete(k.slow, a)
		a.spend(time.Now())
	}
	if a.behind {
		a.behind = false
		lost := a.lost
		a.lost = 0
		if lost > 0 {
			k.sendTo(a, lostFrame(lost))
		}
	}
	k.rearm(a)
	k.resume(a)
}

// spend takes the time that the container has waited from the credit, after what was earned since.
func (a *attacher) spend(now time.Time) {
	a.credit = min(a.credit+a.since.Sub(a.earned)/10, maxCredit) - now.Sub(a.since)
	a.earned = now
}

// left is how long the container still waits for one who does not read.
func (a *attacher) left(now time.Time) time.Duration {
	return min(a.credit+a.since.Sub(a.earned)/10, maxCredit) - now.Sub(a.since)
}

// resume reads a container's output again.
func (k *Keeper) resume(a *attacher) {
	if a.c != nil {
		for _, s := range a.c.streams {
			k.queue(s)
		}
	}
}

// waits tells whether a container's output is to be left alone for a moment, until all have read what was there.
func (c *container) waits() bool {
	return slices.ContainsFunc(c.attached, func(a *attacher) bool { return len(a.waiting) > 0 && !a.behind })
}

// attachPause is the time in milliseconds until somebody's credit is used up, or typed text is tried again; -1 for never.
func (k *Keeper) attachPause() int {
	pause := -1
	now := time.Now()
	for a := range k.slow {
		if !a.behind {
			left := int(max(a.left(now), 0)/time.Millisecond) + 1
			if pause < 0 || left < pause {
				pause = left
			}
		}
	}
	if len(k.hungry) > 0 && (pause < 0 || pause > hungryMS) {
		pause = hungryMS
	}
	return pause
}

// hungryMS is how often typed text is tried again that a container did not take, in milliseconds.
const hungryMS = 100

// lookAtAttached lets the containers go on whose output somebody has not read in time.
func (k *Keeper) lookAtAttached() {
	now := time.Now()
	for a := range k.slow {
		if !a.behind && a.left(now) <= 0 {
			a.spend(now)
			a.behind = true
			// The first frame stays: the socket may take it soon, and then tells that it can be written to.
			k.resume(a)
		}
	}
	for a := range k.hungry {
		k.feedFrom(a)
	}
}

// finish tells those who are attached that a container's output has ended. They stay until they know how it ended itself.
func (k *Keeper) finish(c *container) {
	for _, a := range c.attached {
		a.c, a.done = nil, true
		a.typed, a.closes = nil, false
		delete(k.hungry, a)
		k.sendTo(a, []byte{frameFinished})
		if c.ended != nil {
			k.sendTo(a, jsonFrame(frameEnded, c.ended))
		}
		if !a.closed {
			k.rearm(a)
		}
	}
	c.attached = nil
}

// maxReason bounds what is told about a start that failed, in bytes.
const maxReason = 2048

// ended notes how a container has ended, for those who are attached.
func (k *Keeper) ended(e *Ended) {
	if len(e.Error) > maxReason {
		e.Error = e.Error[:maxReason]
	}
	for _, c := range k.containers {
		if !e.of(c.record.ID, c.record.Unit) {
			continue
		}
		// An earlier run has been told how it ended.
		if c.ended == nil || k.newest(c.record.ID, c.record.owner()) == c {
			c.ended = e
		}
	}
	for a := range k.attached {
		if a.c == nil && e.of(a.id, a.unit) {
			k.sendTo(a, jsonFrame(frameEnded, e))
		}
	}
}

func (e *Ended) of(id, unit string) bool {
	return e.ID != "" && e.ID == id || e.Unit != "" && e.Unit == unit
}

// close lets go of an attached one.
func (a *attacher) close(k *Keeper) {
	if a.closed {
		return
	}
	a.closed = true
	delete(k.attached, a)
	delete(k.slow, a)
	delete(k.hungry, a)
	c := a.c
	if c != nil {
		c.attached = slices.DeleteFunc(c.attached, func(o *attacher) bool { return o == a })
	}
	a.caller.close(k)
	k.resume(a)
}
