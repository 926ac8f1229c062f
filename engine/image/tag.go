//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"

	"go.podman.io/storage"
)

// Tag gives the image s more names. A name without a registry belongs to localhost; one that another image has moves.
func (im *Images) Tag(s string, names []string) error {
	lock, err := im.naming()
	if err != nil {
		return fmt.Errorf("tag %s: %w", s, err)
	}
	defer lock.Close()
	img, _, err := im.lookup(s)
	if err != nil {
		return err
	}
	full, err := storeNames(names)
	if err != nil {
		return err
	}
	for _, n := range full {
		if n.Digest != "" {
			return fmt.Errorf("tag %s: the new name %q must end in a tag, not in a digest", s, n)
		}
	}
	if err := im.store.AddNames(img.ID, texts(full)); err != nil {
		return fmt.Errorf("tag %s: %w", s, err)
	}
	return nil
}

// Untag takes names away from the image s, all when none is given. The image stays, reachable by its ID.
func (im *Images) Untag(s string, names []string) error {
	img, _, err := im.lookup(s)
	if err != nil {
		return err
	}
	remove := img.Names
	if len(names) > 0 {
		if remove, err = im.namesOf(img, names); err != nil {
			return err
		}
	}
	if err := im.store.RemoveNames(img.ID, remove); err != nil {
		return fmt.Errorf("untag %s: %w", s, err)
	}
	return nil
}

// namesOf completes names and sees to it that each is one of the image's.
func (im *Images) namesOf(img *storage.Image, names []string) ([]string, error) {
	var all []string
	for _, s := range names {
		other, full, err := im.byName(s)
		if errors.Is(err, ErrMissing) || (err == nil && other.ID != img.ID) {
			return nil, fmt.Errorf("untag: image %s is not called %q", img.ID[:12], s)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, full)
	}
	return all, nil
}
