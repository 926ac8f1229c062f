package keeper

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// relay is the socket to which a container of root's tells its state (sd_notify(3)). What comes from root may name any process of
// the machine as the service's main one (MAINPID=), and have that killed; so such a container is not given the manager's own socket.
// What speaks of nothing but the service is handed on in the name of the container's PID 1.
type relay struct {
	c     *container
	fd    int
	since time.Time // when the count began
	count int
	until time.Time // it is not looked at before
	away  bool      // files that came with a message are being closed

	warned bool // that the manager cannot be told
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

// event hands one message on. It is taken out of the socket after that: a kill may make it be handed on twice, but none is lost as
// long as there is a manager.
func (r *relay) event(k *Keeper, _ uint32) {
	now := time.Now()
	if now.Sub(r.since) >= relayWindow {
		r.since, r.count = now, 0
	}
	if r.count++; r.count > relayLimit {
		k.rest(r, r.since.Add(relayWindow))
		return
	}
	n, _, err := unix.Recvfrom(r.fd, k.buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return
	}
	if state := ofService(string(k.buf[:n])); state != "" && r.c.pidfd >= 0 {
		err := k.manager(r.c.record).sendAs(r.c.record.PID, state, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
			k.rest(r, now.Add(relayPause))
			return
		case err != nil && !errors.Is(err, unix.ESRCH) && !r.warned:
			r.warned = true
			k.warn("container %s: what it says of itself is lost: %v", r.c.record.Name, err)
		}
	}
	if _, files, _ := receive(r.fd, k.buf); len(files) > 0 {
		k.discard(r, files)
	}
}

// discard closes files that the container has sent, as sd_notify_barrier(3) does. The end of one may take its time (socket(7),
// SO_LINGER): meanwhile nothing more is taken of this container.
func (k *Keeper) discard(r *relay, files []int) {
	r.away = true
	k.listen(r)
	k.letGo(files, func() {
		r.away = false
		k.listen(r)
	})
}

// rest leaves a container's messages where they are for a while.
func (k *Keeper) rest(r *relay, until time.Time) {
	r.until = until
	k.resting[r] = true
	k.listen(r)
}

// restPause is the time in milliseconds until one that rests is to be looked at again; -1 when none does.
func (k *Keeper) restPause() int {
	pause := -1
	for r := range k.resting {
		left := int(max(time.Until(r.until), 0)/time.Millisecond) + 1
		if pause < 0 || left < pause {
			pause = left
		}
	}
	return pause
}

func (k *Keeper) lookAtResting() {
	now := time.Now()
	for r := range k.resting {
		if !now.Before(r.until) {
			delete(k.resting, r)
			k.listen(r)
		}
	}
}

// listen lets the kernel tell of messages, or not.
func (k *Keeper) listen(r *relay) {
	if r.fd < 0 {
		return
	}
	var events uint32
	if !r.away && !k.resting[r] {
		events = unix.EPOLLIN
	}
	if err := unix.EpollCtl(k.epoll, unix.EPOLL_CTL_MOD, r.fd, &unix.EpollEvent{Events: events, Fd: int32(r.fd)}); err != nil {
		k.warn("container %s: %v", r.c.record.Name, err)
	}
}

// close ends it, with the container's PID 1: in whose name would it speak?
func (r *relay) close(k *Keeper) {
	if r == nil {
		return
	}
	delete(k.resting, r)
	k.unwatch(r.fd)
	k.letGo([]int{r.fd}, func() {})
	r.fd, r.c.relay = -1, nil
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
