//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/name"
)

// ErrMissing says that an image is not in the store.
var ErrMissing = errors.New("no such image in the store")

var hexID = regexp.MustCompile(`^[0-9a-f]{3,64}$`)

// lookup finds an image by any of its names, as a short name too, by its ID or the beginning of it, or by a digest.
// The second result is the name under which it was found, empty when it was found by ID.
func (im *Images) lookup(s string) (*storage.Image, string, error) {
	id := strings.TrimPrefix(s, "sha256:")
	if hexID.MatchString(id) && (id != s || len(id) == 64) {
		return im.byID(s, id)
	}
	if img, full, err := im.byName(s); err == nil || !errors.Is(err, ErrMissing) {
		return img, full, err
	}
	if hexID.MatchString(id) {
		return im.byID(s, id)
	}
	return nil, "", missing(s)
}

// lookupImage is lookup for those who need a config and layers: of a list it is the image for this machine.
func (im *Images) lookupImage(s string) (*storage.Image, string, error) {
	img, full, err := im.lookup(s)
	if err != nil {
		return nil, "", err
	}
	l, err := im.readList(img.ID)
	if errors.Is(err, ErrNotList) {
		return img, full, nil
	}
	if err != nil {
		return nil, "", err
	}
	raw, err := json.Marshal(l.index)
	if err != nil {
		return nil, "", err
	}
	found, err := choose(raw, imgspecv1.MediaTypeImageIndex, &im.sys, false)
	if err != nil {
		return nil, "", fmt.Errorf("image %q: it is a list of images: %w", s, err)
	}
	all, err := im.store.ImagesByDigest(found[0].Digest)
	if err != nil {
		return nil, "", fmt.Errorf("image %q: %w", s, err)
	}
	if len(all) == 0 {
		return nil, "", fmt.Errorf("image %q: it is a list, whose image for this machine, %s, is not in the store: pull it", s, found[0].Digest)
	}
	return all[0], full, nil
}

func (im *Images) byID(s, id string) (*storage.Image, string, error) {
	img, err := im.store.Image(id)
	if errors.Is(err, storage.ErrImageUnknown) {
		return nil, "", missing(s)
	}
	if err != nil {
		return nil, "", fmt.Errorf("look up image %q: %w", s, err)
	}
	return img, "", nil
}

func (im *Images) byName(s string) (*storage.Image, string, error) {
	known, err := registries(&im.sys, s)
	if err != nil {
		return nil, "", err
	}
	candidates, err := name.LocalCandidates(s, known)
	if err != nil {
		return nil, "", err
	}
	for _, c := range candidates {
		img, err := im.named(c)
		if err == nil {
			return img, c.String(), nil
		}
		if !errors.Is(err, storage.ErrImageUnknown) {
			return nil, "", fmt.Errorf("look up image %q: %w", s, err)
		}
	}
	return nil, "", missing(s)
}

// named finds one full name. An image pulled by tag is also found by the digest of its manifest, as long as one of its
// names is of the same repository.
func (im *Images) named(n name.Name) (*storage.Image, error) {
	img, err := im.store.Image(n.String())
	if err == nil || n.Digest == "" || !errors.Is(err, storage.ErrImageUnknown) {
		return img, err
	}
	all, err := im.store.Images()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if hasDigest(all[i], n.Digest) && hasRepository(all[i], n.Repository()) {
			return &all[i], nil
		}
	}
	return nil, storage.ErrImageUnknown
}

func hasDigest(img storage.Image, digest string) bool {
	for _, d := range img.Digests {
		if d.String() == digest {
			return true
		}
	}
	return false
}

func hasRepository(img storage.Image, repository string) bool {
	for _, s := range img.Names {
		if n, err := name.Parse(s); err == nil && n.Repository() == repository {
			return true
		}
	}
	return false
}

func missing(s string) error { return fmt.Errorf("image %q: %w", s, ErrMissing) }

// Exists tells whether the store has the image.
func (im *Images) Exists(s string) (bool, error) {
	_, _, err := im.lookup(s)
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil, err
}

// ID returns the ID of an image.
func (im *Images) ID(s string) (string, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	return img.ID, nil
}
