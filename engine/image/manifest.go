//go:build containers_image_openpgp

package image

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/transports"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// What the store keeps of a list is what Podman keeps: an image without layers whose manifest is the index, and beside it
// where each image of the list comes from. The entry without a digest is the list's own ID.
const instancesKey = "instances.json"

// ErrNotList says that an image is no list.
var ErrNotList = errors.New("it is an image, not a list of images")

// IsList tells whether a manifest of this type is a list.
func IsList(mime string) bool { return manifest.MIMETypeIsMultiImage(mime) }

// A list is a manifest list of the store.
type list struct {
	id        string
	index     imgspecv1.Index
	instances map[digest.Digest]string // where each image comes from, with its transport
	artifacts listArtifacts
}

// put adds an entry, in the place of one with the same digest.
func (l *list) put(d imgspecv1.Descriptor) {
	l.index.Manifests = slices.DeleteFunc(l.index.Manifests, func(o imgspecv1.Descriptor) bool { return o.Digest == d.Digest })
	l.index.Manifests = append(l.index.Manifests, d)
}

// Index returns what a list of the store holds.
func (im *Images) Index(s string) (imgspecv1.Index, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return imgspecv1.Index{}, err
	}
	l, err := im.readList(img.ID)
	if err != nil {
		return l.index, fmt.Errorf("%s: %w", s, err)
	}
	return l.index, nil
}

func (im *Images) readList(id string) (list, error) {
	l := list{id: id, instances: map[digest.Digest]string{}}
	raw, err := im.store.ImageBigData(id, manifestKey)
	if err != nil {
		return l, fmt.Errorf("read the list %s: %w", id[:12], err)
	}
	if !manifest.MIMETypeIsMultiImage(manifest.GuessMIMEType(raw)) {
		return l, ErrNotList
	}
	if err := json.Unmarshal(raw, &l.index); err != nil {
		return l, fmt.Errorf("read the list %s: %w", id[:12], err)
	}
	data, err := im.store.ImageBigData(id, instancesKey)
	if err == nil {
		err = json.Unmarshal(data, &l.instances)
	}
	if err != nil {
		return l, fmt.Errorf("read where the images of the list %s come from: %w", id[:12], err)
	}
	l.artifacts, err = im.readArtifacts(id)
	return l, err
}

// CreateList makes an empty list, or returns the one that is there under amend.
func (im *Images) CreateList(s string, amend bool, annotations map[string]string) (string, error) {
	names, err := storeNames([]string{s})
	if err != nil {
		return "", err
	}
	if old, err := im.named(names[0]); err == nil {
		if !amend {
			return "", fmt.Errorf("create the list %s: there is an image of that name: give --amend to change it when it is a list, or remove it first", s)
		}
		return old.ID, im.changeList(old.ID, func(l *list) error { annotate(&l.index.Annotations, annotations); return nil })
	} else if !errors.Is(err, storage.ErrImageUnknown) {
		return "", fmt.Errorf("create the list %s: %w", s, err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	l := list{id: hex.EncodeToString(random), instances: map[digest.Digest]string{}, index: imgspecv1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imgspecv1.MediaTypeImageIndex, Manifests: []imgspecv1.Descriptor{}}}
	annotate(&l.index.Annotations, annotations)
	l.instances[""] = l.id
	data, err := l.data()
	if err == nil {
		_, err = im.store.CreateImage(l.id, texts(names), "", "", &storage.ImageOptions{BigData: data})
	}
	if err != nil {
		return "", fmt.Errorf("create the list %s: %w", s, err)
	}
	return l.id, nil
}

// data is what the store is to keep, where images come from first.
func (l list) data() ([]storage.ImageBigDataOption, error) {
	raw, err := json.Marshal(l.index)
	if err != nil {
		return nil, err
	}
	instances, err := json.Marshal(l.instances)
	artifacts, artifactsErr := json.Marshal(l.artifacts)
	return []storage.ImageBigDataOption{
		{Key: instancesKey, Data: instances, Digest: digest.FromBytes(instances)},
		{Key: artifactsKey, Data: artifacts, Digest: digest.FromBytes(artifacts)},
		{Key: manifestKey, Data: raw, Digest: digest.FromBytes(raw)},
	}, errors.Join(err, artifactsErr)
}

// changeList reads a list, lets change work on it and writes it, under the lock that Podman takes for the same.
func (im *Images) changeList(id string, change func(*list) error) error {
	lock, err := im.store.GetDigestLock(digest.NewDigestFromEncoded(digest.Canonical, id))
	if err != nil {
		return fmt.Errorf("lock the list %s: %w", id[:12], err)
	}
	lock.Lock()
	defer lock.Unlock()
	l, err := im.readList(id)
	if err != nil {
		return err
	}
	before := len(l.index.Manifests)
	if err := change(&l); err != nil {
		return err
	}
	data, err := l.data()
	if err != nil {
		return err
	}
	if len(l.index.Manifests) < before { // whenever this is cut short, it is known of each image in the index where it comes from
		slices.Reverse(data)
	}
	for _, d := range data {
		if err := im.store.SetImageBigData(id, d.Key, d.Data, manifest.Digest); err != nil {
			return fmt.Errorf("write the list %s: %w", id[:12], err)
		}
	}
	return nil
}

// annotate adds what more has, and makes the map when it is wanted.
func annotate(into *map[string]string, more map[string]string) {
	for k, v := range more {
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[k] = v
	}
}

// A Platform says for which machines an image of a list is; what is empty is left as it is.
type Platform struct {
	OS, Arch, Variant, OSVersion string
	OSFeatures                   []string
	Annotations                  map[string]string
}

func (p Platform) apply(d *imgspecv1.Descriptor) {
	to := imgspecv1.Platform{}
	if d.Platform != nil {
		to = *d.Platform
	}
	annotate(&d.Annotations, p.Annotations)
	if d.Platform == nil && p.everywhere() { // an artifact is for no platform
		return
	}
	to.OS, to.Architecture = orElse(p.OS, to.OS), orElse(p.Arch, to.Architecture)
	to.Variant, to.OSVersion = orElse(p.Variant, to.Variant), orElse(p.OSVersion, to.OSVersion)
	if len(p.OSFeatures) > 0 {
		to.OSFeatures = p.OSFeatures
	}
	d.Platform = &to
}

func (p Platform) everywhere() bool {
	return p.OS == "" && p.Arch == "" && p.Variant == "" && p.OSVersion == "" && len(p.OSFeatures) == 0
}

// An Addition is an image that a list is to have.
type Addition struct {
	Image    string // of the store, else of a registry, or with a transport
	All      bool   // of an image that is a list itself, all images and not only one
	Platform Platform
	Registry Registry
}

// AddToList adds an image to a list under the digest of its manifest, and returns the list's ID.
func (im *Images) AddToList(ctx context.Context, s string, a Addition) (string, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	if _, err := im.readList(img.ID); err != nil { // before anything is fetched
		return "", fmt.Errorf("%s: %w", s, err)
	}
	found, err := im.describe(ctx, a)
	if err != nil {
		return "", fmt.Errorf("add %s to the list %s: %w", a.Image, s, explain(err))
	}
	return img.ID, im.changeList(img.ID, func(l *list) error {
		for _, f := range found {
			if !a.All || len(found) == 1 {
				a.Platform.apply(&f.Descriptor)
			}
			l.put(f.Descriptor)
			if f.artifact != nil {
				l.artifacts.put(f.Digest, *f.artifact)
			} else {
				l.instances[f.Digest] = f.from
			}
		}
		return nil
	})
}

// An entry is one image of a list and where it comes from.
type entry struct {
	imgspecv1.Descriptor
	from     string
	artifact *listArtifacts // that has it, when it is an artifact of another list
}

// describe finds the image, or the images when it is a list.
func (im *Images) describe(ctx context.Context, a Addition) ([]entry, error) {
	sys := im.registryContext(a.Registry)
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = a.Platform.OS, a.Platform.Arch, a.Platform.Variant
	transport, rest := splitTransport(a.Image)
	if transport == "containers-storage" || transport == "docker" && rest == a.Image {
		img, _, err := im.lookup(rest)
		if err == nil {
			return im.describeLocal(ctx, img, sys, a.All)
		}
		if !errors.Is(err, ErrMissing) || transport == "containers-storage" {
			return nil, err
		}
	}
	ref, err := pushDestination(a.Image, "", nil)
	if err != nil {
		return nil, fmt.Errorf("it is not in the store, and %w", err)
	}
	return describe(ctx, ref, transports.ImageName(ref), sys, a.All)
}

func (im *Images) describeLocal(ctx context.Context, img *storage.Image, sys *types.SystemContext, all bool) ([]entry, error) {
	l, err := im.readList(img.ID)
	if errors.Is(err, ErrNotList) {
		ref, err := istorage.Transport.NewStoreReference(im.store, nil, img.ID)
		if err != nil {
			return nil, err
		}
		return describe(ctx, ref, im.storeName(img.ID), sys, false)
	}
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(l.index)
	if err != nil {
		return nil, err
	}
	found, err := choose(raw, imgspecv1.MediaTypeImageIndex, sys, all)
	for i := range found {
		if found[i].from = l.instances[found[i].Digest]; l.artifacts.Manifests[found[i].Digest] != "" {
			found[i].artifact = &l.artifacts
		}
	}
	return found, err
}

// storeName is an image of this store as Podman writes it: the library's own text has the options of the driver in it,
// which are not part of the place.
func (im *Images) storeName(id string) string {
	return fmt.Sprintf("containers-storage:[%s@%s+%s]@%s", im.store.GraphDriverName(), im.store.GraphRoot(), im.store.RunRoot(), id)
}

func describe(ctx context.Context, ref types.ImageReference, from string, sys *types.SystemContext, all bool) ([]entry, error) {
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return nil, explainPull(err, domain(ref))
	}
	defer src.Close()
	raw, mime, err := src.GetManifest(ctx, nil)
	if err != nil {
		return nil, explainPull(err, domain(ref))
	}
	var found []entry
	if manifest.MIMETypeIsMultiImage(mime) {
		found, err = choose(raw, mime, sys, all)
	} else {
		found, err = describeOne(ctx, src, sys, raw, mime)
	}
	for i := range found {
		found[i].from = from
	}
	return found, err
}

// choose takes one image out of a list, or all.
func choose(raw []byte, mime string, sys *types.SystemContext, all bool) ([]entry, error) {
	var index imgspecv1.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, err
	}
	var only digest.Digest
	if !all {
		parsed, err := manifest.ListFromBlob(raw, mime)
		if err != nil {
			return nil, err
		}
		if only, err = parsed.ChooseInstance(sys); err != nil {
			return nil, err
		}
	}
	var found []entry
	for _, m := range index.Manifests {
		if all || m.Digest == only {
			found = append(found, entry{Descriptor: m})
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it is a list without images")
	}
	return found, nil
}

func describeOne(ctx context.Context, src types.ImageSource, sys *types.SystemContext, raw []byte, mime string) ([]entry, error) {
	img, err := image.FromUnparsedImage(ctx, sys, image.UnparsedInstance(src, nil))
	if err != nil {
		return nil, err
	}
	c, err := img.OCIConfig(ctx)
	if err != nil {
		return nil, err
	}
	d, err := manifest.Digest(raw)
	platform := c.Platform
	return []entry{{Descriptor: imgspecv1.Descriptor{MediaType: mime, Digest: d, Size: int64(len(raw)), Platform: &platform}}}, err
}

// An IndexChange is what a list is to say of itself.
type IndexChange struct {
	Annotations map[string]string
	Subject     string // image that the list refers to; empty: as it is
}

// AnnotateIndex changes what a list says of itself, and returns its ID.
func (im *Images) AnnotateIndex(ctx context.Context, s string, c IndexChange) (string, error) {
	var subject *imgspecv1.Descriptor
	if c.Subject != "" {
		var err error
		if subject, err = im.subject(ctx, c.Subject, Registry{}); err != nil {
			return "", fmt.Errorf("list %s: %w", s, err)
		}
	}
	return im.editList(s, func(l *list) error {
		annotate(&l.index.Annotations, c.Annotations)
		if subject != nil {
			l.index.Subject = subject
		}
		return nil
	})
}

// AnnotateList changes what a list says of one of its images, and returns the list's ID.
func (im *Images) AnnotateList(s, instance string, p Platform) (string, error) {
	return im.editList(s, func(l *list) error {
		i, err := im.inList(*l, instance)
		if err == nil {
			p.apply(&l.index.Manifests[i])
		}
		return err
	})
}

// RemoveFromList takes an image out of a list, and returns the list's ID.
func (im *Images) RemoveFromList(s, instance string) (string, error) {
	return im.editList(s, func(l *list) error {
		i, err := im.inList(*l, instance)
		if err == nil {
			delete(l.instances, l.index.Manifests[i].Digest)
			l.artifacts.drop(l.index.Manifests[i].Digest)
			l.index.Manifests = slices.Delete(l.index.Manifests, i, i+1)
		}
		return err
	})
}

func (im *Images) editList(s string, change func(*list) error) (string, error) {
	img, _, err := im.lookup(s)
	if err == nil {
		if err = im.changeList(img.ID, change); err == nil {
			return img.ID, nil
		}
		err = fmt.Errorf("list %s: %w", s, err)
	}
	return "", err
}

// inList finds an image in a list by its digest, or by the name of an image of the store, and an artifact by one of its files.
func (im *Images) inList(l list, instance string) (int, error) {
	want := []digest.Digest{digest.Digest(instance)}
	if path, err := filepath.Abs(instance); err == nil {
		if d, there := l.artifacts.withFile(path); there {
			want[0] = d
		}
	}
	if !strings.HasPrefix(want[0].String(), "sha256:") {
		_, rest := splitTransport(instance)
		img, _, err := im.lookup(rest)
		if err != nil {
			return 0, err
		}
		want = img.Digests
	}
	for i, m := range l.index.Manifests {
		if slices.Contains(want, m.Digest) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("it has no image %s: manifest inspect shows the digests of those that it has", instance)
}

// RemoveList removes a name of a list, and with the last one the list. The images that it names stay.
func (im *Images) RemoveList(s string, o RemoveOptions) (Removed, error) {
	img, _, err := im.lookup(s)
	if err == nil {
		if _, err = im.readList(img.ID); err != nil {
			return Removed{}, fmt.Errorf("%s: %w", s, err)
		}
	}
	return im.Remove(s, o)
}

// ListExists tells whether the store has a list of this name; an image that is none is an error.
func (im *Images) ListExists(s string) (bool, error) {
	_, err := im.Index(s)
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil, err
}
