package keeper

import "golang.org/x/sys/unix"

// An engine that has handed a container over may be killed before it has started the container's program. For systemd the
// service runs by then, and its main process, which the runtime has made, would wait for ever. So the keeper kills that one
// when the engine goes away without a word.

// pledge is what a caller owes: to say that the container of this process has been started.
type pledge struct {
	pid   int
	start uint64
}

// guard takes a pledge of one who has nothing to be kept. There is no answer: who does not read it closes the connection as one that is
// lost, also when it has kept its word.
func (k *Keeper) guard(c *caller, p *Process) error {
	if c.peer.guest {
		if _, alive, err := k.ofUnit(c.peer, p.PID, p.Start); err != nil || !alive {
			return err
		}
	}
	c.pledge = pledge{p.PID, p.Start}
	return nil
}

// broken kills the process, whose end systemd sees.
func (p pledge) broken(k *Keeper) {
	if p.pid <= 1 || p.start == 0 {
		return
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	if startTime(p.pid) != p.start { // the PID is another one's by now
		return
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err == nil {
		k.warn("process %d is killed: berth ended before it had started the container's program", p.pid)
	}
}
