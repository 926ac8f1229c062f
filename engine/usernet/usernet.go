// Package usernet is the network that the bridges of one user are in: a network namespace of the user's own, which a small
// program holds, which pasta connects to the host, and whose published ports that program forwards. The program runs as a
// unit of the user's manager, and so do pasta and the name server: no container's control group has a process of them.
package usernet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
)

// The units, in the order in which they start.
const (
	HolderUnit = "berth-net.service"
	PastaUnit  = "berth-pasta.service"
)

// DNS is the address at which pasta answers queries for the host's resolver.
const DNS = "169.254.1.1"

// Host is the address at which containers find the host: what listens on all of its addresses, or on the one that it has in common
// with the container, and nothing of the loopback device. It is the one that Podman takes.
const Host = "169.254.1.2"

// MapHost is pasta's word for it, which those older than the summer of 2024 do not know.
const MapHost = "--map-guest-addr"

// Net is a user's network, by the directory that its files lie in.
type Net struct {
	Dir string
}

// ErrNone says that the network is not there.
var ErrNone = errors.New("the user's network is not there: `systemctl --user start " + PastaUnit + "` makes it")

// ErrReturns says that the network is there, and the program that holds it is being started again.
var ErrReturns = errors.New("what holds the user's network has ended and is not there again yet; try again, and see `systemctl --user status " + HolderUnit + "`")

// holder is what the program tells of itself: DIR/holder.json.
type holder struct {
	Version int     `json:"version"`
	Process proc.ID `json:"process"`
	NetFD   int     `json:"netFD"` // its handle on the network namespace
	Inode   uint64  `json:"inode"` // of the namespace, which no other has as long as it is there
	ID      string  `json:"id"`    // of the namespace, which no other has ever
	Manager proc.ID `json:"manager,omitzero"`
}

const holderVersion = 1

func (n Net) file(name string) string { return filepath.Join(n.Dir, name) }

// PastaPID is the file with pasta's PID.
func (n Net) PastaPID() string { return n.file("pasta.pid") }

// State is netavark's directory.
func (n Net) State() string { return n.file("netavark") }

// load reads what a program that is there has told.
func (n Net) load() (holder, error) {
	h, err := n.told()
	if err == nil && !h.Process.Running() {
		return h, ErrNone
	}
	return h, err
}

// told is what a program has told of itself, whether or not it is there.
func (n Net) told() (holder, error) {
	var h holder
	data, err := os.ReadFile(n.file("holder.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return h, ErrNone
	}
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("%s is damaged: %w; `systemctl --user restart %s` writes it anew", n.file("holder.json"), err, HolderUnit)
	}
	if h.Version > holderVersion {
		return h, fmt.Errorf("%s has version %d, this berth knows up to %d", n.file("holder.json"), h.Version, holderVersion)
	}
	return h, nil
}

func (n Net) save(h holder) error {
	h.Version = holderVersion
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return atomicfile.Write(n.file("holder.json"), append(data, '\n'), 0o600)
}

// Holder is the process that holds the network; ErrNone when there is none.
func (n Net) Holder() (proc.ID, error) {
	h, err := n.load()
	return h.Process, err
}

// Ready reports whether the network is there and pasta was started for it.
func (n Net) Ready() bool {
	_, err := n.load()
	_, pasta := os.Stat(n.PastaPID())
	return err == nil && pasta == nil
}

// returnPatience is how long a program may take that the manager starts again.
const returnPatience = 2 * time.Second

// ID tells one network namespace of this boot from all others; ErrNone when there is none. A program that has ended is waited for, as long as
// its manager is there, and not longer than it should take (ErrReturns): the next one goes on in the same namespace, unless the manager takes
// the files away.
func (n Net) ID(ctx context.Context) (id string, err error) {
	err = n.awaiting(ctx, func(h holder) error {
		id = h.ID
		return h.Process.Check()
	})
	return id, err
}

// awaiting calls f with what a program has told of itself, and again when that says that the program has ended (proc.ErrGone).
func (n Net) awaiting(ctx context.Context, f func(holder) error) error {
	over := time.After(returnPatience)
	for {
		h, err := n.told()
		if err != nil {
			return err
		}
		if err = f(h); !errors.Is(err, proc.ErrGone) {
			return err
		}
		if h.Manager != (proc.ID{}) && !h.Manager.Running() { // the namespace was in its store
			return ErrNone
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return fmt.Errorf("%w (%w)", ErrReturns, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Do calls f in a thread that is in the network namespace. The caller must be root of the user namespace that it is of. A program that has ended
// is waited for, as by ID.
func (n Net) Do(ctx context.Context, f func() error) error {
	var ns *os.File
	err := n.awaiting(ctx, func(h holder) (err error) {
		ns, err = h.open()
		return err
	})
	if err != nil {
		return fmt.Errorf("the user's network: %w", err)
	}
	defer ns.Close()
	return within(ns, f)
}

// open opens the network namespace; proc.ErrGone says that the program has ended.
func (h holder) open() (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", h.Process.PID, h.NetFD))
	if err == nil {
		var st unix.Stat_t
		if err = unix.Fstat(int(ns.Fd()), &st); err == nil && st.Ino == h.Inode {
			return ns, nil
		}
		ns.Close()
	}
	if gone := h.Process.Check(); gone != nil { // the number may be another process's by now
		return nil, gone
	}
	return nil, errors.Join(err, ErrNone)
}

// within calls f in a thread of the network namespace.
func within(ns *os.File, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the user's network: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
