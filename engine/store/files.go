package store

import (
	"errors"
	"fmt"
	"sort"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"
)

// Change is a path that a container has added (A), changed (C) or deleted (D).
type Change struct{ Kind, Path string }

// Changes lists what a container's writable layer changes in its image, sorted by path.
func (s *Store) Changes(id string) ([]Change, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	c, err := st.Container(id)
	if err != nil {
		return nil, err
	}
	found, err := st.Changes("", c.LayerID)
	if err != nil {
		return nil, fmt.Errorf("compare the layers: %w", err)
	}
	list := make([]Change, 0, len(found))
	for _, f := range found {
		kind := "C"
		switch f.Kind {
		case archive.ChangeAdd:
			kind = "A"
		case archive.ChangeDelete:
			kind = "D"
		}
		list = append(list, Change{kind, f.Path})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

// Rename sees to it that a container may have another name: nobody else's container of the store has it. The record keeps the first name, for
// the library changes names of the layer when that has the ID of the container.
func (s *Store) Rename(id, name string) error {
	st, err := s.open()
	if err != nil {
		return err
	}
	other, err := st.Container(name)
	switch {
	case err == nil && other.ID != id && !marked(other.Metadata):
		return fmt.Errorf("container %q: the name is in use in the store, by Podman or Buildah: `podman ps -a --external` tells, `podman rm -f %s` removes it there", name, name)
	case err != nil && !errors.Is(err, storage.ErrContainerUnknown):
		return err
	}
	return nil
}

// Unmount takes a mount of a container's root file system away, all of them with force, where Mount was called in this
// mount namespace.
func (s *Store) Unmount(id string, force bool) error {
	st, err := s.open()
	if err == nil {
		_, err = st.Unmount(id, force)
	}
	return err
}

// MountPoint is where a container's root file system is mounted when it is; whether it is, only the caller's mount
// namespace tells.
func (s *Store) MountPoint(id string) (string, error) {
	st, err := s.open()
	if err != nil {
		return "", err
	}
	c, err := st.Container(id)
	if err != nil {
		return "", err
	}
	l, err := st.Layer(c.LayerID)
	if err != nil {
		return "", err
	}
	return l.MountPoint, nil
}
