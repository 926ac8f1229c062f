//go:build containers_image_openpgp

package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"
)

// A bounded reference gives up an image that does not fit before its layers are unpacked: what is compressed says at its
// beginning or its end how large it is, or was in part. Whoever lies there is ended by the full disk.
type bounded struct {
	types.ImageReference
	dir  string
	free int64

	mu   sync.Mutex
	need int64 // of the layers whose size is known by now
}

// bound wraps what an image is read from. A source that may have signatures of a kind that the library does not hand
// through others is left as it is: of a directory the layers are looked at beforehand.
func (im *Images) bound(ref types.ImageReference) types.ImageReference {
	_, ours := ref.(verified)
	free, err := freeIn(im.store.GraphRoot())
	if err != nil {
		return ref
	}
	b := &bounded{ImageReference: ref, dir: im.store.GraphRoot(), free: free}
	switch ref.Transport().Name() {
	case "docker-archive", "oci-archive", "oci":
		return b
	case directory.Transport.Name():
		return measured{b, im.hasLayer}
	}
	if ours {
		return b
	}
	return ref
}

// A measured reference is that of a directory, whose files can be looked at before they are read.
type measured struct {
	*bounded
	stored func(digest.Digest) bool // layers that are there already
}

// NewImageSource opens the directory when its image fits.
func (m measured) NewImageSource(ctx context.Context, sys *types.SystemContext) (types.ImageSource, error) {
	src, err := m.ImageReference.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	if err := m.measure(ctx, src, sys); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return src, nil
}

// measure passes over what it does not understand: the copy tells of that.
func (m measured) measure(ctx context.Context, src types.ImageSource, sys *types.SystemContext) error {
	raw, mime, err := src.GetManifest(ctx, nil)
	if err != nil {
		return err
	}
	if manifest.MIMETypeIsMultiImage(mime) {
		list, err := manifest.ListFromBlob(raw, mime)
		if err != nil {
			return err
		}
		chosen, err := list.ChooseInstance(sys)
		if err != nil {
			return err
		}
		if raw, mime, err = src.GetManifest(ctx, &chosen); err != nil {
			return err
		}
	}
	parsed, err := manifest.FromBlob(raw, mime)
	if err != nil {
		return err
	}
	seen := map[digest.Digest]bool{}
	for _, l := range parsed.LayerInfos() {
		if seen[l.Digest] || m.stored(l.Digest) {
			continue
		}
		seen[l.Digest] = true
		body, _, err := src.GetBlob(ctx, l.BlobInfo, noCache{})
		if err != nil {
			return err
		}
		err = m.ends(body)
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
	}
	return nil
}

// ends reads the beginning and the end of a file, and counts how large it says that it is.
func (m measured) ends(body io.Reader) error {
	s := &sizing{by: m.bounded}
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := io.ReadFull(body, head)
	short := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !short {
		return err
	}
	if file, ok := body.(io.ReadSeeker); ok && !short {
		if err := s.look(head[:n], false); err != nil {
			return err
		}
		if _, err := file.Seek(-4, io.SeekEnd); err != nil {
			return err
		}
		if n, err = io.ReadFull(file, head[:4]); err != nil {
			return err
		}
	}
	return s.look(head[:n], true)
}

// NewImageSource opens what is wrapped.
func (b *bounded) NewImageSource(ctx context.Context, sys *types.SystemContext) (types.ImageSource, error) {
	src, err := b.ImageReference.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	return boundedSource{src, b}, nil
}

// wants counts bytes that the store is to have.
func (b *bounded) wants(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.need += n; b.need <= b.free {
		return nil
	}
	return noRoom{b.dir, b.free, b.need}
}

// noRoom says that something does not fit, before it was tried.
type noRoom struct {
	dir        string
	free, need int64
}

func (e noRoom) Error() string {
	return fmt.Sprintf("%s has %s free, and the image needs %s at least when it is unpacked: remove images with berth image prune, or make room there",
		e.dir, HumanSize(e.free), HumanSize(e.need))
}
func (noRoom) Unwrap() error { return unix.ENOSPC }

type boundedSource struct {
	types.ImageSource
	by *bounded
}

// GetBlob looks at what comes by.
func (s boundedSource) GetBlob(ctx context.Context, info types.BlobInfo, cache types.BlobInfoCache) (io.ReadCloser, int64, error) {
	body, size, err := s.ImageSource.GetBlob(ctx, info, cache)
	if err != nil {
		return nil, size, err
	}
	return &sizing{ReadCloser: body, by: s.by}, size, nil
}

// sizing finds out how large a compressed blob is when it is unpacked.
type sizing struct {
	io.ReadCloser
	by   *bounded
	head []byte
	tail []byte // the last four bytes of gzip
	done bool
}

var gzipMagic = []byte{0x1f, 0x8b}

// Read passes on what it reads, and an error instead of the end when there is no room for it.
func (s *sizing) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if room := s.look(p[:n], err == io.EOF); room != nil {
		return 0, room
	}
	return n, err
}

func (s *sizing) look(p []byte, end bool) error {
	if s.done {
		return nil
	}
	if missing := zstd.HeaderMaxSize - len(s.head); missing > 0 {
		s.head = append(s.head, p[:min(len(p), missing)]...)
	}
	s.tail = append(s.tail, p[max(0, len(p)-4):]...)
	s.tail = s.tail[max(0, len(s.tail)-4):]
	if gzip := bytes.HasPrefix(s.head, gzipMagic); gzip && end && len(s.tail) == 4 {
		s.done = true
		return s.by.wants(int64(binary.LittleEndian.Uint32(s.tail)))
	} else if gzip || !end && len(s.head) < zstd.HeaderMaxSize {
		return nil
	}
	s.done = true
	var h zstd.Header
	if h.Decode(s.head) != nil || !h.HasFCS || h.Skippable || h.FrameContentSize > 1<<62 {
		return nil
	}
	return s.by.wants(int64(h.FrameContentSize))
}
