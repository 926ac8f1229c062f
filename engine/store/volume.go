package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
)

// Volumes keeps named volumes where Podman does: GRAPHROOT/volumes/NAME/_data.
type Volumes struct {
	Store *Store
	User  bool // a user's, not root's
	// Dir is the directory in the place of GRAPHROOT/volumes, "" for that; nil is the same.
	Dir func() (string, error)
	// Label is the label of SELinux for files that all containers may use, "" where there is no SELinux; nil is the same.
	Label func() (string, error)
}

// newPrefix begins the name of a volume's directory while it is filled.
const newPrefix = ".new-"

// Ensure returns the directory of a volume. A missing one is made and filled beside its place, and then renamed: it is
// there as a whole or not at all, after a kill and after a power cut too.
func (v Volumes) Ensure(r engine.VolumeRequest, fill func(dir string, content bool) error) (engine.VolumeSource, error) {
	root, err := v.Root()
	if err != nil {
		return engine.VolumeSource{}, err
	}
	fresh := Volume{Name: r.Name, Created: time.Now().UTC(), Anonymous: r.Anonymous}
	if r.Volatile {
		if fresh.Boot, err = bootID(); err != nil {
			return engine.VolumeSource{}, err
		}
		if err := sweepVolumes(root, fresh.Boot, r.Unused); err != nil {
			return engine.VolumeSource{}, fmt.Errorf("remove the volumes of an earlier boot: %w", err)
		}
	}
	vol, source, err := v.existing(root, r.Name)
	if err != nil || source != (engine.VolumeSource{}) {
		return source, err
	}
	path, err := ensure(root, fresh, func(dir string) error { return fill(dir, vol.copies()) })
	return engine.VolumeSource{Path: path}, err
}

// existing looks for a volume while none is removed; no source means that it is yet to be filled. Whoever comes here has written down
// that a container has the volume, so that a removal either has taken it away before, or sees that.
func (v Volumes) existing(root, name string) (vol Volume, source engine.VolumeSource, err error) {
	lock, err := os.Open(root)
	if errors.Is(err, fs.ErrNotExist) {
		return vol, source, nil
	}
	if err != nil {
		return vol, source, err
	}
	defer lock.Close()
	if err := atomicfile.LockShared(lock); err != nil {
		return vol, source, fmt.Errorf("lock %s: %w", root, err)
	}
	dir := filepath.Join(root, name)
	if vol, err = readVolume(dir); err != nil {
		return vol, source, err
	}
	if err := v.foreignLayer(&vol); err != nil {
		return vol, source, err
	}
	if vol.Driver == ImageDriver {
		return vol, engine.VolumeSource{Path: vol.Path, Layer: true}, nil
	}
	if source, ok, err := vol.mountSource(); ok || err != nil {
		return vol, source, err
	}
	data := filepath.Join(dir, "_data")
	if _, err := os.Stat(data); err == nil && !untouched(dir) {
		source.Path = data
	}
	return vol, source, nil
}

func ensure(volumes string, vol Volume, fill func(dir string) error) (string, error) {
	name := vol.Name
	dir := filepath.Join(volumes, name)
	if err := makeVolume(dir, vol, fill); err != nil {
		return "", fmt.Errorf("make volume %q: %w", name, err)
	}
	return filepath.Join(dir, "_data"), nil
}

// makeVolume makes the data's directory, unless another start of a container is faster; for that one it waits (flock(2)).
func makeVolume(dir string, vol Volume, fill func(dir string) error) error {
	data := filepath.Join(dir, "_data")
	lock, err := lockNew(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	_, err = os.Stat(data)
	if !errors.Is(err, fs.ErrNotExist) && (err != nil || !untouched(dir)) {
		return err
	}
	if target, linkErr := os.Readlink(data); err != nil && linkErr == nil {
		return fmt.Errorf("%s is a link to %s, which is not there: mount it, or remove the link", data, target)
	}
	if err := removeUnfinished(dir); err != nil {
		return err
	}
	if list, _ := os.ReadDir(data); len(list) > 0 { // somebody has put something in: that is its content
		return touch(dir)
	}
	if _, err := os.Stat(filepath.Join(dir, recordFile)); errors.Is(err, fs.ErrNotExist) {
		if err := writeRecord(dir, vol); err != nil {
			return err
		}
	}
	fresh, err := os.MkdirTemp(dir, newPrefix)
	if err != nil {
		return err
	}
	if project, err := projectOf(data); err == nil && project != 0 { // it has limits, or all volumes have
		if err := setProject(fresh, project); err != nil {
			return errors.Join(fmt.Errorf("take over the project of its files: %w", err), os.RemoveAll(fresh))
		}
	}
	if err := fillAndRename(fresh, data, withOwner(dir, fill)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return errors.Join(touch(dir), lock.Sync(), atomicfile.SyncDir(filepath.Dir(dir)))
}

func fillAndRename(fresh, data string, fill func(dir string) error) error {
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	if err := fill(fresh); err != nil {
		return err
	}
	f, err := os.Open(fresh)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
		return err
	}
	// os.Rename takes no directory, not even an empty one, as rename(2) does.
	return unix.Rename(fresh, data)
}

// removeUnfinished takes away what killed starts have left. The caller has the lock, so nobody works on it.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if unfinished(e.Name()) {
			names = append(names, e.Name())
		}
	}
	err = freeProjects(filepath.Dir(dir), dir, names)
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
	}
	return err
}
