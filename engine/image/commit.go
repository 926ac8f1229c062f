//go:build containers_image_openpgp

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"

	"github.com/berth-pods/berth/engine/image/name"
)

// CommitOptions say what becomes of a container's files.
type CommitOptions struct {
	Name            string
	Author, Message string
	Command         string                  // for the history
	Settings        []imgspecv1.ImageConfig // what the configuration is to say, the last one counts most
	Changes         []string                // instructions of a Containerfile, which count more
	Docker          bool                    // in Docker's format, not in that of the OCI
	// All is an archive of the whole root file system, which becomes the only layer; nil adds what the container has
	// changed to the layers of its image.
	All io.Reader
}

// Commit makes an image of a container of the store: of its image, with what the container has changed as one more layer.
func (im *Images) Commit(ctx context.Context, container string, o CommitOptions) (id string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("commit container %.12s: %w", container, explain(im.space(err)))
		}
	}()
	var names []name.Name
	if o.Name != "" {
		if names, err = storeNames([]string{o.Name}); err != nil {
			return "", err
		}
	}
	c, err := im.store.Container(container)
	if err != nil {
		return "", err
	}
	base, err := im.commitBase(c.ImageID)
	if err != nil {
		return "", fmt.Errorf("its image %.12s: %w", c.ImageID, err)
	}
	for _, settings := range o.Settings {
		setConfig(&base.config.Config, settings)
	}
	for _, change := range o.Changes { // before there is anything to take back
		if err := apply(&base.config.Config, change); err != nil {
			return "", fmt.Errorf("--change %q: %w", change, err)
		}
	}
	b := &bundle{}
	defer func() { err = errors.Join(err, b.Close()) }()
	file, err := im.commitDiff(ctx, b, c, o)
	if err != nil {
		return "", err
	}
	before, err := im.layers()
	if err != nil {
		return "", err
	}
	leave, err := im.copying()
	if err != nil {
		return "", err
	}
	size, layer, err := im.commitLayer(file, &base, o)
	if err == nil {
		id, err = im.commitImage(base, o, imgspecv1.Descriptor{Digest: base.diffID, Size: size, MediaType: imgspecv1.MediaTypeImageLayer}, layer, names)
	}
	leave()
	if err != nil {
		im.sweep([]string{layer}, before)
	}
	return id, err
}

// committed is the image that a container was made of, on the way to what becomes of it.
type committed struct {
	raw    map[string]json.RawMessage // of its configuration, with what the OCI does not know
	config imgspecv1.Image
	layers []imgspecv1.Descriptor
	top    string // ID of its uppermost layer
	diffID digest.Digest
}

func (im *Images) commitBase(id string) (committed, error) {
	var b committed
	img, err := im.store.Image(id)
	if err != nil {
		return b, err
	}
	b.top = img.TopLayer
	text, err := im.store.ImageBigData(id, storage.ImageDigestBigDataKey)
	if err != nil {
		return b, err
	}
	var m imgspecv1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return b, fmt.Errorf("manifest: %w", err)
	}
	b.layers = m.Layers
	if text, err = im.store.ImageBigData(id, m.Config.Digest.String()); err != nil {
		return b, err
	}
	if err := errors.Join(json.Unmarshal(text, &b.raw), json.Unmarshal(text, &b.config)); err != nil {
		return b, fmt.Errorf("configuration: %w", err)
	}
	if len(b.layers) != len(b.config.RootFS.DiffIDs) {
		return b, fmt.Errorf("its manifest tells of %d layers, its configuration of %d", len(b.layers), len(b.config.RootFS.DiffIDs))
	}
	return b, nil
}

// fillHistory lets the history tell of every layer but the new one. An image need not have one (the OCI's config.md, "history"), and one that
// tells of some layers only is refused by what builds on it: the first ones are taken for those without an entry.
func (b *committed) fillHistory() {
	missing := len(b.config.RootFS.DiffIDs) - 1
	for _, h := range b.config.History {
		if !h.EmptyLayer {
			missing--
		}
	}
	if missing < 0 { // it tells of layers that are not there
		b.config.History, missing = nil, len(b.config.RootFS.DiffIDs)-1
	}
	b.config.History = append(make([]imgspecv1.History, missing), b.config.History...)
}

// commitDiff writes the new layer into a file: the store is locked while it is read, and would be while it is written.
func (im *Images) commitDiff(ctx context.Context, b *bundle, c *storage.Container, o CommitOptions) (*os.File, error) {
	if o.All != nil {
		return im.spool(ctx, b, o.All)
	}
	plain := archive.Uncompressed
	diff, err := im.store.Diff("", c.LayerID, &storage.DiffOptions{Compression: &plain})
	if err != nil {
		return nil, err
	}
	file, err := im.spool(ctx, b, diff)
	return file, errors.Join(err, diff.Close())
}

// commitLayer puts the new layer into the store.
func (im *Images) commitLayer(file *os.File, b *committed, o CommitOptions) (size int64, id string, err error) {
	if o.All != nil {
		b.layers, b.top, b.config.RootFS.DiffIDs, b.config.History = nil, "", nil, nil
	}
	digester := digest.Canonical.Digester()
	if size, err = io.Copy(digester.Hash(), file); err != nil {
		return 0, "", err
	}
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return 0, "", err
	}
	b.diffID = digester.Digest()
	b.config.RootFS.DiffIDs = append(b.config.RootFS.DiffIDs, b.diffID)
	id = layerID(b.top, b.diffID)
	if im.store.Exists(id) { // of another image with the same files
		return size, id, nil
	}
	_, _, err = im.store.PutLayer(id, b.top, nil, "", false, &storage.LayerOptions{OriginalDigest: b.diffID, UncompressedDigest: b.diffID}, file)
	if errors.Is(err, storage.ErrDuplicateID) { // another commit of the same files was faster
		err = nil
	}
	return size, id, err
}

// layerID is the ID that the image library gives to such a layer on such a parent: an image of the same layers that comes from elsewhere, or
// back, must find them (storage_dest.go there).
func layerID(parent string, diffID digest.Digest) string {
	if parent == "" {
		return diffID.Encoded()
	}
	return digest.Canonical.FromString(parent + "+" + diffID.Encoded()).Encoded()
}

// commitImage makes the image's record.
func (im *Images) commitImage(b committed, o CommitOptions, layer imgspecv1.Descriptor, layerID string, names []name.Name) (string, error) {
	now := time.Now().UTC()
	b.config.Created, b.config.RootFS.Type = &now, "layers"
	if o.Author != "" {
		b.config.Author = o.Author
	}
	b.fillHistory()
	b.config.History = append(b.config.History, imgspecv1.History{Created: &now, CreatedBy: o.Command, Author: o.Author, Comment: o.Message})
	configText, err := b.text()
	if err != nil {
		return "", err
	}
	m := imgspecv1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imgspecv1.MediaTypeImageManifest, Layers: append(b.layers, layer)}
	m.Config = imgspecv1.Descriptor{MediaType: imgspecv1.MediaTypeImageConfig, Digest: digest.FromBytes(configText), Size: int64(len(configText))}
	if err := inFormat(&m, o.Docker); err != nil {
		return "", err
	}
	manifestText, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := digest.FromBytes(manifestText)
	lock, err := im.naming()
	if err != nil {
		return "", err
	}
	defer lock.Close()
	img, err := im.store.CreateImage(m.Config.Digest.Encoded(), nil, layerID, "", &storage.ImageOptions{
		CreationDate: now, Digest: sum,
		BigData: []storage.ImageBigDataOption{
			{Key: m.Config.Digest.String(), Data: configText, Digest: m.Config.Digest},
			{Key: storage.ImageDigestBigDataKey, Data: manifestText, Digest: sum},
			{Key: "manifest-" + sum.String(), Data: manifestText, Digest: sum},
		},
	})
	if err == nil && len(names) > 0 { // away from the image that has it
		err = im.store.AddNames(img.ID, texts(names))
	}
	if err != nil {
		return "", err
	}
	return img.ID, nil
}

// text is the configuration, with all that was in the one it comes from.
func (b committed) text() ([]byte, error) {
	merge := func(into map[string]json.RawMessage, v any) error {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &into)
	}
	inner := map[string]json.RawMessage{}
	if text := b.raw["config"]; len(text) > 0 && string(text) != "null" {
		if err := json.Unmarshal(text, &inner); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(merge(inner, b.config.Config), merge(b.raw, b.config)); err != nil {
		return nil, err
	}
	for _, key := range []string{"container", "container_config"} { // of the container that the image below was made of
		delete(b.raw, key)
	}
	text, err := json.Marshal(inner)
	if err != nil {
		return nil, err
	}
	b.raw["config"] = text
	return json.Marshal(b.raw)
}

// inFormat writes the media types of one format.
func inFormat(m *imgspecv1.Manifest, docker bool) error {
	if docker {
		m.MediaType, m.Config.MediaType = manifest.DockerV2Schema2MediaType, manifest.DockerV2Schema2ConfigMediaType
	}
	for i, l := range m.Layers {
		kind, compression := "", ""
		switch {
		case strings.HasSuffix(l.MediaType, "zstd"):
			compression = "zstd"
		case strings.HasSuffix(l.MediaType, "gzip"):
			compression = "gzip"
		}
		switch {
		case docker && compression == "zstd":
			return errors.New("a layer of its image is compressed with zstd, which Docker's format does not know; leave --format=docker out")
		case docker && compression == "gzip":
			kind = manifest.DockerV2Schema2LayerMediaType
		case docker:
			kind = manifest.DockerV2SchemaLayerMediaTypeUncompressed
		case compression != "":
			kind = imgspecv1.MediaTypeImageLayer + "+" + compression
		default:
			kind = imgspecv1.MediaTypeImageLayer
		}
		m.Layers[i].MediaType = kind
	}
	return nil
}
