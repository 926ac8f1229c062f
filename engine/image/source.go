//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	encconfig "github.com/containers/ocicrypt/config"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
)

// A remote is an image on a registry whose manifest is known and has been found to be allowed by the signature policy.
// It gives that one manifest and no other, and layers that survive a broken link or a killed process (download.go).
type remote struct {
	types.ImageSource
	keep     partials
	retry    PullOptions
	say      func(string)
	waiting  func()
	arrived  func(int)
	instance *digest.Digest // of the chosen image, when the name stands for a list
	raw      []byte         // the manifest that was checked
	mime     string
	layers   []types.BlobInfo
	id       string                   // that the image will have
	keys     *encconfig.DecryptConfig // for layers that are encrypted; nil when none is
	extra    bool                     // there are signatures of a kind that only the library's own source can hand on

	mu    sync.Mutex
	taken []string // files that were read from or written to
}

// remote asks the registry for the manifest and lets the signature policy decide, before a single layer is fetched.
func (im *Images) remote(ctx context.Context, ref types.ImageReference, sys *types.SystemContext, o PullOptions) (*remote, error) {
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	r := &remote{ImageSource: src, keep: partials{im.partialDir()}, retry: o, say: im.say, arrived: func(int) {},
		waiting: func() { im.report(Progress{Image: ref.StringWithinTransport(), Elsewhere: true}) }}
	err = r.check(ctx, sys)
	if err == nil {
		err = im.roomFor(r.layers, r.keep)
	}
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return r, nil
}

// check chooses the image from a list, as the copy will, and asks the policy about it.
func (r *remote) check(ctx context.Context, sys *types.SystemContext) error {
	raw, mime, err := image.UnparsedInstance(r.ImageSource, nil).Manifest(ctx)
	if err != nil {
		return err
	}
	if manifest.MIMETypeIsMultiImage(mime) {
		list, err := manifest.ListFromBlob(raw, mime)
		if err != nil {
			return fmt.Errorf("read the list of images: %w", err)
		}
		d, err := list.ChooseInstance(sys)
		if err != nil {
			return err
		}
		r.instance = &d
	}
	chosen := image.UnparsedInstance(r.ImageSource, r.instance)
	// All that is asked of the network is asked before the policy is: that something is cut short in a signature is no broken link.
	if _, _, err := chosen.Manifest(ctx); err != nil {
		return err
	}
	if _, err := chosen.UntrustedSignatures(ctx); err != nil {
		return fmt.Errorf("fetch the signatures: %w", err)
	}
	if err := allowed(ctx, sys, chosen); err != nil {
		return err
	}
	return r.read(ctx, sys, chosen)
}

// A refusal is what the signature policy said.
type refusal struct{ reason error }

func (r refusal) Error() string {
	return "refused by the signature policy: " + r.reason.Error() + " (policy.json decides, see containers-policy.json(5))"
}
func (r refusal) Unwrap() error { return r.reason }

func (r *remote) read(ctx context.Context, sys *types.SystemContext, chosen *image.UnparsedImage) (err error) {
	if r.raw, r.mime, err = chosen.Manifest(ctx); err != nil {
		return err
	}
	img, err := image.FromUnparsedImage(ctx, sys, chosen)
	if err != nil {
		return err
	}
	if err := checkDigests(img); err != nil {
		return err
	}
	r.layers = img.LayerInfos()
	if n := len(r.layers); n > maxLayers {
		return fmt.Errorf("the image has %d layers, at most %d can be stacked", n, maxLayers)
	}
	encrypted, err := unlock(r.layers, r.retry.keys)
	if err != nil {
		return err
	}
	if encrypted {
		r.keys = r.retry.keys
		if r.id, err = configID(img); err != nil {
			return err
		}
	}
	all, err := chosen.UntrustedSignatures(ctx)
	if err != nil {
		return err
	}
	simple, err := chosen.Signatures(ctx)
	r.extra = len(all) > len(simple)
	return err
}

// GetManifest gives what was checked. Another image of the list has not been, so it is not there.
func (r *remote) GetManifest(ctx context.Context, instance *digest.Digest) ([]byte, string, error) {
	switch {
	case instance != nil && (r.instance == nil || *instance != *r.instance):
		return nil, "", fmt.Errorf("manifest %s was not checked against the signature policy", *instance)
	case instance == nil && r.instance != nil:
		return r.ImageSource.GetManifest(ctx, nil) // the list, which the source remembers
	}
	return r.raw, r.mime, nil
}

// GetBlob resumes what is on disk already. A blob of unknown size is passed through.
func (r *remote) GetBlob(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache) (io.ReadCloser, int64, error) {
	if info.Size <= 0 || len(info.URLs) > 0 || !r.isLayer(info.Digest) {
		return r.ImageSource.GetBlob(ctx, info, cache)
	}
	f, err := r.keep.open(ctx, info.Digest, r.waiting)
	if err != nil {
		return nil, -1, err
	}
	r.mu.Lock()
	r.taken = append(r.taken, f.Name())
	r.mu.Unlock()
	d, err := newDownload(ctx, f, info, r.retry)
	if err != nil {
		return nil, -1, errors.Join(err, f.Close())
	}
	d.say, d.arrived = r.say, r.arrived
	d.connect = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		return r.from(ctx, info, cache, offset)
	}
	return d, info.Size, nil
}

func (r *remote) isLayer(d digest.Digest) bool {
	for _, l := range r.layers {
		if l.Digest == d {
			return true
		}
	}
	return false
}

// from opens the blob at an offset. A registry that will not give a part gives the whole, the beginning of which is
// passed over.
func (r *remote) from(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache, offset int64) (io.ReadCloser, error) {
	if offset > 0 {
		body, err := blobAt(ctx, r.ImageSource, info, offset)
		if err == nil || transient(err) || ctx.Err() != nil {
			return body, err
		}
	}
	body, _, err := r.ImageSource.GetBlob(ctx, info, cache)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, body, offset); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return body, nil
}

// forget removes the files of a pull that is done: the store has what was in them.
func (r *remote) forget() { r.keep.remove(r.taken) }

// A verified is a reference to a remote, for the copy. The source outlives the copy, which may be made twice.
type verified struct {
	types.ImageReference
	src *remote
}

// NewImageSource lends the one source.
func (v verified) NewImageSource(context.Context, *types.SystemContext) (types.ImageSource, error) {
	return lent{v.src}, nil
}

// A lent source is closed by its owner, not by who has borrowed it.
type lent struct{ *remote }

// Close does nothing.
func (lent) Close() error { return nil }

// abandonAfter is how long the beginning of a layer is kept that nobody comes back for.
const abandonAfter = 7 * 24 * time.Hour
