package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An Owner is who a file of a layer belongs to.
type Owner struct{ UID, GID int }

// LayerOptions change what is written about the files of a tree.
type LayerOptions struct {
	Time   time.Time        // of every file
	Owners map[string]Owner // by path without leading slash, the file alone; all others belong to 0:0
}

// WriteLayer writes the files below dir as a layer: a tar file with sorted names. Permissions and symbolic links are
// kept; a device, socket or pipe is an error, as none has a place in an image.
func WriteLayer(w io.Writer, dir string, o LayerOptions) error {
	missing := map[string]bool{}
	for name := range o.Owners {
		missing[name] = true
	}
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		delete(missing, name)
		return addFile(t, path, name, o)
	})
	if err != nil {
		return fmt.Errorf("layer from %s: %w", dir, err)
	}
	for name := range missing {
		return fmt.Errorf("layer from %s: there is no %s to change the owner of", dir, name)
	}
	return t.Close()
}

func addFile(t *tar.Writer, path, name string, o LayerOptions) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	h, err := header(path, name, info)
	if err != nil {
		return err
	}
	h.ModTime = o.Time
	owner := o.Owners[name]
	h.Uid, h.Gid = owner.UID, owner.GID
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return errors.Join(err, f.Close())
}

func header(path, name string, info fs.FileInfo) (*tar.Header, error) {
	link := ""
	switch info.Mode().Type() {
	case 0, fs.ModeDir:
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		link = target
	default:
		return nil, fmt.Errorf("%s is neither a file, a directory nor a symbolic link", name)
	}
	full, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return nil, err
	}
	h := &tar.Header{Typeflag: full.Typeflag, Name: filepath.ToSlash(name), Linkname: link, Mode: full.Mode, Size: full.Size}
	if info.IsDir() {
		h.Name += "/"
	}
	return h, nil
}
