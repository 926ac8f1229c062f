//go:build containers_image_openpgp

package image

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// A large layer is read where it lies in the archive, and its digest counts as anyone's.
func TestLoadLargeLayer(t *testing.T) {
	i := twoLayers(t, "web")
	big := layer(t, "big", strings.Repeat("large", packedFrom/5+1))
	i.Layers = append(i.Layers, big)
	f := imageFiles(t, archive.OCI, i)
	path := writeFile(t, "x.tar", string(f.tar(t)))

	im := openStore(t)
	b, err := im.open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(im.sys.BigFilesTemporaryDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() >= packedFrom {
			t.Errorf("%s has been written, with %d bytes", path, info.Size())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	loaded, err := im.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fileInImage(t, im, loaded[0].ID, "big"); !strings.HasPrefix(got, "largelarge") || len(got) < packedFrom {
		t.Errorf("the file has %d bytes and begins with %.10q", len(got), got)
	}

	f["blobs/sha256/"+big.Hex][packedFrom/2] ^= 1
	im = openStore(t)
	if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(f.tar(t)))); err == nil {
		t.Error("a changed layer was loaded")
	}
	mustBeEmpty(t, im)
}

func TestWritten(t *testing.T) {
	before := written()
	if err := os.WriteFile(filepath.Join(t.TempDir(), "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := written() - before; n < 1<<20 {
		t.Errorf("%d bytes of 1 MiB were seen", n)
	}
}

func TestFlushBehindEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flushBehind(t.TempDir())()
		flushBehind("/no/such/directory")()
	})
}
