//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/oci/layout"
)

// maxManifest bounds index.json and each manifest, in bytes; it is what registries accept.
const maxManifest = 4 << 20

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
			if err := checkManifest(root, m.Digest); err != nil {
				return err
			}
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
	data, err := readSmall(root, "index.json")
	if err != nil {
		return index.Index, err
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

// checkManifest reads what index.json points to and compares the digest, which image/v5 does only for what a manifest
// points to. When it is an index for several platforms, the manifests in it are checked for their size alone, as image/v5
// takes one by digest.
func checkManifest(root *os.Root, d digest.Digest) error {
	data, err := readBlob(root, d)
	if err != nil {
		return err
	}
	if d.Algorithm().FromBytes(data) != d {
		return fmt.Errorf("manifest %s: its content has another digest, it is damaged", d)
	}
	var index imgspecv1.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("manifest %s: %w", d, err)
	}
	for _, m := range index.Manifests {
		if _, err := readBlob(root, m.Digest); err != nil && !errors.Is(err, os.ErrNotExist) { // other platforms may be left out
			return err
		}
	}
	return nil
}

func readBlob(root *os.Root, d digest.Digest) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d, err)
	}
	return readSmall(root, path.Join("blobs", d.Algorithm().String(), d.Encoded()))
}

// readSmall reads a file that may not be larger than a manifest.
func readSmall(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxManifest>>20)
	}
	return data, nil
}
