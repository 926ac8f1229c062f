//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/docker/reference"
	ociarchive "go.podman.io/image/v5/oci/archive"
	"go.podman.io/image/v5/oci/layout"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/image/name"
)

// SaveOptions say what is written.
type SaveOptions struct {
	Format       string // docker-archive, oci-archive, oci-dir or docker-dir
	Compress     bool   // docker-dir: compress the layers
	Uncompressed bool   // oci-archive, oci-dir: accept layers that are not compressed
}

// saving is one image that is to be saved with these of its names.
type saving struct {
	img   *storage.Image
	names []name.Name
}

// Save writes images into an archive or a directory at path, which must not be there yet in the case of a directory. Several
// images go into one docker-archive only. An archive is complete or absent.
func (im *Images) Save(ctx context.Context, names []string, path string, o SaveOptions) error {
	all, err := im.toSave(names)
	if err != nil {
		return err
	}
	if len(all) > 1 && o.Format != "docker-archive" {
		return fmt.Errorf("save: several images go into a docker-archive only, not into %s", o.Format)
	}
	switch o.Format {
	case "docker-archive", "oci-archive":
		err = atomicfile.Stream(path, 0o666, func(f *os.File) error { return im.writeArchive(ctx, all, f.Name(), o) })
	case "oci-dir", "docker-dir":
		err = im.saveDirectory(ctx, all[0], path, o)
	default:
		return fmt.Errorf("save: --format %s: use docker-archive, oci-archive, oci-dir or docker-dir", o.Format)
	}
	if err != nil {
		return fmt.Errorf("save to %s: %w", path, explain(im.space(err)))
	}
	return nil
}

// toSave finds the images; names of the same image are put together.
func (im *Images) toSave(names []string) ([]saving, error) {
	var all []saving
	at := map[string]int{}
	for _, s := range names {
		img, full, err := im.lookupImage(s)
		if err != nil {
			return nil, err
		}
		i, known := at[img.ID]
		if !known {
			i = len(all)
			at[img.ID], all = i, append(all, saving{img: img})
		}
		if n, err := name.Parse(full); err == nil && n.Tag != "" && n.Digest == "" {
			all[i].names = append(all[i].names, n)
		}
	}
	return all, nil
}

// writeArchive opens the path once more: the library takes no file.
func (im *Images) writeArchive(ctx context.Context, all []saving, path string, o SaveOptions) error {
	if o.Format == "oci-archive" {
		ref, err := ociarchive.NewReference(path, nameText(all[0].names))
		if err != nil {
			return err
		}
		return im.saveOne(ctx, all[0], ref, im.saveContext(o), "oci")
	}
	w, err := archive.NewWriter(&im.sys, path)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := im.saveDocker(ctx, w, s, o); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

func (im *Images) saveDocker(ctx context.Context, w *archive.Writer, s saving, o SaveOptions) error {
	ref, err := w.NewReference(nil)
	if err != nil {
		return err
	}
	sys := im.saveContext(o)
	for _, n := range s.names {
		named, err := reference.ParseNormalizedNamed(n.String())
		if err != nil {
			return fmt.Errorf("image name %q: %w", n, err)
		}
		if tagged, ok := named.(reference.NamedTagged); ok {
			sys.DockerArchiveAdditionalTags = append(sys.DockerArchiveAdditionalTags, tagged)
		}
	}
	return im.saveOne(ctx, s, ref, sys, "v2s2")
}

func (im *Images) saveDirectory(ctx context.Context, s saving, path string, o SaveOptions) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		return errors.Join(err, errors.New("the directory is not empty"))
	}
	format := "v2s2"
	ref, err := directory.NewReference(path)
	if o.Format == "oci-dir" {
		format = "oci"
		ref, err = layout.NewReference(path, nameText(s.names))
	}
	if err != nil {
		return err
	}
	return im.saveOne(ctx, s, ref, im.saveContext(o), format)
}

func (im *Images) saveContext(o SaveOptions) *types.SystemContext {
	sys := im.sys
	sys.DirForceCompress, sys.OCIAcceptUncompressedLayers = o.Compress, o.Uncompressed
	return &sys
}

func (im *Images) saveOne(ctx context.Context, s saving, to types.ImageReference, sys *types.SystemContext, format string) error {
	options := &copy.Options{SourceCtx: sys, DestinationCtx: sys, ForceManifestMIMEType: formats[format], RemoveSignatures: true, ProgressInterval: reportEvery}
	from, err := istorage.Transport.NewStoreReference(im.store, nil, s.img.ID)
	if err == nil {
		_, err = im.copyOut(ctx, from, to, options, PushOptions{})
	}
	return err
}

// nameText is the first name, empty when there is none.
func nameText(names []name.Name) string {
	if len(names) == 0 {
		return ""
	}
	return names[0].String()
}
