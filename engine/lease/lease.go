// Package lease hands names out, each to one container or pod at a time: addresses, ports, levels.
package lease

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// Dir is a directory of leases. A lease is a symbolic link whose text is the ID of its holder: made in one atomic step, and
// never half-written. One of a holder that is no longer there is taken over.
type Dir struct {
	Path string
	Live func(id string) bool // whether a holder is there
}

// Take leases the name, which may have several parts, for id; false when a holder that is there has it, be it id itself.
func (d Dir) Take(name, id string) (bool, error) {
	path := filepath.Join(d.Path, name)
	for range 10 {
		err := atomicfile.InDir(filepath.Dir(path), 0o700, func() error { return os.Symlink(id, path) })
		if !errors.Is(err, fs.ErrExist) {
			return err == nil, err
		}
		holder, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || d.Live(holder) {
			return false, err
		}
		if err := d.Release(name, holder); err != nil {
			return false, err
		}
	}
	return false, nil
}

// Holder is the ID of who has the name and is there; "" when nobody is.
func (d Dir) Holder(name string) string {
	id, err := os.Readlink(filepath.Join(d.Path, name))
	if err != nil || !d.Live(id) {
		return ""
	}
	return id
}

// Release gives a lease back, if id holds it.
func (d Dir) Release(name, id string) error {
	path := filepath.Join(d.Path, name)
	if err := atomicfile.RemoveLink(path, id); err != nil {
		return err
	}
	// An empty directory goes with its last lease. One that is gone already may be the work of a release that was killed.
	for dir := filepath.Dir(path); dir != filepath.Dir(d.Path); dir = filepath.Dir(dir) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil
}

// ReleaseAll gives back what id holds in a directory of names.
func (d Dir) ReleaseAll(names, id string) error {
	entries, err := os.ReadDir(filepath.Join(d.Path, names))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		name := filepath.Join(names, e.Name())
		if holder, err := os.Readlink(filepath.Join(d.Path, name)); err == nil && holder == id {
			errs = append(errs, d.Release(name, id))
		}
	}
	return errors.Join(errs...)
}
