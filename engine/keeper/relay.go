package keeper

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// relay is the socket to which a container of root's tells its state (sd_notify(3)). What comes from root may name any process of
// the machine as the service's main one (MAINPID=), and have that killed; so such a container is not given the manager's own socket.
// What speaks of nothing but the service is handed on in the name of the container's PID 1.
type relay struct {
	c       *container
	fd      int
	pidfd   int // of PID 1, one of its own
	manager Notifier
	since   time.Time // when the count began
	count   int
	until   time.Time // it is not looked at before
	away    bool      // files that came with a message are being closed
	warned  bool      // that the manager cannot be told
}

// relays is a loop beside the keeper's, which a pipe may hold up (see guest.go): a service of which its manager hears nothing in time
// is taken for dead (WatchdogSec=).
type relays struct {
	epoll   int
	warn    func(string, ...any)
	mu      sync.Mutex       // of all below, and of each relay
	list    map[int32]*relay // by their sockets
	resting map[*relay]bool  // whose messages are left where they are for a while
	buf     [relaySize + 1]byte
}

const (
	// relayLimit is how many messages of a container are handed on in each relayWindow. Who sends more waits: all of the
	// machine's services speak to the manager by one socket.
	relayLimit  = 100
	relayWindow = time.Second
	// relayPause is when a manager that takes no message is tried again: it may be reloading.
	relayPause = 100 * time.Millisecond
	// relaySize is how long a message may be: the manager's own bound (PIPE_BUF).
	relaySize = 4096
)

// passing are the errors that go by: the manager takes nothing, or there is no file or memory for it just now.
var passing = []error{unix.EAGAIN, unix.ENOBUFS, unix.EMFILE, unix.ENFILE, unix.ENOMEM}

// newRelays makes the loop.
func newRelays(warn func(string, ...any)) (*relays, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &relays{epoll: epoll, warn: warn, list: map[int32]*relay{}, resting: map[*relay]bool{}}, err
}

// run works for ever.
func (l *relays) run() {
	for {
		if err := l.step(-1); err != nil {
			panic(err) // the manager starts another keeper
		}
	}
}

// step waits for messages, at most so many milliseconds, and hands them on.
func (l *relays) step(timeout int) error {
	if pause := l.pause(); pause >= 0 && (timeout < 0 || pause < timeout) {
		timeout = pause
	}
	var events [16]unix.EpollEvent
	n, err := unix.EpollWait(l.epoll, events[:], timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for notifications: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events[:max(n, 0)] {
		if r := l.list[e.Fd]; r != nil {
			l.event(r)
		}
	}
	now := time.Now()
	for r := range l.resting {
		if !now.Before(r.until) {
			delete(l.resting, r)
			l.listen(r)
		}
	}
	return nil
}

// pause is the time in milliseconds until one that rests is to be looked at again; -1 when none does.
func (l *relays) pause() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	pause := -1
	for r := range l.resting {
		left := int(max(time.Until(r.until), 0)/time.Millisecond) + 1
		if pause < 0 || left < pause {
			pause = left
		}
	}
	return pause
}

// add begins to listen to a container, whose PID 1 that is.
func (l *relays) add(r *relay, manager Notifier, pidfd int) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.pidfd, err = unix.FcntlInt(uintptr(pidfd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	r.manager = manager
	l.list[int32(r.fd)] = r
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, r.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.fd)})
}

// event hands one message on. It is taken out of the socket after that: a kill may make it be handed on twice, but none is lost as
// long as there is a manager.
func (l *relays) event(r *relay) {
	now := time.Now()
	if now.Sub(r.since) >= relayWindow {
		r.since, r.count = now, 0
	}
	if r.count++; r.count > relayLimit {
		l.rest(r, r.since.Add(relayWindow))
		return
	}
	n, _, err := unix.Recvfrom(r.fd, l.buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return
	}
	if state := ofService(string(l.buf[:n])); state != "" {
		err := r.send(state)
		switch {
		case slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }):
			l.rest(r, now.Add(relayPause))
			return
		case err != nil && !errors.Is(err, unix.ESRCH) && !r.warned:
			r.warned = true
			l.warn("container %s: what it says of itself is lost: %v", r.c.record.Name, err)
		}
	}
	if _, files, _ := receive(r.fd, l.buf[:]); len(files) > 0 {
		l.drop(r, files)
	}
}

// send says it in the name of PID 1, if that is there: its number may be another one's later, and the keeper's loop may be behind.
func (r *relay) send(state string) error {
	ended, err := look(r.pidfd, unix.POLLIN, 0)
	if err != nil || ended != 0 {
		return err
	}
	return r.manager.sendAs(r.c.record.PID, state, unix.MSG_DONTWAIT)
}

// drop closes files that the container has sent, as sd_notify_barrier(3) does. The end of one may take its time (socket(7),
// SO_LINGER): meanwhile nothing more is taken of this container.
func (l *relays) drop(r *relay, files []int) {
	r.away = true
	l.listen(r)
	go func() {
		closeAll(files)
		l.mu.Lock()
		defer l.mu.Unlock()
		r.away = false
		l.listen(r)
	}()
}

// rest leaves a container's messages where they are for a while.
func (l *relays) rest(r *relay, until time.Time) {
	r.until = until
	l.resting[r] = true
	l.listen(r)
}

// listen lets the kernel tell of messages, or not.
func (l *relays) listen(r *relay) {
	if r.fd < 0 {
		return
	}
	var events uint32
	if !r.away && !l.resting[r] {
		events = unix.EPOLLIN
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, r.fd, &unix.EpollEvent{Events: events, Fd: int32(r.fd)}); err != nil {
		l.warn("container %s: %v", r.c.record.Name, err)
	}
}

// close ends it, with the container's PID 1: in whose name would it speak?
func (l *relays) close(r *relay) {
	if r == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, r.fd, nil)
	delete(l.list, int32(r.fd))
	delete(l.resting, r)
	files := []int{r.fd, r.pidfd}
	r.fd, r.pidfd, r.c.relay = -1, -1, nil
	go closeAll(files) // with what has not been read, which may take its time
}

// ofService is what of a notification speaks of nothing but the service whose process has sent it, "" if nothing does.
func ofService(text string) string {
	if len(text) > relaySize {
		return ""
	}
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, value, ok := strings.Cut(line, "="); ok && harmlessField(name, value) {
			list = append(list, line)
		}
	}
	return strings.Join(list, "\n")
}

func harmlessField(name, value string) bool {
	switch name {
	case "READY", "RELOADING", "STOPPING":
		return value == "1"
	case "WATCHDOG":
		return value == "1" || value == "trigger"
	case "EXTEND_TIMEOUT_USEC", "MONOTONIC_USEC", "WATCHDOG_USEC", "ERRNO":
		_, err := strconv.ParseUint(value, 10, 64)
		return err == nil
	case "STATUS": // which is shown on terminals
		return utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
	}
	return false
}
