package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// A container that is not removed when it ends has a record beside its writable layer: ID/userdata/berth.json among the
// store's containers. It outlives a reboot, and goes with the layer, whoever removes that. It is the state without what
// belongs to one boot.

// Lasting reports whether the container outlives its end.
func (s State) Lasting() bool { return !s.Container.Remove && Outlives(s.Container) && s.ImageID != "" }

// Outlives reports whether a container of this kind can outlive its end.
func Outlives(c spec.Container) bool {
	u, err := spec.ParseUserNS(c)
	return !c.Rootfs && err == nil && !u.Own()
}

// RecordFile is where the record lies in the container's directory.
const RecordFile = "userdata/berth.json"

func (d Dirs) record(id string) string { return filepath.Join(d.Keep, id, RecordFile) }

// keepNew is keep for a container whose layer has just been made.
func (d Dirs) keepNew(s State) error {
	if d.Keep == "" || !s.Lasting() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.record(s.ID)), 0o700); err != nil {
		return err
	}
	return d.keep(s)
}

// keep writes the container's record. A container whose layer was not made, or has gone, has none.
func (d Dirs) keep(s State) error {
	if d.Keep == "" || !s.Lasting() {
		return nil
	}
	s.Version = stateVersion
	s.Init, s.Cgroup, s.Networked, s.Addresses, s.Attached, s.Renamed = proc.ID{}, "", false, nil, nil, false
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = atomicfile.Write(d.record(s.ID), append(data, '\n'), 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forget removes the directory of a container whose layer has gone: the store leaves it when it does not know the container.
func (d Dirs) forget(id string) error {
	if d.Keep == "" {
		return nil
	}
	if err := checkID(id); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(d.Keep, id))
}

// hasRecord reports whether the container's layer was made as a whole, and is there.
func (d Dirs) hasRecord(id string) (bool, error) {
	_, err := os.Lstat(d.record(id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// kept reads a record; ErrNoContainer when there is none.
func (d Dirs) kept(id string) (State, error) {
	var s State
	err := d.loadKept(&s, id)
	if errors.Is(err, ErrDamaged) {
		s.ID = id
	}
	return s, err
}

func (d Dirs) loadKept(s *State, id string) error { return d.loadKeptWith(s, id, "") }

// loadKeptWith is loadKept that makes nothing of a record in which a name does not stand: where there are many, that takes most of the time.
// A name is in JSON as it is.
func (d Dirs) loadKeptWith(s *State, id, name string) error {
	data, err := atomicfile.Read(d.record(id))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Contains(data, []byte(name)) {
		return fmt.Errorf("%w: %q", ErrNoContainer, id)
	}
	if err != nil {
		return err
	}
	err = s.decode(id, d.record(id), data, fmt.Sprintf("; `berth rm %s` removes the container", id[:min(12, len(id))]))
	s.atRest = err == nil
	return err
}

// lockKept lets one at a time start a container that is kept, put it away, change it, or use its files while it does not run: two
// mounts of a layer that both write would each not see what the other one does (overlayfs, "Sharing and copying layers"). Who
// makes the container has had no layer to lock yet; its end is waited for.
func (d Dirs) lockKept(id string) (*os.File, error) {
	lock, err := atomicfile.LockDir(filepath.Dir(d.record(id)))
	if err != nil {
		return nil, err
	}
	maker, err := atomicfile.LockDir(d.Container(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, lock.Close())
	}
	maker.Close() // nil is no error
	return lock, nil
}

// wholeID is how many digits an ID has.
const wholeID = 64

// findKept looks for a record by name, ID, or the beginning of an ID that has enough digits, as those of this boot in here have. Of one that
// is damaged it gives the ID, and the name that the store has for it.
func (d Dirs) findKept(nameOrID string, digits int, here []string) (State, error) {
	ids, err := idsIn(d.Keep)
	if err != nil {
		return State{}, err
	}
	list, _ := loadAll(ids, func(s *State, id string) error { return d.loadKeptWith(s, id, nameOrID) })
	for _, s := range list {
		if s.Name == nameOrID {
			return s, nil
		}
	}
	if id := d.inStore(nameOrID); id != "" {
		if s, err := d.kept(id); err != nil {
			s.Name = nameOrID
			return s, err
		}
	}
	found := here
	for _, id := range beginning(ids, nameOrID, digits) {
		if is, _ := d.hasRecord(id); is && !slices.Contains(here, id) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return State{}, fmt.Errorf("%w: %q", ErrNoContainer, nameOrID)
	case 1:
		if len(here) == 1 {
			return d.loadNamed(found[0], "")
		}
		return d.kept(found[0])
	}
	return State{}, fmt.Errorf("%q is the beginning of %d container IDs; give more digits", nameOrID, len(found))
}

// inStore is the ID of the container that the store has under this name, of those with a record; "" when it does not tell.
func (d Dirs) inStore(name string) string {
	var list []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
	}
	data, err := atomicfile.Read(filepath.Join(d.Keep, "containers.json"))
	if err != nil || !bytes.Contains(data, []byte(name)) || json.Unmarshal(data, &list) != nil {
		return ""
	}
	for _, c := range list {
		if is, err := d.hasRecord(c.ID); err == nil && is && slices.Contains(c.Names, name) {
			return c.ID
		}
	}
	return ""
}

// All returns the containers of this boot and those that are kept from before, oldest first, but for those that cannot be read.
func (d Dirs) All() ([]State, error) {
	list, _, err := d.Listed(true)
	return list, err
}

// AllSurely is All, with an error when a container cannot be read: that one may have what the caller looks for.
func (d Dirs) AllSurely() ([]State, error) {
	list, unread, err := d.Listed(true)
	return list, errors.Join(err, unread)
}

// Unread are the IDs of the containers of which something cannot be read.
func (d Dirs) Unread() ([]string, error) {
	ids, err := d.ids()
	kept, keptErr := idsIn(d.Keep)
	ids = append(ids, kept...)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool {
		_, err := d.loadNamed(id, "")
		return err == nil
	}), errors.Join(err, keptErr)
}

// Update changes what this boot knows of a container; ErrNoContainer when it is not there. change gets it as it is now, and nobody else
// writes it meanwhile: a start is waited for.
func (d Dirs) Update(id string, change func(*State) error) error {
	return d.locked(id, func() error {
		s, err := d.Load(id)
		if err == nil {
			err = change(&s)
		}
		if err != nil {
			return err
		}
		return d.save(s)
	})
}

// Change is Update for what outlives the boot: it is written into the record of a container that is kept, too.
//
//go:noinline // each caller would have what is inside once more: 2 KB less
func (d Dirs) Change(id string, change func(*State) error) error {
	return d.locked(id, func() error {
		s, err := d.Load(id)
		if errors.Is(err, ErrNoContainer) {
			s, err = d.kept(id)
		}
		if err == nil {
			err = change(&s)
		}
		if err == nil && !s.atRest {
			err = d.save(s)
		}
		if err != nil || !s.Lasting() {
			return err
		}
		return d.keep(s)
	})
}

// locked calls f when nobody else starts, changes or puts the container away.
func (d Dirs) locked(id string, f func() error) error {
	lock, err := d.lockAny(id)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNoContainer, id)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// lockAny is lockKept for a container that may have no layer of its own. One without a state may be about to be made, and then who makes
// it holds the lock on the names, which is waited for: see reserve.
func (d Dirs) lockAny(id string) (*os.File, error) {
	lock, err := d.lockWhatIs(id)
	if err == nil {
		if _, err = os.Lstat(d.stateFile(id)); err == nil {
			return lock, nil
		}
	}
	lock.Close() // nil is no error; its maker may be waiting for it
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names, err := atomicfile.LockDir(d.names())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names.Close()
	return d.lockWhatIs(id)
}

// lockWhatIs locks the record, or the state of a container without one. Its maker may have made the record while it was waited for.
func (d Dirs) lockWhatIs(id string) (*os.File, error) {
	for {
		lock, err := d.lockKept(id)
		if !errors.Is(err, fs.ErrNotExist) {
			return lock, err
		}
		lock, err = atomicfile.LockDir(d.Container(id))
		if _, missing := os.Lstat(filepath.Dir(d.record(id))); missing != nil {
			return lock, err
		}
		lock.Close() // nil is no error
	}
}

// lock is lockAny for who may not have to wait to the end, and is told of it: a container that is being made may wait for its image.
func (d Dirs) lock(ctx context.Context, id string, warn io.Writer) (*os.File, error) {
	type result struct {
		lock *os.File
		err  error
	}
	locked := make(chan result)
	go func() {
		lock, err := d.lockAny(id)
		select {
		case locked <- result{lock, err}:
		case <-ctx.Done(): // nobody waits any more
			lock.Close()
		}
	}()
	long := time.After(2 * time.Second)
	for {
		select {
		case r := <-locked:
			return r.lock, r.err
		case <-long:
			fmt.Fprintf(warn, "container %s is being made or started: waiting for that\n", id[:12])
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for who makes or starts container %s: %w", id[:12], ctx.Err())
		}
	}
}

// Await waits for who makes, starts or changes a container, and returns the container as it is then. When that takes long it says so.
func (d Dirs) Await(ctx context.Context, id string, warn io.Writer) (State, error) {
	s, err := d.await(ctx, id, warn)
	s.unlock()
	return s, err
}

// await is Await that keeps the lock.
func (d Dirs) await(ctx context.Context, id string, warn io.Writer) (s State, err error) {
	lock, err := d.lock(ctx, id, warn)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // there may be no more than the name of one whose maker was killed
		s, err = d.Find(id)
	}
	s.locks = []*os.File{lock}
	return s, err
}

// SetStopTime changes how long a container that runs may take to end. One that has ended has no need of it.
func (d Dirs) SetStopTime(s State, timeout time.Duration) error {
	err := d.Update(s.ID, func(now *State) error {
		if now.Init == s.Init {
			now.StopTime = timeout
		}
		return nil
	})
	if errors.Is(err, ErrNoContainer) {
		return nil
	}
	return err
}
