package store

import (
	"fmt"
	"os"
	"slices"

	"go.podman.io/storage/pkg/idmap"
	"go.podman.io/storage/pkg/idtools"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

func libraryMaps(maps []spec.IDMap) []idtools.IDMap {
	list := make([]idtools.IDMap, 0, len(maps))
	for _, m := range maps {
		list = append(list, idtools.IDMap{ContainerID: int(m.Inside), HostID: int(m.Outside), Size: int(m.Count)})
	}
	return list
}

// UserNS makes a user namespace with these maps and returns a handle on it, which keeps it.
func (s *Store) UserNS(ids spec.IDMaps) (*os.File, error) {
	pid, end, err := idmap.CreateUsernsProcess(libraryMaps(ids.UIDs), libraryMaps(ids.GIDs))
	if err != nil {
		return nil, err
	}
	defer end()
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
}

// UsedIDs lists the ranges that containers in the store are mapped to.
func (s *Store) UsedIDs() ([]spec.IDRange, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	containers, err := st.Containers()
	if err != nil {
		return nil, err
	}
	var list []spec.IDRange
	for _, c := range containers {
		for _, m := range append(c.UIDMap, c.GIDMap...) {
			list = append(list, spec.IDRange{Start: uint32(m.HostID), Count: uint32(m.Size)})
		}
	}
	return list, nil
}

// HasMapped looks for a top layer of the image with these maps.
func (s *Store) HasMapped(image engine.Image, ids spec.IDMaps) bool {
	st, err := s.open()
	if err != nil {
		return false
	}
	found, err := st.Image(image.ID)
	if err != nil {
		return false
	}
	for _, id := range append([]string{found.TopLayer}, found.MappedTopLayers...) {
		layer, err := st.Layer(id)
		if err == nil && slices.Equal(layer.UIDMap, libraryMaps(ids.UIDs)) && slices.Equal(layer.GIDMap, libraryMaps(ids.GIDs)) {
			return true
		}
	}
	return false
}
