//go:build containers_image_openpgp

package image

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"
)

// packedFrom is the size from which a blob of an OCI archive is read where it lies; smaller ones, manifests and configs among
// them, are unpacked beforehand.
const packedFrom = 16 << 20

// A packed reference is that of a layout whose large blobs are read from the archive, so that they need not be written once more.
type packed struct {
	types.ImageReference
	blobs map[digest.Digest]*io.SectionReader
}

// NewImageSource opens the layout.
func (p packed) NewImageSource(ctx context.Context, sys *types.SystemContext) (types.ImageSource, error) {
	src, err := p.ImageReference.NewImageSource(ctx, sys)
	return packedSource{src, p.blobs}, err
}

type packedSource struct {
	types.ImageSource
	blobs map[digest.Digest]*io.SectionReader
}

// GetBlob implements types.ImageSource. The digest is compared by whoever copies.
func (s packedSource) GetBlob(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache) (io.ReadCloser, int64, error) {
	blob := s.blobs[info.Digest]
	if blob == nil {
		return s.ImageSource.GetBlob(ctx, info, cache)
	}
	return io.NopCloser(io.NewSectionReader(blob, 0, blob.Size())), blob.Size(), nil
}
