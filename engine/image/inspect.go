//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"fmt"
	"time"

	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/storage"
)

// Details are what image inspect prints; the keys are those that Podman and Docker use.
type Details struct {
	ID           string              `json:"Id"`
	Digest       string              `json:"Digest"`
	RepoTags     []string            `json:"RepoTags"`
	RepoDigests  []string            `json:"RepoDigests"`
	Parent       string              `json:"Parent"`
	Comment      string              `json:"Comment"`
	Created      *time.Time          `json:"Created"`
	Config       DetailsConfig       `json:"Config"`
	Version      string              `json:"Version"`
	Author       string              `json:"Author"`
	Architecture string              `json:"Architecture"`
	Os           string              `json:"Os"`
	Variant      string              `json:"Variant,omitempty"`
	Size         int64               `json:"Size"` // bytes, layers as unpacked
	VirtualSize  int64               `json:"VirtualSize"`
	GraphDriver  GraphDriver         `json:"GraphDriver"`
	RootFS       RootFS              `json:"RootFS"`
	Labels       map[string]string   `json:"Labels"`
	Annotations  map[string]string   `json:"Annotations"`
	ManifestType string              `json:"ManifestType"`
	User         string              `json:"User"`
	History      []imgspecv1.History `json:"History"`
	NamesHistory []string            `json:"NamesHistory"`
	Healthcheck  json.RawMessage     `json:"Healthcheck,omitempty"`
}

// Id is ID under the name that it has in the JSON and in templates written for Docker.
func (d Details) Id() string { return d.ID } //nolint:revive // the spelling is the point

// DetailsConfig is how containers of the image start unless told otherwise.
type DetailsConfig struct {
	imgspecv1.ImageConfig
	Healthcheck json.RawMessage `json:"Healthcheck,omitempty"`
}

// GraphDriver says where the image's top layer is kept.
type GraphDriver struct {
	Name string            `json:"Name"`
	Data map[string]string `json:"Data"`
}

// RootFS lists the digests of the uncompressed layers, the lowest first.
type RootFS struct {
	Type   string   `json:"Type"`
	Layers []string `json:"Layers"`
}

// Inspect returns all that is known about an image.
func (im *Images) Inspect(s string) (Details, error) {
	img, _, err := im.lookupImage(s)
	if err != nil {
		return Details{}, err
	}
	m, err := im.manifest(img)
	if err != nil {
		return Details{}, err
	}
	c, err := im.config(img)
	if err != nil {
		return Details{}, err
	}
	d := details(img, m, c)
	if d.Size, err = im.contentSize(img); err != nil {
		return Details{}, err
	}
	d.VirtualSize = d.Size
	d.GraphDriver, err = im.graphDriver(img)
	return d, err
}

func details(img *storage.Image, m imgspecv1.Manifest, c config) Details {
	d := Details{
		ID: img.ID, Digest: img.Digest.String(), RepoTags: []string{}, RepoDigests: repoDigests(img.Names, img.Digests),
		Parent: c.Parent, Comment: c.Comment, Created: c.Created, Version: c.DockerVersion, Author: c.Author,
		Architecture: c.Architecture, Os: c.OS, Variant: c.Variant,
		Config: DetailsConfig{c.Config.ImageConfig, c.Config.Healthcheck}, User: c.Config.User, Healthcheck: c.Config.Healthcheck,
		RootFS: RootFS{Type: c.RootFS.Type, Layers: []string{}}, Labels: c.Config.Labels,
		Annotations: m.Annotations, ManifestType: m.MediaType, History: c.History, NamesHistory: img.NamesHistory,
	}
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	if n := len(c.History); d.Comment == "" && n > 0 {
		d.Comment = c.History[n-1].Comment
	}
	if d.ManifestType == "" { // OCI leaves it out where the registry says it in a header
		d.ManifestType = imgspecv1.MediaTypeImageManifest
	}
	for _, n := range img.Names {
		if _, tag := splitName(n); tag != "" {
			d.RepoTags = append(d.RepoTags, n)
		}
	}
	for _, l := range c.RootFS.DiffIDs {
		d.RootFS.Layers = append(d.RootFS.Layers, l.String())
	}
	return d
}

func (im *Images) graphDriver(img *storage.Image) (GraphDriver, error) {
	g := GraphDriver{Name: im.store.GraphDriverName()}
	if img.TopLayer == "" {
		return g, nil
	}
	driver, err := im.store.GraphDriver()
	if err != nil {
		return g, fmt.Errorf("storage driver: %w", err)
	}
	if g.Data, err = driver.Metadata(img.TopLayer); err != nil {
		return g, fmt.Errorf("layer of image %s: %w", img.ID[:12], err)
	}
	if mounted, err := im.store.Mounted(img.TopLayer); err == nil && mounted == 0 {
		delete(g.Data, "MergedDir") // where it would be, if it were
	}
	return g, nil
}
