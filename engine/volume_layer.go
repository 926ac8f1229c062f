package engine

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// mountLayer shows the layer of a volume of the driver image in the calling thread's mount namespace. All containers that
// have the volume show the one mount of it. A user has no mount namespace that all of the user's containers could take it from,
// so that only one of them can have it.
func (e *Engine) mountLayer(s *State, i int, v VolumeSource) (string, error) {
	m := &s.Mounts[i]
	m.Source, m.Layer = v.Path, true
	if err := e.Dirs.save(*s); err != nil { // who is about to unmount it finds this container
		return "", err
	}
	place, err := e.stagedPlace(s, i, true)
	if err != nil {
		return "", err
	}
	tree := -1
	err = e.Volumes.WithLayer(m.Name, func(l Layer) (err error) {
		if e.Host.Rootless {
			if users, err := e.Dirs.layerUsers(m.Name, s.ID); err != nil || len(users) > 0 {
				return errors.Join(err, LayerInUse(m.Name, users))
			}
		}
		tree, err = l.Take()
		return err
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", fmt.Errorf("show volume %q: %w", m.Name, err)
	}
	return place, nil
}

// LayerInUse is why a user's volume cannot be mounted, nil when nobody has it.
func LayerInUse(name string, users []string) error {
	if len(users) == 0 {
		return nil
	}
	return fmt.Errorf("volume %q is a layer of an image, which %s has mounted for itself; a user's containers have it one after the other: stop that one first, or take a volume of the driver local", name, strings.Join(users, ", "))
}

// layerUsers lists the names of the containers that have a volume's layer mounted, or are about to; except is an ID. It fails when a
// container cannot be read: that one may have it.
func (d Dirs) layerUsers(volume, except string) (users []string, err error) {
	containers, unread, err := d.Listed(false)
	if err = errors.Join(err, unread); err != nil {
		return nil, fmt.Errorf("which containers have the volume %q mounted: %w", volume, err)
	}
	for _, c := range containers {
		if c.ID != except && (c.Running() || c.OnItsWay()) && c.hasVolume(volume) {
			users = append(users, c.Name)
		}
	}
	return users, nil
}

// releaseLayers unmounts the layers that no other container has.
func (e *Engine) releaseLayers(s State) error {
	var errs []error
	for _, m := range s.Mounts {
		if m.Layer {
			errs = append(errs, e.ReleaseLayer(m.Name, s.ID))
		}
	}
	return errors.Join(errs...)
}

// ReleaseLayer unmounts the layer of a volume unless it is held or a container has it, other than the one with this ID.
func (e *Engine) ReleaseLayer(volume, except string) error {
	err := e.Volumes.WithLayer(volume, func(l Layer) error {
		users, err := e.Dirs.layerUsers(volume, except)
		if err != nil || len(users) > 0 {
			return err
		}
		return l.Release()
	})
	if errors.Is(err, ErrNoVolume) {
		return nil
	}
	return err
}

// ShowLayer mounts the layer of a volume on its directory and calls f, if any. hold keeps it there.
func (e *Engine) ShowLayer(volume string, hold bool, f func() error) error {
	err := e.Volumes.WithLayer(volume, func(l Layer) error {
		if e.Host.Rootless {
			if users, err := e.Dirs.layerUsers(volume, ""); err != nil || len(users) > 0 {
				return errors.Join(err, LayerInUse(volume, users))
			}
		}
		tree, err := l.Take()
		if err != nil {
			return err
		}
		defer unix.Close(tree)
		if hold {
			return l.Hold(true)
		}
		return f()
	})
	if hold {
		return err
	}
	return errors.Join(err, e.ReleaseLayer(volume, ""))
}

// UnholdLayer ends what ShowLayer has begun.
func (e *Engine) UnholdLayer(volume string) error {
	err := e.Volumes.WithLayer(volume, func(l Layer) error { return l.Hold(false) })
	return errors.Join(err, e.ReleaseLayer(volume, ""))
}
