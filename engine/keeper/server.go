package keeper

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What others send may have files with it, and the end of a file may take its time: that of a connection that lingers (socket(7),
// SO_LINGER), or of a file in a file system of theirs. Closing a connection closes the files in what has not been read of it, too.
// So all that is done beside the loop.

// door is a listening socket.
type door struct {
	fd     int
	guests bool
}

// doorTurn is how many are let in at once: others have their turn between them.
const doorTurn = 16

func (d door) event(k *Keeper, _ uint32) {
	var refused []int
	for range doorTurn {
		fd, _, err := unix.Accept4(d.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			break
		}
		p, ok := k.whose(fd, d.guests)
		if !ok || !k.admit(p) {
			refused = append(refused, fd)
			continue
		}
		c := &caller{fd: fd, peer: p}
		if err := k.watch(fd, c, unix.EPOLLIN); err != nil {
			c.close(k)
			continue
		}
		c.event(k, unix.EPOLLIN) // it has sent its request by now, more often than not
	}
	if len(refused) > 0 {
		d.refuse(k, refused)
	}
}

// refuse closes connections. Nobody is let in until that is done: there is no other bound for how many can be refused.
func (d door) refuse(k *Keeper, fds []int) {
	k.unwatch(d.fd)
	reopen := func() {
		if err := k.watch(d.fd, d, unix.EPOLLIN); err != nil {
			k.failed = fmt.Errorf("let others in again: %w", err)
		}
	}
	if k.bequeath(fds, reopen) != nil { // without a word, as they were refused
		k.letGo(fds, reopen)
	}
}

// bequeath closes files by the end of a process, for which nothing lingers (inet_release looks at PF_EXITING): who has sent them could
// make it last for days. An error says that they are open still.
func (k *Keeper) bequeath(files []int, then func()) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer closeAll(ends[:]) // for which the process waits: it is the last that has the files
	pid, pidfd, err := k.fork(errand{words: []string{k.Self, "--last"}, input: ends[0], files: files})
	if err != nil {
		return err
	}
	closeAll(files)
	if err := k.watch(pidfd, child{pid, pidfd, then}, unix.EPOLLIN); err != nil {
		k.failed = fmt.Errorf("wait for a process: %w", err)
	}
	return nil
}

// whose tells who connects: root or the user whose keeper this is, or at the other door a guest. The socket lies where nobody
// else gets to; what can be asked for is too much to rest on that alone: to type into a container is to be root in it.
func (k *Keeper) whose(fd int, guests bool) (p peer, ok bool) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		k.warn("who connects: %v", err)
		return p, false
	}
	p = peer{guest: guests, uid: cred.Uid, gid: cred.Gid, pid: int(cred.Pid)}
	if guests {
		return p, p.uid != 0
	}
	if p.uid != 0 && int(p.uid) != unix.Geteuid() {
		k.warn("process %d of user %d is not let in", p.pid, p.uid)
		return p, false
	}
	return p, true
}

// caller is a connection of an engine.
type caller struct {
	fd       int
	peer     peer
	attacher *attacher // what it has become
	pledge   pledge
	asked    *health // whose answer it waits for
	dropping int     // how much of it is being closed
}

func (c *caller) event(k *Keeper, events uint32) {
	if c.attacher != nil {
		c.attacher.event(k, events)
		return
	}
	if c.peer.guest && k.foreign >= maxForeign {
		c.close(k)
		return
	}
	data, files, err := receive(c.fd, k.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil || len(data) == 0:
		c.drop(k, files)
		c.close(k)
		return
	}
	answered, err := k.serve(c, data, files)
	switch {
	case err != nil:
		c.respond(k, response{Error: err.Error()})
	case !answered:
		c.respond(k, response{})
	}
}

func (c *caller) close(k *Keeper) {
	if c.fd >= 0 {
		fd := c.fd
		k.unwatch(fd)
		unix.Shutdown(fd, unix.SHUT_RDWR) // to close it may take its time; the other side knows of it now
		c.fd = -1
		c.drop(k, []int{fd})
		c.asked.drop(c)
		c.pledge.broken(k)
	}
}

// drop closes files that have come with what was sent, or the connection itself. As long as that takes nothing more is read of
// it, and it counts as one: each that is being closed costs a thread.
func (c *caller) drop(k *Keeper, files []int) {
	if len(files) == 0 {
		return
	}
	c.dropping++
	k.unwatch(c.fd)
	k.letGoOf(c.peer, files, func() {
		c.dropping--
		switch {
		case c.dropping > 0:
		case c.fd < 0:
			k.leave(c.peer)
		default:
			if err := k.watch(c.fd, c, unix.EPOLLIN); err != nil {
				c.close(k)
			}
		}
	})
}

func (c *caller) respond(k *Keeper, r response) {
	if c.fd < 0 {
		return // it has gone
	}
	answer, err := json.Marshal(r)
	if err == nil {
		_, err = unix.SendmsgN(c.fd, answer, nil, nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		c.close(k)
	}
}

// serve does what a message asks for, and reports whether it is answered already, or will be later.
func (k *Keeper) serve(c *caller, data []byte, files []int) (answered bool, err error) {
	var r request
	if err := json.Unmarshal(data, &r); err != nil {
		c.drop(k, files)
		return false, fmt.Errorf("request: %w", err)
	}
	if r.Keep != nil {
		err := k.keep(c, r.Keep, files)
		if r.Guard && (err == nil || !c.peer.guest) { // of the record as it was vetted
			err = errors.Join(err, c.owes(r.Keep.process()))
		}
		return false, err
	}
	if len(files) > 0 {
		c.drop(k, files)
		return false, errors.New("files with a request that takes none")
	}
	switch {
	case c.peer.guest && (r.Attach != nil || r.Ended != nil):
		return false, errors.New("users may not ask this keeper for that")
	case r.Join != nil:
		return false, k.join(c.peer, r.Join)
	case r.Probe != "":
		return true, k.ask(c, r.Probe, false)
	case r.Await != "":
		return true, k.ask(c, r.Await, true)
	case r.Attach != nil:
		return true, k.attach(c, r.Attach)
	case r.Pledge != nil:
		return true, k.guard(c, r.Pledge)
	case r.Started:
		return true, c.owes(Process{})
	case r.Ended != nil:
		k.ended(r.Ended)
		return false, nil
	}
	return false, errors.New("unknown request; is the keeper older than berth? restart it (systemctl restart berth-keeper)")
}

// receive reads one message and the files that come with it.
func receive(fd int, buf []byte) ([]byte, []int, error) {
	var rights [1040]byte // as many as one message can have (SCM_MAX_FD, unix(7))
	n, m, flags, _, err := unix.Recvmsg(fd, buf, rights[:], unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return nil, nil, err
	}
	var files []int
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			files = append(files, some...)
		}
	}
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("message too long")
	}
	return buf[:max(n, 0)], files, err
}
