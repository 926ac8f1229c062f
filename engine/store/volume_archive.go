package store

import (
	"fmt"
	"io"

	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/chrootarchive"
)

// Export writes what lies in a directory as a tar archive. It is read by a process that has the directory as its root:
// no link in it leads out.
func Export(dir string, to io.Writer) error {
	r, err := chrootarchive.Tar(dir, &archive.TarOptions{Compression: archive.Uncompressed}, dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	_, err = io.Copy(to, r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Import unpacks a tar archive, which may be compressed, into a directory. It is written by a process that has the
// directory as its root: neither a name nor a link of the archive leads out.
func Import(dir string, from io.Reader) error {
	if err := chrootarchive.Untar(from, dir, &archive.TarOptions{}); err != nil {
		return fmt.Errorf("unpack the archive into %s: %w", dir, err)
	}
	return nil
}

// Plain reads an archive that may be compressed.
func Plain(from io.Reader) (io.ReadCloser, error) { return archive.DecompressStream(from) }
