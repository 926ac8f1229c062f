package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/spec"
)

// Rename gives a container another name; inStore does so in the store. The new name is taken first and the old one given back
// last: an interrupted Rename leaves the container with both, and may be repeated.
func (e *Engine) Rename(s State, name string, inStore func(id, name string) error) error {
	if err := spec.CheckName(name); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if name == s.Name {
		return nil
	}
	if other, err := e.Dirs.findKept(name, 65); err == nil && other.ID != s.ID {
		return nameInUse(name)
	}
	_, err := e.Dirs.Load(s.ID)
	live := err == nil
	if live {
		err := os.Symlink("../"+s.ID, e.Dirs.name(name))
		if target, _ := os.Readlink(e.Dirs.name(name)); errors.Is(err, fs.ErrExist) && target != "../"+s.ID {
			return nameInUse(name)
		} else if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if !s.Container.Rootfs {
		if err := inStore(s.ID, name); err != nil {
			if live {
				err = errors.Join(err, atomicfile.RemoveLink(e.Dirs.name(name), "../"+s.ID))
			}
			return err
		}
	}
	old := s.Name
	s.Name, s.Container.Name = name, name
	if err := e.Dirs.Change(s); err != nil {
		return err
	}
	if !live {
		return nil
	}
	return atomicfile.RemoveLink(e.Dirs.name(old), "../"+s.ID)
}

// Change writes down what has been changed of a container: for this boot if it is there, and for good if it is kept.
func (d Dirs) Change(s State) error {
	_, err := d.Load(s.ID)
	if err == nil {
		err = d.save(s)
	} else if errors.Is(err, ErrNoContainer) {
		err = nil
	}
	if err != nil || !s.Lasting() {
		return err
	}
	return d.keep(s)
}
