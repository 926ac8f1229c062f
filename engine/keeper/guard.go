package keeper

import (
	"errors"

	"golang.org/x/sys/unix"
)

// An engine that has handed a container over may be killed before it has started the container's program. For systemd the
// service runs by then, and its main process, which the runtime has made, would wait for ever. So the keeper kills that one
// when the engine goes away without a word.

// pledge is what a caller owes: to say that the container of this process has been started.
type pledge struct {
	process Process
	pidfd   int // when there is a process
}

// guard takes a pledge of one who has nothing to be kept. There is no answer: who does not read it closes the connection as one that is
// lost, also when it has kept its word.
func (k *Keeper) guard(c *caller, p *Process) error {
	if c.peer.guest {
		if _, alive, err := k.ofUnit(c.peer, *p); err != nil || !alive {
			return err
		}
	}
	return c.owes(*p)
}

// owes takes a pledge. The process is held from now on: there may be no file descriptor left when it has to be killed.
func (c *caller) owes(p Process) error {
	c.pledge.kept()
	c.pledge = pledge{}
	if p.PID <= 1 || p.Start == 0 {
		return nil
	}
	fd, err := p.open()
	if errors.Is(err, errGone) {
		return nil
	}
	if err == nil {
		c.pledge = pledge{p, fd}
	}
	return err
}

// kept lets go of the process.
func (p pledge) kept() {
	if p.process.PID > 0 {
		unix.Close(p.pidfd)
	}
}

// broken kills the process, whose end systemd sees.
func (p pledge) broken(k *Keeper) {
	if p.process.PID == 0 {
		return
	}
	if err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0); err == nil {
		k.warn("process %d is killed: berth ended before it had started the container's program", p.process.PID)
	}
	p.kept()
}
