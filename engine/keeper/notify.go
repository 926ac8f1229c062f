package keeper

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"
)

// Notifier speaks to the service manager (sd_notify(3)). An empty one speaks to nobody.
type Notifier struct {
	Socket string
}

// send sends one message with open files. The manager reads a message before it looks at the end of the process that sent
// it, so that what is in its socket counts, whatever becomes of us.
func (n Notifier) send(state string, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return n.message(state, rights, 0)
}

// sendAs sends one message in the name of another process: the manager takes it for one of that one's unit (sd_pid_notify(3)). Only
// root may.
func (n Notifier) sendAs(pid int, state string, flags int) error {
	return n.message(state, credentials(pid), flags)
}

func (n Notifier) message(state string, control []byte, flags int) error {
	if n.Socket == "" {
		return nil
	}
	name := n.Socket
	if name[0] == '@' {
		name = "\x00" + name[1:]
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendmsg(fd, []byte(state), control, &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL|flags); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

// manager speaks to the manager of a container's unit. It need not be the keeper's: root has one of its own, too (user@0.service).
func (k *Keeper) manager(r *Record) Notifier {
	return Notifier{Socket: cmp.Or(r.Notify, k.Notify.Socket)}
}

// Ready says that the start is over.
func (n Notifier) Ready() error { return n.send("READY=1") }

// Watchdog says that we live.
func (n Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// Store puts files into the manager's store. Without FDPOLL=0 it would drop a pipe whose writers have ended, with all that
// is still in it.
func (n Notifier) Store(name string, fds ...int) error {
	return n.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, fds...)
}

// Forget takes the files of that name out of the store.
func (n Notifier) Forget(name string) error { return n.send("FDSTOREREMOVE=1\nFDNAME=" + name) }
