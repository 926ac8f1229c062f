package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/spec"
)

// Remove deletes a volume and all that is in it. It is out of sight at once: first it is renamed. What a start that was
// killed has left of one goes too, and what a removal that was killed has left of any. An error of unused, which is asked while no
// container can take the volume, leaves it as it is.
func (v Volumes) Remove(name string, unused func() error) error {
	root, err := v.Root()
	if err != nil {
		return err
	}
	return removeVolume(root, name, func(vol Volume) error {
		if err := unused(); err != nil {
			return err
		}
		if err := v.removeLayer(vol); err != nil {
			return fmt.Errorf("remove volume %q: %w", name, err)
		}
		return nil
	})
}

// Sweep removes what removals that were killed, or cut off by a power cut, have left of volumes, and what those who made some have left in them.
func (v Volumes) Sweep() error {
	root, err := v.Root()
	if err != nil {
		return err
	}
	return errors.Join(sweepRemoved(root), sweepUnfinished(root))
}

// sweepUnfinished removes what nobody is filling any more from all volumes.
func sweepUnfinished(root string) (err error) {
	entries, readErr := os.ReadDir(root)
	if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
		return readErr
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		lock, openErr := os.Open(dir)
		if openErr != nil {
			continue // gone meanwhile
		}
		if e.IsDir() && atomicfile.TryLock(lock) == nil {
			if e := removeUnfinished(dir); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		lock.Close()
	}
	return err
}

// nothingMounted refuses a volume in which a file system is mounted, as Podman does with one that has type= while a container of its has
// it: the files there are not the volume's.
func nothingMounted(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if own, others := mountsBelow(string(info), real); len(own)+len(others) > 0 {
		return fmt.Errorf("volume %q: a file system is mounted on %s, whose files would go with it: umount it first, or end Podman's container that has it",
			filepath.Base(dir), append(own, others...)[0])
	}
	return nil
}

// removeVolume removes a volume. first is called before it is touched, while no container can take it.
func removeVolume(root, name string, first func(Volume) error) error {
	a, err := setAside(root, name, first)
	if err == nil {
		if err = a.remove(root); err != nil {
			err = fmt.Errorf("remove volume %q: %w", name, err)
		}
	}
	if err == nil || errors.Is(err, ErrNoVolume) {
		_ = sweepRemoved(root) // what stays of others is no fault of this one; Sweep tells of it
	}
	return err
}

// asidePrefix begins the names of directories beside the volumes, in which those lie that are being removed.
const asidePrefix = ".removed-"

// aside is such a directory. Who removes what is in it has locked it.
type aside struct {
	dir  string
	lock *os.File
}

// setAside moves a volume out of sight, into a directory of its own. Who makes it, fills it or has its layer in hand is waited for.
func setAside(root, name string, first func(Volume) error) (aside, error) {
	if spec.CheckName(name) != nil {
		return aside{}, fmt.Errorf("%w: %q", ErrNoVolume, name)
	}
	lock, err := atomicfile.LockDir(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %q", ErrNoVolume, name)
	}
	if err != nil {
		return aside{}, err
	}
	defer lock.Close()
	vol, err := findVolume(root, name)
	if errors.Is(err, ErrNoVolume) {
		if !begunVolume(lock) {
			return aside{}, err
		}
		vol, _ = readVolume(filepath.Join(root, name))
	}
	all, err := atomicfile.LockDir(root) // see existing
	if err != nil {
		return aside{}, err
	}
	defer all.Close()
	if err := cmp.Or(first(vol), nothingMounted(filepath.Join(root, name))); err != nil {
		return aside{}, err
	}
	a, err := makeAside(root)
	if err != nil {
		return aside{}, fmt.Errorf("remove volume %q: %w", name, err)
	}
	err = os.Rename(filepath.Join(root, name), filepath.Join(a.dir, name))
	if err == nil {
		return a, nil
	}
	err = errors.Join(err, os.Remove(a.dir), a.lock.Close())
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoVolume, err)
	}
	return aside{}, fmt.Errorf("remove volume %q: %w", name, err)
}

func makeAside(root string) (a aside, err error) {
	if a.dir, err = os.MkdirTemp(root, asidePrefix); err != nil {
		return a, err
	}
	a.lock, err = atomicfile.LockDir(a.dir)
	return a, err
}

// remove removes the directory with the volume that is in it, and gives the lock back.
func (a aside) remove(root string) error {
	defer a.lock.Close()
	names, err := os.ReadDir(a.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its remover has come to the end
	}
	for _, name := range names { // while it is known that there are limits
		dir := filepath.Join(a.dir, name.Name())
		vol, readErr := readVolume(dir)
		if l, limitErr := vol.limits(); readErr == nil && limitErr == nil && l != (limits{}) {
			err = errors.Join(err, removeUnfinished(dir), freeProjects(root, dir, []string{"_data"}))
		}
	}
	return errors.Join(err, os.RemoveAll(a.dir), atomicfile.SyncDir(root))
}

// sweepRemoved removes what nobody is removing any more.
func sweepRemoved(root string) error {
	left, err := abandoned(root)
	for _, a := range left {
		if e := a.remove(root); e != nil {
			err = errors.Join(err, fmt.Errorf("what is left of a volume that was removed stays in %s: %w", a.dir, e))
		}
	}
	return err
}

// abandoned locks the directories whose removers were killed.
func abandoned(root string) (left []aside, err error) {
	all, err := atomicfile.LockDirShared(root) // against setAside, which makes one and locks it then
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer all.Close()
	entries, err := os.ReadDir(root)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), asidePrefix) {
			continue
		}
		a := aside{dir: filepath.Join(root, e.Name())}
		if a.lock, _ = os.Open(a.dir); a.lock == nil {
			continue // gone meanwhile
		}
		if atomicfile.TryLock(a.lock) != nil {
			a.lock.Close()
			continue
		}
		left = append(left, a)
	}
	return left, err
}
