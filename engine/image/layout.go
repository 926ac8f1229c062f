//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/oci/layout"
)

// maxIndex bounds the index.json of an OCI layout, in bytes; registries accept manifests of 4 MiB.
const maxIndex = 4 << 20

// maxImages bounds how many images one archive may hold.
const maxImages = 1000

// Annotations under which writers of OCI layouts keep names; the first is the full name.
const (
	containerdName  = "io.containerd.image.name"
	dockerReference = "vnd.docker.reference.type" // an attestation about an image, not an image
)

// openLayout lists the images of an OCI layout directory. Names that point to the same manifest are put together.
func (im *Images) openLayout(b *bundle, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	b.onClose(root.Close)
	index, err := readIndex(root)
	if err != nil {
		return err
	}
	reader := layout.NewReaderWithRoot(root)
	at := map[digest.Digest]int{}
	for i, m := range index.Manifests {
		if m.Annotations[dockerReference] != "" {
			continue
		}
		if _, known := at[m.Digest]; !known {
			ref, err := reader.NewIndexReference(dir, i)
			if err != nil {
				return err
			}
			at[m.Digest] = len(b.sources)
			b.sources = append(b.sources, source{ref: ref})
		}
		s := &b.sources[at[m.Digest]]
		if n := annotatedName(m.Annotations); n != "" && !slices.Contains(s.names, n) {
			s.names = append(s.names, n)
		}
	}
	if len(b.sources) == 0 {
		return errors.New("index.json lists no image")
	}
	return nil
}

func annotatedName(a map[string]string) string {
	if n := a[containerdName]; n != "" {
		return n
	}
	return a[imgspecv1.AnnotationRefName]
}

// readIndex also refuses a document that is an index and a manifest at once: two readers would see two images in it.
func readIndex(root *os.Root) (imgspecv1.Index, error) {
	var index struct {
		imgspecv1.Index
		Layers json.RawMessage `json:"layers"`
		Config json.RawMessage `json:"config"`
	}
	f, err := root.Open("index.json")
	if err != nil {
		return index.Index, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return index.Index, fmt.Errorf("read index.json: %w", err)
	}
	if len(data) > maxIndex {
		return index.Index, fmt.Errorf("index.json is larger than %d MiB", maxIndex>>20)
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index.Index, fmt.Errorf("read index.json: %w", err)
	}
	if index.Layers != nil || index.Config != nil {
		return index.Index, errors.New("index.json is an index and a manifest at once (it has manifests, and layers or config)")
	}
	if len(index.Manifests) > maxImages {
		return index.Index, fmt.Errorf("index.json lists %d images, at most %d are accepted", len(index.Manifests), maxImages)
	}
	return index.Index, nil
}
