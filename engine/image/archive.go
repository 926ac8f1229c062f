//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/pkg/compression"
	"go.podman.io/image/v5/types"
)

// A source is one image in an archive or a directory, with the names it is to have. Without names it is stored under
// its ID alone.
type source struct {
	ref   types.ImageReference
	names []string
}

// A bundle is what an archive or a directory holds. Its sources can be read until it is closed.
type bundle struct {
	sources []source
	undo    []func() error // in the order in which things were made
}

func (b *bundle) onClose(f func() error) { b.undo = append(b.undo, f) }

// Close removes what was unpacked.
func (b *bundle) Close() error {
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// errNotImage says that a file or directory is none of the formats.
var errNotImage = errors.New("not an image: it has neither the manifest.json of a docker-archive nor the index.json of an OCI image")

// open finds out what is at file and lists its images. The caller closes the bundle, also after an error.
func (im *Images) open(ctx context.Context, file string) (*bundle, error) {
	b := &bundle{}
	f, err := os.Open(file)
	if err != nil {
		return b, err
	}
	b.onClose(f.Close)
	info, err := f.Stat()
	if err != nil {
		return b, err
	}
	if info.IsDir() {
		return b, im.openDirectory(b, file)
	}
	return b, im.openFile(ctx, b, f, info)
}

// openStream does the same with the bytes of r.
func (im *Images) openStream(ctx context.Context, r io.Reader) (*bundle, error) {
	b := &bundle{}
	plain, err := im.spool(ctx, b, r)
	if err != nil {
		return b, err
	}
	return b, im.openPlain(ctx, b, plain)
}

func (im *Images) openDirectory(b *bundle, dir string) error {
	if exists(filepath.Join(dir, "index.json")) {
		return im.openLayout(b, dir)
	}
	if !exists(filepath.Join(dir, "manifest.json")) {
		return errNotImage
	}
	if info, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil || !info.Mode().IsRegular() || info.Size() > maxManifest {
		return errors.Join(fmt.Errorf("%s/manifest.json: it is no file of at most %s", dir, HumanSize(maxManifest)), err)
	}
	ref, err := directory.NewReference(dir)
	if err != nil {
		return err
	}
	b.sources = []source{{ref: ref}}
	return nil
}

func (im *Images) openFile(ctx context.Context, b *bundle, f *os.File, info os.FileInfo) error {
	if info.Mode().IsRegular() {
		compressed, err := compressed(f)
		if err != nil {
			return err
		}
		if !compressed {
			return im.openPlain(ctx, b, f)
		}
	}
	plain, err := im.spool(ctx, b, f)
	if err != nil {
		return err
	}
	return im.openPlain(ctx, b, plain)
}

// compressed looks at the first bytes of f and goes back to its start.
func compressed(f *os.File) (bool, error) {
	_, decompressor, _, err := compression.DetectCompressionFormat(f)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	_, seekErr := f.Seek(0, io.SeekStart)
	return decompressor != nil, seekErr
}

// spool writes the decompressed bytes of r to a temporary file, as an archive is read in several places.
func (im *Images) spool(ctx context.Context, b *bundle, r io.Reader) (*os.File, error) {
	plain, _, err := compression.AutoDecompress(r)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer plain.Close()
	f, err := os.CreateTemp(im.sys.BigFilesTemporaryDir, "berth-load-*")
	if err != nil {
		return nil, err
	}
	b.onClose(func() error { return errors.Join(f.Close(), os.Remove(f.Name())) })
	if _, err := io.Copy(f, stoppable{ctx, plain}); err != nil {
		return nil, fmt.Errorf("unpack to %s: %w", im.sys.BigFilesTemporaryDir, err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// stoppable ends a copy when its context ends.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// openPlain reads a tar archive. When it has both manifest.json and index.json, as those that Docker writes since
// version 25, it counts as a docker-archive, which lists all names of an image.
func (im *Images) openPlain(ctx context.Context, b *bundle, f *os.File) error {
	docker, oci, err := sniff(ctx, f)
	switch {
	case err != nil:
		return err
	case docker:
		return im.openDocker(b, f.Name())
	case oci:
		return im.openOCI(ctx, b, f)
	}
	return errNotImage
}

func sniff(ctx context.Context, f *os.File) (docker, oci bool, err error) {
	t := tar.NewReader(f)
	for ctx.Err() == nil {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return false, oci, nil
		}
		if errors.Is(err, tar.ErrHeader) {
			return false, false, errNotImage
		}
		if err != nil {
			return false, false, err
		}
		switch path.Clean(h.Name) {
		case "manifest.json":
			return true, false, nil
		case "index.json":
			oci = true
		}
	}
	return false, false, ctx.Err()
}

func (im *Images) openDocker(b *bundle, file string) error {
	r, err := archive.NewReader(&im.sys, file)
	if err != nil {
		return err
	}
	b.onClose(r.Close)
	images, err := r.List()
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return errors.New("manifest.json lists no image")
	}
	for _, refs := range images {
		s := source{ref: refs[0]}
		for _, ref := range refs { // each stands for one name
			names, err := r.ManifestTagsForReference(ref)
			if err != nil {
				return err
			}
			s.names = append(s.names, names...)
		}
		b.sources = append(b.sources, s)
	}
	return nil
}

// blobFile is how the files of an OCI layout are called that are needed; all others in an archive are passed over.
var blobFile = regexp.MustCompile(`^(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]{32,128})$`)

// openOCI unpacks what is small of the layout below a temporary directory. Only regular files with the names that the format gives
// them are written, so a hostile archive can put nothing elsewhere.
func (im *Images) openOCI(ctx context.Context, b *bundle, f *os.File) error {
	dir, err := os.MkdirTemp(im.sys.BigFilesTemporaryDir, "berth-load-*")
	if err != nil {
		return err
	}
	b.onClose(func() error { return os.RemoveAll(dir) })
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	blobs, err := unpack(ctx, dir, f)
	if err != nil {
		return err
	}
	if err := im.openLayout(b, dir); err != nil {
		return err
	}
	for i := range b.sources {
		b.sources[i].ref = packed{b.sources[i].ref, blobs}
	}
	return nil
}

// unpack returns the places of the blobs that it has left in the archive.
func unpack(ctx context.Context, dir string, f *os.File) (map[digest.Digest]*io.SectionReader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	blobs := map[digest.Digest]*io.SectionReader{}
	t := tar.NewReader(f)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return blobs, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !blobFile.MatchString(name) {
			continue
		}
		if blob := digest.Digest(strings.ReplaceAll(strings.TrimPrefix(name, "blobs/"), "/", ":")); h.Size >= packedFrom && isWhole(h) && blob.Validate() == nil {
			at, err := f.Seek(0, io.SeekCurrent) // the reader takes no more than the header from a file
			if err != nil {
				return nil, err
			}
			blobs[blob] = io.NewSectionReader(f, at, h.Size)
			continue
		}
		if err := unpackFile(ctx, root, name, t); err != nil {
			return nil, err
		}
	}
}

// isWhole: the bytes of a sparse file are not one after the other in an archive.
func isWhole(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return false
		}
	}
	return true
}

func unpackFile(ctx context.Context, root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, stoppable{ctx, r})
	return errors.Join(err, f.Close())
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// directoryName is what an image in a plain directory is called, as Podman does it: after its path.
func directoryName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.Trim(abs, "/"))
}
