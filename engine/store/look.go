package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine"
)

// Others are the containers of the store that berth has not made: Podman's, Buildah's. What they do is not known.
func (s *Store) Others() ([]engine.State, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	containers, err := st.Containers()
	if err != nil {
		return nil, fmt.Errorf("containers of the store: %w", err)
	}
	names := map[string]string{}
	var list []engine.State
	for _, c := range containers {
		if marked(c.Metadata) {
			continue
		}
		o := engine.State{ID: c.ID, Name: strings.Join(c.Names, ","), ImageID: c.ImageID, Created: c.Created, Command: []string{"storage"}}
		if _, known := names[c.ImageID]; !known {
			names[c.ImageID] = c.ImageID
			if image, err := st.Image(c.ImageID); err == nil && len(image.Names) > 0 {
				names[c.ImageID] = image.Names[0]
			}
		}
		o.Image = names[c.ImageID]
		list = append(list, o)
	}
	return list, nil
}

// Looked is what the store knows of an image, for those who look at its containers.
type Looked struct {
	engine.Image
	Digest string
	Layers []string // the directories of its files, the uppermost first
}

// Look looks an image up by its ID.
func (s *Store) Look(id string) (Looked, error) {
	image, err := s.Image(id)
	if err != nil {
		return Looked{}, err
	}
	l := Looked{Image: image}
	st, err := s.open()
	if err != nil {
		return l, err
	}
	found, err := st.Image(image.ID)
	if err != nil {
		return l, err
	}
	l.Digest = found.Digest.String()
	for layer := found.TopLayer; layer != ""; {
		l.Layers = append(l.Layers, filepath.Join(st.GraphRoot(), "overlay", layer, "diff"))
		below, err := st.Layer(layer)
		if err != nil {
			return l, err
		}
		layer = below.Parent
	}
	return l, nil
}

// Sizes are the bytes that a container has written, and those with the image's; both 0 when it has no files in the store.
func (s *Store) Sizes(id string) (written, whole int64, err error) {
	st, err := s.open()
	if err != nil {
		return 0, 0, err
	}
	c, err := st.Container(id)
	if errors.Is(err, storage.ErrContainerUnknown) {
		return 0, 0, nil
	}
	if err == nil {
		written, err = st.DiffSize("", c.LayerID)
	}
	if unknown(err) {
		return 0, 0, nil // it has been removed meanwhile
	}
	if err != nil {
		return 0, 0, fmt.Errorf("size of container %q: %w", id, err)
	}
	image, err := st.Image(c.ImageID)
	if err != nil {
		return written, written, nil //nolint:nilerr // an image that was removed by force has no size
	}
	below, err := layersSize(st, image.TopLayer)
	return written, written + below, err
}

// layersSize is the size of a layer with all that are below it.
func layersSize(st storage.Store, id string) (size int64, err error) {
	for id != "" {
		layer, err := st.Layer(id)
		if err != nil {
			return size, err
		}
		n := layer.UncompressedSize
		if n < 0 {
			if n, err = st.DiffSize("", id); err != nil {
				return size, err
			}
		}
		size, id = size+n, layer.Parent
	}
	return size, nil
}

// Place is where the store lies, and what is in it.
type Place struct {
	Root, RunRoot, Driver string
	Options               []string
	Images                int
}

// Place looks the store up.
func (s *Store) Place() (Place, error) {
	st, err := s.open()
	if err != nil {
		return Place{}, err
	}
	images, err := st.Images()
	if err != nil {
		return Place{}, fmt.Errorf("images of the store: %w", err)
	}
	return Place{
		Root: st.GraphRoot(), RunRoot: st.RunRoot(), Driver: st.GraphDriverName(), Options: st.GraphOptions(), Images: len(images),
	}, nil
}
