//go:build containers_image_openpgp

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/compression"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/transports"
	"go.podman.io/image/v5/types"
)

// RemoteManifest returns the manifest that a registry has under a name, a list's or an image's, and its type.
func (im *Images) RemoteManifest(ctx context.Context, s string, r Registry) ([]byte, string, error) {
	ref, err := pushDestination(s, "", nil)
	if err != nil {
		return nil, "", err
	}
	src, err := ref.NewImageSource(ctx, im.registryContext(r))
	if err != nil {
		return nil, "", fmt.Errorf("look at %s: %w", s, explainPull(err, domain(ref)))
	}
	defer src.Close()
	raw, mime, err := src.GetManifest(ctx, nil)
	if err != nil {
		return nil, "", fmt.Errorf("look at %s: %w", s, explainPull(err, domain(ref)))
	}
	return raw, mime, nil
}

func domain(ref types.ImageReference) string {
	if named := ref.DockerReference(); named != nil {
		return reference.Domain(named)
	}
	return ""
}

// ListPushOptions say how a list is to be written.
type ListPushOptions struct {
	PushOptions
	Add []string // compressions in which each image is to be there too
}

// PushList writes a list with its images, or without them when All is false: they must be there then. It returns the
// digest of the list as it was written, which changes with the images that are compressed on the way.
func (im *Images) PushList(ctx context.Context, s, dest string, o ListPushOptions) (digest.Digest, error) {
	img, full, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	l, err := im.readList(img.ID)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	to, err := pushDestination(dest, full, img)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	sys := im.registryContext(o.Registry)
	options, err := o.copyOptions(sys)
	if err == nil {
		options.EnsureCompressionVariantsExist, err = variants(o.Add)
	}
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	options.ImageListSelection = copy.CopySpecificImages
	if o.All {
		options.ImageListSelection = copy.CopyAllImages
	}
	signed, err := o.signed(sys, to)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	im.say("Pushing " + transports.ImageName(to))
	whole := o.All
	if !whole {
		l.instances = nil
	}
	src, err := im.listSource(ctx, l, sys, to)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, explain(err))
	}
	o.PushOptions.All = false
	raw, err := im.copyOut(ctx, src, to, options, o.PushOptions)
	err = errors.Join(err, src.close())
	if err == nil && o.SignBy != "" {
		err = signPushed(ctx, to, sys, pushedList{raw, whole, signed, gpg{ctx, o.Passphrase}, o.SignBy})
	}
	if err != nil {
		return "", fmt.Errorf("push %s to %s: %w", s, transports.ImageName(to), explainPull(err, domain(to)))
	}
	return manifest.Digest(raw)
}

// A pushedList is a list as a registry has it by now, and who is to sign it.
type pushedList struct {
	raw   []byte
	whole bool // with its images
	where signatures
	by    gpg
	key   string
}

// signPushed signs the images of a list as they were written, and the list last.
func signPushed(ctx context.Context, to types.ImageReference, sys *types.SystemContext, l pushedList) error {
	all := [][]byte{l.raw}
	if l.whole {
		src, err := to.NewImageSource(ctx, sys)
		if err != nil {
			return err
		}
		defer src.Close()
		parsed, err := manifest.ListFromBlob(l.raw, manifest.GuessMIMEType(l.raw))
		if err != nil {
			return err
		}
		images, err := instances(ctx, src, parsed.Instances())
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		all = append(images, l.raw)
	}
	for _, raw := range all {
		if err := l.where.sign(raw, l.by, l.key); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
	}
	return nil
}

// sourceContext is for the place that an image of a list comes from: credentials that were given for the destination are
// not shown to another registry.
func sourceContext(sys *types.SystemContext, from, to types.ImageReference) *types.SystemContext {
	if domain(from) == domain(to) {
		return sys
	}
	own := *sys
	own.DockerAuthConfig, own.DockerCertPath = nil, ""
	return &own
}

func variants(names []string) ([]copy.OptionCompressionVariant, error) {
	var all []copy.OptionCompressionVariant
	for _, n := range names {
		algorithm, err := compression.AlgorithmByName(n)
		if err != nil || (n != "gzip" && !strings.HasPrefix(n, "zstd")) {
			return nil, fmt.Errorf("--add-compression %s: use gzip, zstd or zstd:chunked", n)
		}
		all = append(all, copy.OptionCompressionVariant{Algorithm: algorithm})
	}
	return all, nil
}

// A listSource gives a list of the store and the images in it, each from where it comes from. It is its own reference.
type listSource struct {
	types.ImageReference // of the list in the store
	to                   types.ImageReference
	sys                  *types.SystemContext
	raw                  []byte
	mime                 string
	parts                map[digest.Digest]part
	blobs                map[digest.Digest]types.ImageSource // which source has a blob
	open                 map[string]types.ImageSource
}

// A part is one image of the list: its source, and under which instance that has it.
type part struct {
	types.ImageSource
	instance *digest.Digest
	raw      []byte
	mime     string
	layers   []types.BlobInfo // that the source would rather hand out: the store has layers as they are unpacked
}

// listSource opens a list to be written to a place, with the images of which it is known where they come from, unless of
// none it is.
func (im *Images) listSource(ctx context.Context, l list, sys *types.SystemContext, to types.ImageReference) (*listSource, error) {
	ref, err := istorage.Transport.NewStoreReference(im.store, nil, l.id)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(l.index)
	if err != nil {
		return nil, err
	}
	s := &listSource{ImageReference: ref, to: to, sys: sys, raw: raw, mime: manifest.GuessMIMEType(raw),
		parts: map[digest.Digest]part{}, blobs: map[digest.Digest]types.ImageSource{}, open: map[string]types.ImageSource{}}
	if l.instances == nil {
		return s, nil
	}
	for _, m := range l.index.Manifests {
		if raw, is := l.artifacts.Manifests[m.Digest]; is {
			p := part{ImageSource: artifactSource{ref, l.artifacts}, instance: &m.Digest, raw: []byte(raw), mime: artifactManifest}
			s.parts[m.Digest] = p
			if err := s.remember(p); err != nil {
				return nil, errors.Join(fmt.Errorf("artifact %s: %w", m.Digest, err), s.close())
			}
			continue
		}
		if err := im.addPart(ctx, s, m.Digest, l.instances[m.Digest]); err != nil {
			return nil, errors.Join(fmt.Errorf("image %s: %w", m.Digest, err), s.close())
		}
	}
	return s, nil
}

// addPart opens where an image comes from. What the signature policy does not allow to be pulled is not pushed on either;
// what is in the store was checked when it came in.
func (im *Images) addPart(ctx context.Context, s *listSource, d digest.Digest, from string) error {
	if from == "" {
		return errors.New("it is not known where it comes from: remove it from the list and add it again")
	}
	src, local := s.open[from], strings.HasPrefix(from, "containers-storage:")
	if src == nil {
		ref, err := im.partReference(from)
		if err != nil {
			return err
		}
		if src, err = ref.NewImageSource(ctx, sourceContext(s.sys, ref, s.to)); err != nil {
			return err
		}
		s.open[from] = src
	}
	p := part{ImageSource: src}
	var err error
	if p.raw, p.mime, err = src.GetManifest(ctx, nil); err != nil {
		return err
	}
	if is, _ := manifest.MatchesDigest(p.raw, d); !is {
		p.instance = &d
		if p.raw, p.mime, err = src.GetManifest(ctx, p.instance); err != nil {
			return fmt.Errorf("%s does not have it any more: %w", from, err)
		}
	}
	if is, _ := manifest.MatchesDigest(p.raw, d); !is {
		return fmt.Errorf("%s gives another image than the one that was added", from)
	}
	if !local {
		if err := allowed(ctx, s.sys, image.UnparsedInstance(src, p.instance)); err != nil {
			return err
		}
	}
	if p.layers, err = src.LayerInfosForCopy(ctx, p.instance); err != nil {
		return err
	}
	s.parts[d] = p
	return s.remember(p)
}

// partReference opens the places that Podman writes too.
func (im *Images) partReference(from string) (types.ImageReference, error) {
	rest, local := strings.CutPrefix(from, "containers-storage:")
	if !local {
		return pushDestination(from, "", nil)
	}
	img, _, err := im.lookup(rest[strings.LastIndexByte(rest, '@')+1:])
	if err != nil {
		return nil, err
	}
	return istorage.Transport.NewStoreReference(im.store, nil, img.ID)
}

// allowed asks the signature policy.
func allowed(ctx context.Context, sys *types.SystemContext, img *image.UnparsedImage) error {
	trust, err := policy(sys)
	if err != nil {
		return err
	}
	defer trust.Destroy()
	if yes, err := trust.IsRunningImageAllowed(ctx, img); err != nil || !yes {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return refusal{err}
	}
	return nil
}

// remember notes which source has the blobs of a part: who asks for a blob does not say for which image.
func (s *listSource) remember(p part) error {
	m, err := manifest.FromBlob(p.raw, p.mime)
	if err != nil {
		return err
	}
	s.blobs[m.ConfigInfo().Digest] = p.ImageSource
	for _, l := range m.LayerInfos() {
		s.blobs[l.Digest] = p.ImageSource
	}
	for _, l := range p.layers {
		s.blobs[l.Digest] = p.ImageSource
	}
	return nil
}

// NewImageSource lends the source, which outlives the copy: it may be made again.
func (s *listSource) NewImageSource(context.Context, *types.SystemContext) (types.ImageSource, error) {
	return lentList{s}, nil
}

func (s *listSource) close() error {
	var errs []error
	for _, src := range s.open {
		errs = append(errs, src.Close())
	}
	return errors.Join(errs...)
}

// A lentList is a listSource as the library wants it.
type lentList struct{ *listSource }

// Reference is the list in the store.
func (s lentList) Reference() types.ImageReference { return s.ImageReference }

// Close does nothing: the owner closes.
func (s lentList) Close() error { return nil }

// GetManifest gives the list, or the manifest of an image in it.
func (s lentList) GetManifest(_ context.Context, instance *digest.Digest) ([]byte, string, error) {
	if instance == nil {
		return s.raw, s.mime, nil
	}
	p, err := s.part(instance)
	return p.raw, p.mime, err
}

func (s lentList) part(instance *digest.Digest) (part, error) {
	p, known := s.parts[*instance]
	if !known {
		return p, fmt.Errorf("the list has no image %s", *instance)
	}
	return p, nil
}

// GetBlob asks the source that has the blob.
func (s lentList) GetBlob(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache) (io.ReadCloser, int64, error) {
	src := s.blobs[info.Digest]
	if src == nil {
		return nil, -1, fmt.Errorf("no image of the list has the blob %s", info.Digest)
	}
	return src.GetBlob(ctx, info, cache)
}

// HasThreadSafeGetBlob is true when it is so for all sources.
func (s lentList) HasThreadSafeGetBlob() bool {
	for _, src := range s.open {
		if !src.HasThreadSafeGetBlob() {
			return false
		}
	}
	return true
}

// GetSignatures gives those of an image; a list has none until it is on a registry.
func (s lentList) GetSignatures(ctx context.Context, instance *digest.Digest) ([][]byte, error) {
	if instance == nil {
		return nil, nil
	}
	p, err := s.part(instance)
	if err != nil {
		return nil, err
	}
	return p.GetSignatures(ctx, p.instance)
}

// LayerInfosForCopy gives the layers that the source would rather hand out.
func (s lentList) LayerInfosForCopy(_ context.Context, instance *digest.Digest) ([]types.BlobInfo, error) {
	if instance == nil {
		return nil, nil
	}
	p, err := s.part(instance)
	return p.layers, err
}
