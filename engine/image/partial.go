//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// partials is the directory with the layers that are being fetched, each in a file that is called after its digest and is
// only ever appended to. A process that is killed leaves the file, and the next one goes on where it ends. Who reads or
// writes a file has a lock on it.
type partials struct{ dir string }

func (im *Images) partialDir() string { return filepath.Join(im.store.GraphRoot(), "berth-partial") }

// open returns the locked file of a layer, waiting while another process fetches it. That one may have removed the file
// when it was done: what it has fetched is then still in the file that was opened, and is not fetched again.
func (p partials) open(ctx context.Context, d digest.Digest, waiting func()) (*os.File, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d, err)
	}
	f, err := p.create(d)
	if err != nil {
		return nil, err
	}
	if err := lock(ctx, f, waiting); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// create opens the file. Who is done with the last one removes the directory, perhaps right now.
func (p partials) create(d digest.Digest) (*os.File, error) {
	for {
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(p.path(d), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
	}
}

func (p partials) path(d digest.Digest) string {
	return filepath.Join(p.dir, d.Algorithm().String()+"-"+d.Encoded())
}

// have is how many bytes of a layer are there.
func (p partials) have(d digest.Digest) int64 {
	info, err := os.Stat(p.path(d))
	if err != nil {
		return 0
	}
	return info.Size()
}

// remove takes files away, and the directory with the last one.
func (p partials) remove(files []string) {
	for _, f := range files {
		_ = os.Remove(f)
	}
	_ = os.Remove(p.dir)
}

// sweep removes what nobody has come back for.
func (p partials) sweep(now time.Time) {
	entries, _ := os.ReadDir(p.dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < abandonAfter {
			continue
		}
		path := filepath.Join(p.dir, e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if atomicfile.TryLock(f) == nil {
			_ = os.Remove(path)
		}
		f.Close()
	}
	_ = os.Remove(p.dir)
}

// roomFor refuses an image for which the store's file system has not even room as it is on the registry.
func (im *Images) roomFor(layers []types.BlobInfo, keep partials) error {
	var need int64
	for _, l := range layers {
		if !im.hasLayer(l.Digest) {
			need += max(l.Size-keep.have(l.Digest), 0)
		}
	}
	dir := im.store.GraphRoot()
	if free, err := freeIn(dir); err == nil && need > free {
		return fmt.Errorf("%w: %s has %s free, and the image needs %s at least: remove images with berth image prune, or make room there",
			unix.ENOSPC, dir, HumanSize(free), HumanSize(need))
	}
	return nil
}

func (im *Images) hasLayer(d digest.Digest) bool {
	if found, err := im.store.LayersByCompressedDigest(d); err == nil && len(found) > 0 {
		return true
	}
	found, err := im.store.LayersByUncompressedDigest(d)
	return err == nil && len(found) > 0
}

func freeIn(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// blobAt asks for a blob from an offset on. The library's registry source can do that, for the sake of images of which
// only parts are fetched; the method is exported, but one of its types cannot be named outside of the library.
func blobAt(ctx context.Context, src types.ImageSource, info types.BlobInfo, offset int64) (io.ReadCloser, error) {
	method := reflect.ValueOf(src).MethodByName("GetBlobAt")
	if !method.IsValid() || method.Type().NumIn() != 3 || method.Type().In(2).Kind() != reflect.Slice {
		return nil, errNoParts
	}
	chunks := reflect.MakeSlice(method.Type().In(2), 1, 1)
	from, length := chunks.Index(0).FieldByName("Offset"), chunks.Index(0).FieldByName("Length")
	if !from.IsValid() || !length.IsValid() {
		return nil, errNoParts
	}
	from.SetUint(uint64(offset))
	length.SetUint(uint64(info.Size - offset))
	out := method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(info), chunks})
	if err, _ := out[2].Interface().(error); err != nil {
		return nil, err
	}
	streams, isStreams := out[0].Interface().(chan io.ReadCloser)
	errs, isErrs := out[1].Interface().(chan error)
	if !isStreams || !isErrs {
		return nil, errNoParts
	}
	return firstStream(ctx, streams, errs)
}

var errNoParts = errors.New("the registry source gives no parts of blobs")

// firstStream returns the one stream that was asked for. The channels must be read until they are closed, as the library
// writes to them.
func firstStream(ctx context.Context, streams chan io.ReadCloser, errs chan error) (io.ReadCloser, error) {
	select {
	case body, ok := <-streams:
		if !ok {
			if err := <-errs; err != nil {
				return nil, err
			}
			return nil, io.ErrUnexpectedEOF
		}
		go drain(streams, errs)
		return body, nil
	case err := <-errs:
		go drain(streams, errs)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	case <-ctx.Done():
		go drain(streams, errs)
		return nil, ctx.Err()
	}
}

func drain(streams chan io.ReadCloser, errs chan error) {
	for streams != nil || errs != nil {
		select {
		case s, ok := <-streams:
			if !ok {
				streams = nil
			} else {
				s.Close()
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
			}
		}
	}
}
