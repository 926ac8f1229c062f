//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/verb"
)

// Mounted is an image that can be looked at.
type Mounted struct {
	ID   string `json:"id"`
	Path string `json:"mountpoint"`

	Repositories []string `json:"Repositories"`
}

// Mount mounts an image to be read, and counts: each mount needs an Unmount.
func (im *Images) Mount(s string) (Mounted, error) {
	img, _, err := im.lookupImage(s)
	if err != nil {
		return Mounted{}, err
	}
	path, err := im.store.MountImage(img.ID, nil, "")
	if err != nil {
		return Mounted{}, fmt.Errorf("mount image %s: %w", s, err)
	}
	return Mounted{img.ID, path, img.Names}, nil
}

// Unmount takes one mount away, or all of them with force.
func (im *Images) Unmount(s string, force bool) (id string, err error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	if _, err := im.mountOf(img); err != nil {
		return "", fmt.Errorf("unmount image %s: %w", s, err)
	}
	if _, err := im.store.UnmountImage(img.ID, force); err != nil {
		return "", fmt.Errorf("unmount image %s: %w", s, err)
	}
	return img.ID, nil
}

var errNotMounted = errors.New("it is not mounted")

// mountOf is where an image is mounted.
func (im *Images) mountOf(img *storage.Image) (string, error) {
	for _, id := range append([]string{img.TopLayer}, img.MappedTopLayers...) {
		if id == "" {
			continue
		}
		l, err := im.store.Layer(id)
		if err != nil {
			return "", err
		}
		if l.MountCount > 0 {
			return l.MountPoint, nil
		}
	}
	return "", errNotMounted
}

// Mounts lists the images that are mounted.
func (im *Images) Mounts() ([]Mounted, error) {
	all, err := im.store.Images()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	list := []Mounted{}
	for i := range all {
		if path, err := im.mountOf(&all[i]); err == nil {
			list = append(list, Mounted{all[i].ID, path, all[i].Names})
		}
	}
	slices.SortFunc(list, func(a, b Mounted) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Change is one difference between two images: A, C or D for added, changed and deleted.
type Change struct{ Kind, Path string }

// Diff tells what the top layer of an image changes, or how it differs from another image, but for what every container is furnished with.
func (im *Images) Diff(s, other string) ([]Change, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return nil, err
	}
	from, to := "", img.TopLayer
	if other != "" {
		o, _, err := im.lookup(other)
		if err != nil {
			return nil, err
		}
		from, to = o.TopLayer, img.TopLayer
	}
	if to == "" {
		return nil, nil
	}
	changes, err := im.store.Changes(from, to)
	if err != nil {
		return nil, fmt.Errorf("differences of %s: %w", s, err)
	}
	list := make([]Change, 0, len(changes))
	for _, c := range changes {
		if slices.Contains(verb.Furnished, c.Path) {
			continue
		}
		list = append(list, Change{map[int]string{0: "C", 1: "A", 2: "D"}[int(c.Kind)], c.Path})
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}
