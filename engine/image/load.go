//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	encconfig "github.com/containers/ocicrypt/config"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/image/name"
)

// maxLayers is what the overlay driver can stack.
const maxLayers = 500

// Loaded is one image that was stored.
type Loaded struct {
	ID    string
	Names []string // full names, sorted as in the archive
}

// Load stores all images of the docker-archive, OCI archive, OCI layout or plain image directory at file, under all
// their names. A name that an image in the store has moves to the new one. When an image cannot be stored, nothing of it
// stays; those before it do, and are returned beside the error.
func (im *Images) Load(ctx context.Context, file string) ([]Loaded, error) {
	b, err := im.open(ctx, file)
	if err == nil {
		return im.loadAll(ctx, b, file)
	}
	return nil, fmt.Errorf("load %s: %w", file, explain(im.space(errors.Join(err, b.Close()))))
}

// LoadStream does the same with an archive that is read from r, which is called what in messages.
func (im *Images) LoadStream(ctx context.Context, r io.Reader, what string) ([]Loaded, error) {
	b, err := im.openStream(ctx, r)
	if err == nil {
		return im.loadAll(ctx, b, what)
	}
	return nil, fmt.Errorf("load %s: %w", what, explain(im.space(errors.Join(err, b.Close()))))
}

func (im *Images) loadAll(ctx context.Context, b *bundle, what string) (loaded []Loaded, err error) {
	for _, s := range b.sources {
		var l Loaded
		if l, err = im.loadOne(ctx, s, &im.sys, nil); err != nil {
			break
		}
		loaded = append(loaded, l)
	}
	if err := errors.Join(err, b.Close()); err != nil {
		return loaded, fmt.Errorf("load %s: %w", what, explain(err))
	}
	return loaded, nil
}

// loadOne stores one image. What can be checked without unpacking a layer is checked before the first one is stored.
func (im *Images) loadOne(ctx context.Context, s source, sys *types.SystemContext, keys *encconfig.DecryptConfig) (Loaded, error) {
	names, err := storeNames(s.names)
	if err != nil {
		return Loaded{}, err
	}
	ready, err := im.preflight(ctx, s.ref, sys, keys)
	if err != nil {
		return Loaded{}, err
	}
	before, err := im.layers()
	if err != nil {
		return Loaded{}, err
	}
	id, err := im.copyIn(ctx, job{src: s.ref, sys: sys, name: first(names), more: names[min(1, len(names)):], id: ready.id, keys: ready.keys})
	if err != nil {
		im.sweep(ready.chain, before)
		return Loaded{}, err
	}
	return Loaded{ID: id, Names: texts(names)}, nil
}

// readied is what is known of an image before a layer of it is read.
type readied struct {
	id    string
	chain []string                 // IDs that the store gives its layers, the lowest first
	keys  *encconfig.DecryptConfig // nil when no layer is encrypted
}

// preflight reads manifest and config, whose digests are checked on the way.
func (im *Images) preflight(ctx context.Context, ref types.ImageReference, sys *types.SystemContext, keys *encconfig.DecryptConfig) (readied, error) {
	img, err := ref.NewImage(ctx, sys)
	if err != nil {
		return readied{}, err
	}
	defer img.Close()
	if err := checkDigests(img); err != nil {
		return readied{}, err
	}
	id, err := configID(img)
	if err != nil {
		return readied{}, err
	}
	config, err := img.OCIConfig(ctx)
	if err != nil {
		return readied{}, err
	}
	for i, d := range config.RootFS.DiffIDs {
		if err := d.Validate(); err != nil {
			return readied{}, fmt.Errorf("layer %d is called %q by the image's config: %w", i+1, d, err)
		}
	}
	if n := len(config.RootFS.DiffIDs); n > maxLayers {
		return readied{}, fmt.Errorf("the image has %d layers, at most %d can be stacked", n, maxLayers)
	}
	encrypted, err := unlock(img.LayerInfos(), keys)
	if !encrypted {
		keys = nil
	}
	return readied{id, chainIDs(config.RootFS.DiffIDs), keys}, err
}

// checkDigests refuses a manifest whose digests are none: what takes one apart panics. The library only compares them.
func checkDigests(img types.Image) error {
	for i, l := range img.LayerInfos() {
		if err := l.Digest.Validate(); err != nil {
			return fmt.Errorf("the manifest calls layer %d %q: %w", i+1, l.Digest, err)
		}
	}
	return nil
}

// configID is the ID that the store gives an image, the digest of its config.
func configID(img types.Image) (string, error) {
	d := img.ConfigInfo().Digest
	if d == "" {
		return "", errors.New("its manifest is of Docker's first format (schema 1), which has no config: a registry or `skopeo copy` makes a newer one of it")
	}
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("the manifest calls the config %q: %w", d, err)
	}
	return d.Encoded(), nil
}

// chainIDs are the names of layers in containers/storage: the first is called after its own content, each further one
// after the one below it and its content.
func chainIDs(diffs []digest.Digest) []string {
	var chain []string
	parent := ""
	for _, d := range diffs {
		id := d.Encoded()
		if parent != "" {
			id = digest.Canonical.FromString(parent + "+" + id).Encoded()
		}
		chain = append(chain, id)
		parent = id
	}
	return chain
}

func (im *Images) layers() (map[string]bool, error) {
	all, err := im.store.Layers()
	if err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	ids := map[string]bool{}
	for _, l := range all {
		ids[l.ID] = true
	}
	return ids, nil
}

func first(names []name.Name) name.Name {
	if len(names) == 0 {
		return name.Name{}
	}
	return names[0]
}

func storeNames(all []string) ([]name.Name, error) {
	var names []name.Name
	for _, s := range all {
		n, err := name.InStore(s)
		if err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, nil
}

func texts(names []name.Name) []string {
	var all []string
	for _, n := range names {
		all = append(all, n.String())
	}
	return all
}

// pick takes the image out of a bundle that the part after the path of an archive means: a name, or @NUMBER for the
// place in the archive. The image then has that name alone. An empty part means all images.
func pick(sources []source, which string) ([]source, error) {
	if which == "" {
		return sources, nil
	}
	if number, ok := strings.CutPrefix(which, "@"); ok {
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(sources) {
			return nil, fmt.Errorf("%q is not the place of an image: there are %d, counted from 0", which, len(sources))
		}
		return sources[i : i+1], nil
	}
	want, err := name.InStore(which)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		for _, n := range s.names {
			if have, err := name.InStore(n); err == nil && have == want {
				return []source{{ref: s.ref, names: []string{n}}}, nil
			}
		}
	}
	return nil, fmt.Errorf("no image called %q in it, but %s", which, strings.Join(allNames(sources), ", "))
}

func allNames(sources []source) []string {
	var all []string
	for i, s := range sources {
		all = append(all, s.names...)
		if len(s.names) == 0 {
			all = append(all, "@"+strconv.Itoa(i))
		}
	}
	return all
}
