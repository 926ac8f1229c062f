//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	encconfig "github.com/containers/ocicrypt/config"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/signature"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/name"
)

// reportEvery bounds how often a layer says how far it is.
const reportEvery = 250 * time.Millisecond

// A job is one image to be stored.
type job struct {
	src     types.ImageReference
	sys     *types.SystemContext
	name    name.Name // the full name it is to have; when it is zero the image is stored under id and no name
	id      string
	more    []name.Name              // names that it gets once it is stored
	keys    *encconfig.DecryptConfig // for layers that are encrypted; nil when none is
	checked bool                     // src gives nothing but what the signature policy has allowed
	meter   *meter                   // counts what comes over the network; nil when nothing does
}

// copyIn stores an image and returns its ID. On an error no image has been stored, but layers may have been: load sweeps
// them away, pull keeps them for the next try.
func (im *Images) copyIn(ctx context.Context, j job) (string, error) {
	leave, err := im.copying()
	if err != nil {
		return "", err
	}
	defer leave()
	store := &unnamed{Store: im.store, naming: im.naming}
	defer store.Close()
	dest, err := destination(store, j.name, j.id)
	if err != nil {
		return "", err
	}
	trust, err := j.policy()
	if err != nil {
		return "", err
	}
	defer trust.Destroy()
	if slices.Contains(im.store.GraphOptions(), "overlay."+syncOption) {
		defer flushBehind(im.store.GraphRoot())()
	}
	events, stop := im.count(label(j.name, j.id), j.meter)
	var stored types.ImageReference
	_, err = copy.Image(ctx, trust, dest, im.bound(j.src), &copy.Options{
		SourceCtx: j.sys, DestinationCtx: j.sys,
		Progress: events, ProgressInterval: reportEvery,
		ReportResolvedReference: &stored,
		// What is decrypted has another manifest, of which no signature tells. Those of the encrypted one were asked for before.
		OciDecryptConfig: j.keys, RemoveSignatures: j.keys != nil,
	})
	stop()
	if err != nil {
		return "", im.space(err)
	}
	id, err := resolvedID(stored)
	if err == nil && len(j.more) > 0 {
		if err = im.store.AddNames(id, texts(j.more)); err != nil {
			err = fmt.Errorf("name the image %s: %w", id[:12], err)
		}
	}
	return id, err
}

func (j job) policy() (*signature.PolicyContext, error) {
	if j.checked {
		return signature.NewPolicyContext(&signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}})
	}
	return policy(j.sys)
}

// copyRemote stores an image from a registry under the name n. Signatures of the kinds that only the library's own source
// can hand on are stored by a second copy, for which all layers are there already.
func (im *Images) copyRemote(ctx context.Context, ref types.ImageReference, n name.Name, sys *types.SystemContext, o PullOptions) (id string, err error) {
	src, err := im.remote(ctx, ref, sys, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	m := &meter{}
	src.arrived = m.add
	j := job{src: verified{ref, src}, sys: sys, name: n, checked: true, meter: m, keys: src.keys}
	if src.keys != nil && n.Digest != "" { // which is not the digest of what comes out: the library wants no name then
		j.name, j.id, j.more = name.Name{}, src.id, []name.Name{n}
	}
	id, err = im.copyIn(ctx, j)
	if err == nil && src.extra && src.keys == nil {
		id, err = im.copyIn(ctx, job{src: ref, sys: sys, name: n})
	}
	if err == nil || damaged(err) { // what was damaged on its way is not taken up again
		src.forget()
	}
	return id, err
}

// count reports progress from the events that are sent to the channel it returns, until stop is called.
// The channel is never closed, so that an event which is still on its way after an error harms nobody.
func (im *Images) count(label string, m *meter) (events chan types.ProgressProperties, stop func()) {
	events = make(chan types.ProgressProperties)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := newTally(label, time.Now(), m)
		for {
			select {
			case e := <-events:
				im.report(t.add(e, time.Now()))
			case <-end:
				return
			}
		}
	}()
	return events, func() { close(end); <-ended }
}

func destination(store storage.Store, n name.Name, id string) (types.ImageReference, error) {
	if n == (name.Name{}) {
		return istorage.Transport.NewStoreReference(store, nil, id)
	}
	named, err := reference.ParseNormalizedNamed(n.String())
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", n, err)
	}
	return istorage.Transport.NewStoreReference(store, named, "")
}

func label(n name.Name, id string) string {
	if n == (name.Name{}) {
		return id[:min(12, len(id))]
	}
	return n.String()
}

func resolvedID(stored types.ImageReference) (string, error) {
	_, img, err := istorage.ResolveReference(stored)
	if err != nil {
		return "", fmt.Errorf("find the image that was just stored: %w", err)
	}
	return img.ID, nil
}
