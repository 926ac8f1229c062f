//go:build containers_image_openpgp

package image

import (
	"context"
	"fmt"
	"time"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker/reference"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/image/name"
)

// reportEvery bounds how often a layer says how far it is.
const reportEvery = 250 * time.Millisecond

// copyIn stores the image that src points to under the full name n; with the zero name under id and no name.
// It returns the ID. On an error no image has been stored, but layers may have been: load sweeps them away, pull keeps
// them for the next try.
func (im *Images) copyIn(ctx context.Context, src types.ImageReference, sys *types.SystemContext, n name.Name, id string) (string, error) {
	leave, err := im.copying()
	if err != nil {
		return "", err
	}
	defer leave()
	dest, err := im.destination(n, id)
	if err != nil {
		return "", err
	}
	trust, err := policy(sys)
	if err != nil {
		return "", err
	}
	defer trust.Destroy()
	events, stop := im.count(label(n, id))
	var stored types.ImageReference
	_, err = copy.Image(ctx, trust, dest, src, &copy.Options{
		SourceCtx: sys, DestinationCtx: sys,
		Progress: events, ProgressInterval: reportEvery,
		ReportResolvedReference: &stored,
	})
	stop()
	if err != nil {
		return "", err
	}
	return resolvedID(stored)
}

// count reports progress from the events that are sent to the channel it returns, until stop is called.
// The channel is never closed, so that an event which is still on its way after an error harms nobody.
func (im *Images) count(label string) (events chan types.ProgressProperties, stop func()) {
	events = make(chan types.ProgressProperties)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := newTally(label, time.Now())
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

func (im *Images) destination(n name.Name, id string) (types.ImageReference, error) {
	if n == (name.Name{}) {
		return istorage.Transport.NewStoreReference(im.store, nil, id)
	}
	named, err := reference.ParseNormalizedNamed(n.String())
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", n, err)
	}
	return istorage.Transport.NewStoreReference(im.store, named, "")
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
