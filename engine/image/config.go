//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/storage"
)

// The key under which the store keeps the manifest that belongs to an image's layers. The config lies beside it under
// its own digest, and each manifest that the image is known by under manifestKey-DIGEST.
const manifestKey = "manifest"

// config reads an image's config from the store. Docker's format of the config is a superset of the OCI one.
func (im *Images) config(img *storage.Image) (config, error) {
	m, err := im.manifest(img)
	if err != nil {
		return config{}, err
	}
	data, err := im.store.ImageBigData(img.ID, m.Config.Digest.String())
	if err != nil {
		return config{}, fmt.Errorf("read the config of image %s: %w", img.ID[:12], err)
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return config{}, fmt.Errorf("read the config of image %s: %w", img.ID[:12], err)
	}
	return c, nil
}

// config is the OCI image config with what Docker's has in addition.
type config struct {
	imgspecv1.Image
	Parent        string `json:"parent"`
	Comment       string `json:"comment"`
	DockerVersion string `json:"docker_version"`
	Config        struct {
		imgspecv1.ImageConfig
		Healthcheck json.RawMessage `json:"Healthcheck"`
	} `json:"config"`
}

func (im *Images) manifest(img *storage.Image) (imgspecv1.Manifest, error) {
	var m imgspecv1.Manifest
	data, err := im.store.ImageBigData(img.ID, manifestKey)
	if err != nil {
		return m, fmt.Errorf("read the manifest of image %s: %w", img.ID[:12], err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read the manifest of image %s: %w", img.ID[:12], err)
	}
	if m.Config.Digest == "" {
		return m, fmt.Errorf("image %s: its manifest (%s) names no config: it is a list, an artifact or of Docker's schema 1", img.ID[:12], m.MediaType)
	}
	return m, nil
}

// contentSize is the number of bytes in the image's layers as unpacked, each counted once, and in its manifests and
// configuration.
func (im *Images) contentSize(img *storage.Image) (int64, error) {
	var total int64
	for _, n := range img.BigDataSizes {
		total += n
	}
	for id := img.TopLayer; id != ""; {
		l, err := im.store.Layer(id)
		if err != nil {
			return 0, fmt.Errorf("size of image %s: %w", img.ID[:12], err)
		}
		total += max(l.UncompressedSize, 0)
		id = l.Parent
	}
	return total, nil
}

// fits tells whether an image for the platform p is one that the options ask for.
func fits(p imgspecv1.Platform, o PullOptions) bool {
	return (o.OS == "" || o.OS == p.OS) && (o.Arch == "" || o.Arch == p.Architecture) && (o.Variant == "" || o.Variant == p.Variant)
}

// repoDigests are the image's names with the digests of its manifests in place of the tags, sorted by name.
func repoDigests(names []string, digests []digest.Digest) []string {
	var all []string
	seen := map[string]bool{}
	for _, n := range names {
		repository, _ := splitName(n)
		for _, d := range digests {
			s := repository + "@" + d.String()
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// splitName divides a full name as the store keeps it into repository and tag; a name by digest has no tag.
func splitName(full string) (repository, tag string) {
	if r, _, ok := strings.Cut(full, "@"); ok {
		return r, ""
	}
	if i := strings.LastIndexByte(full, ':'); i > strings.LastIndexByte(full, '/') {
		return full[:i], full[i+1:]
	}
	return full, ""
}

// ErrInUse says that an image cannot be removed because containers use it.
var ErrInUse = errors.New("in use")
