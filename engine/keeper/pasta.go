package keeper

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A container on a pasta of its own, or of its pod, goes on when that one is killed, as for want of memory, but reaches nobody and
// cannot be reached. Nothing else sees that: the service manager looks at the main process only.

// pasta is the program that connects a container with the network.
type pasta struct{ c *container }

// watchPasta tells the container's journal when its pasta ends before it.
func (k *Keeper) watchPasta(c *container) {
	if c.record.Pasta == nil || c.pidfd < 0 {
		return
	}
	fd, err := c.record.Pasta.open()
	if err == nil {
		c.pasta = fd
		err = k.watch(fd, pasta{c}, unix.EPOLLIN)
	}
	switch {
	case errors.Is(err, errGone):
		k.tellCutOff(c)
	case err != nil:
		k.warn("container %s: its pasta is not watched: %v", c.record.Name, err)
	}
}

func (p pasta) event(k *Keeper, _ uint32) {
	k.leavePasta(p.c)
	if state, err := look(p.c.pidfd, unix.POLLIN, 0); err == nil && state == 0 { // else both were ended together
		k.tellCutOff(p.c)
	}
}

func (k *Keeper) leavePasta(c *container) {
	if c.pasta >= 0 {
		k.closeWatched(c.pasta)
		c.pasta = -1
	}
}

// tellCutOff says in the unit's journal that the container has no network any more.
func (k *Keeper) tellCutOff(c *container) {
	text := fmt.Sprintf("pasta (process %d), which connects the container with the network, has ended; a restart of the container, or of its pod, connects it again", c.record.Pasta.PID)
	if _, err := k.journalSink(c).write([]line{{text: []byte(text)}}, prioError); err != nil {
		k.warn("container %s: %s", c.record.Name, text)
	}
}
