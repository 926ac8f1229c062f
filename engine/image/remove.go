//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.podman.io/storage"
)

// RemoveOptions say how far a removal may go.
type RemoveOptions struct {
	Force  bool // with all its names; one that is missing is no error
	Ignore bool // one that is missing is no error
}

// Removed says what a removal did.
type Removed struct {
	Untagged []string // full names
	Deleted  string   // the ID, empty when the image stays because it has other names
}

// Remove takes the name s away from its image; with its last name, or when s is its ID, the image goes. One with several
// names is removed by ID under Force only. An image that a container uses stays in any case (ErrInUse), as its layers
// are the container's root file system.
func (im *Images) Remove(s string, o RemoveOptions) (Removed, error) {
	lock, err := im.removing()
	if err != nil {
		return Removed{}, fmt.Errorf("remove %s: %w", s, err)
	}
	defer lock.Close()
	img, byName, err := im.lookup(s)
	if errors.Is(err, ErrMissing) && (o.Force || o.Ignore) {
		return Removed{}, nil
	}
	if err != nil {
		return Removed{}, err
	}
	if byName != "" && len(img.Names) > 1 && !o.Force && slices.Contains(img.Names, byName) {
		if err := im.store.RemoveNames(img.ID, []string{byName}); err != nil {
			return Removed{}, fmt.Errorf("remove %s: %w", s, err)
		}
		return Removed{Untagged: []string{byName}}, nil
	}
	if byName == "" && len(img.Names) > 1 && !o.Force {
		return Removed{}, fmt.Errorf("remove %s: the image has several names (%s): remove them one by one, or give --force", s, strings.Join(img.Names, ", "))
	}
	return im.delete(img, s)
}

// delete is for who holds the lock of removing.
func (im *Images) delete(img *storage.Image, s string) (Removed, error) {
	users, err := im.users()
	if err != nil {
		return Removed{}, err
	}
	if by := users[img.ID]; len(by) > 0 {
		advice := "stop and remove that first"
		for i, name := range by {
			by[i] = "container " + name
			if volume, ok := strings.CutSuffix(name, "+volume"); ok { // as the store names the layer of a volume of the driver image
				by[i], advice = fmt.Sprintf("volume %q", volume), "remove that first, a volume by `berth volume rm`"
			}
		}
		return Removed{}, fmt.Errorf("remove %s: %w by %s: %s", s, ErrInUse, strings.Join(by, ", "), advice)
	}
	if _, err := im.store.DeleteImage(img.ID, true); err != nil {
		return Removed{}, fmt.Errorf("remove %s: %w", s, inUse(err))
	}
	return Removed{Untagged: slices.Sorted(slices.Values(img.Names)), Deleted: img.ID}, nil
}

func inUse(err error) error {
	if errors.Is(err, storage.ErrImageUsedByContainer) || errors.Is(err, storage.ErrLayerUsedByContainer) || errors.Is(err, storage.ErrLayerHasChildren) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}

// RemoveAll removes every image of this store that no container uses, and goes on after errors.
func (im *Images) RemoveAll() ([]Removed, error) {
	lock, err := im.removing()
	if err != nil {
		return nil, fmt.Errorf("remove all images: %w", err)
	}
	defer lock.Close()
	images, err := im.store.Images()
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	users, err := im.users()
	if err != nil {
		return nil, err
	}
	var all []Removed
	var errs []error
	for i := range images {
		if images[i].ReadOnly || len(users[images[i].ID]) > 0 {
			continue
		}
		r, err := im.delete(&images[i], images[i].ID[:12])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}
