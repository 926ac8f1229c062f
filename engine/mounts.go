package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/berth-pods/berth/engine/spec"
)

// specialMounts resolves the --mount words of the types glob and image.
func (e *Engine) specialMounts(ctx context.Context, s *State) ([]spec.Mount, error) {
	var list []spec.Mount
	for i, word := range s.Container.Mounts {
		m, _, err := spec.ParseSpecialMount(word)
		if err != nil {
			return nil, err
		}
		switch m.Type {
		case "glob":
			found, err := filepath.Glob(m.Source)
			if err != nil || len(found) == 0 {
				return nil, fmt.Errorf("mount of %s: the pattern matches nothing on the host", m.Source)
			}
			for _, source := range found {
				options := append([]string{"rbind", "rprivate"}, m.Options...)
				list = append(list, spec.Mount{Source: source, Destination: filepath.Join(m.Destination, filepath.Base(source)), Options: options})
			}
		case "image":
			mount, err := e.mountImage(ctx, s, i, m)
			if err != nil {
				return nil, fmt.Errorf("mount of image %q: %w", m.Source, err)
			}
			list = append(list, mount)
		}
	}
	return list, nil
}

// mountImage shows the files of an image. It is mounted as a container's file system would be, with a layer of its own
// that goes away with the container, so that nothing is ever written into the image.
func (e *Engine) mountImage(ctx context.Context, s *State, i int, m spec.SpecialMount) (spec.Mount, error) {
	wanted := s.Container
	wanted.Image, wanted.Rootfs = m.Source, false
	image, err := e.image(ctx, wanted)
	if err != nil {
		return spec.Mount{}, err
	}
	id := mountID(s.ID, i)
	layer := State{ID: id, Name: id, Container: wanted}
	if err := e.makeLayer(ctx, &layer, image, CreateOptions{Volatile: true, IDs: s.IDs, Label: s.Label}); err != nil {
		return spec.Mount{}, err
	}
	source, err := e.Store.Mount(id)
	if err != nil {
		return spec.Mount{}, err
	}
	if m.Subpath != "" {
		const above = 10000 // the numbers of volumes
		if source, err = e.stageSubpath(s, above+i, source, m.Subpath); err != nil {
			return spec.Mount{}, err
		}
	}
	access := "ro"
	if m.ReadWrite {
		access = "rw"
	}
	return spec.Mount{Source: source, Destination: m.Destination, Options: []string{"bind", "rprivate", access, "nosuid", "nodev"}}, nil
}

// mountID names the layer of an image that a container shows: always the same, so that a removal finds it.
func mountID(id string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s mount %d", id, i))
	return hex.EncodeToString(sum[:])
}

// removeImageMounts takes away the layers of mounted images.
func (e *Engine) removeImageMounts(s State) error {
	for i, word := range s.Container.Mounts {
		m, _, err := spec.ParseSpecialMount(word)
		if err != nil || m.Type != "image" {
			continue
		}
		if err := e.Store.Remove(mountID(s.ID, i)); err != nil {
			return fmt.Errorf("mount of image %q: %w", m.Source, err)
		}
	}
	return nil
}
