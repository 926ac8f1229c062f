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
	if other, err := e.Dirs.findKept(name, 65, nil); (err == nil || errors.Is(err, ErrDamaged)) && other.ID != s.ID {
		return nameInUse(name)
	}
	var old State
	err := e.Dirs.Change(s.ID, func(now *State) error {
		old = *now
		now.Renamed = !now.atRest
		begin := e.Dirs.save
		if now.atRest { // a name that it may have had in this boot was not given back by who was killed
			begin = e.Dirs.clear
		}
		if err := begin(*now); err != nil {
			return err
		}
		if err := e.takeName(old, name, inStore); err != nil {
			return err
		}
		now.Name, now.Container.Name = name, name
		return nil
	})
	if err != nil || old.atRest || old.Name == name {
		return err
	}
	return atomicfile.RemoveLink(e.Dirs.name(old.Name), "../"+s.ID)
}

// takeName makes a name that of a container too, in this boot if it is there, and in the store.
func (e *Engine) takeName(s State, name string, inStore func(id, name string) error) error {
	if !s.atRest {
		if err := os.Symlink("../"+s.ID, e.Dirs.name(name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if target, err := os.Readlink(e.Dirs.name(name)); err == nil && target != "../"+s.ID {
		return nameInUse(name)
	}
	if s.Container.Rootfs {
		return nil
	}
	err := inStore(s.ID, name)
	if err != nil && !s.atRest && s.Name != name {
		err = errors.Join(err, atomicfile.RemoveLink(e.Dirs.name(name), "../"+s.ID))
	}
	return err
}
