//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// bomb is a layer with a file of n zeros, compressed to a thousandth, and what it is when it is not. One that lies has a
// second part at its end, so that the size that stands there is not the whole.
func bomb(t *testing.T, n int64, lies bool) (small []byte, plain archive.Blob) {
	t.Helper()
	var b, whole bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(io.MultiWriter(z, &whole))
	err := w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: n})
	if err == nil {
		_, err = io.CopyN(w, zeros{}, n)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil && lies {
		z.Reset(&b)
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), archive.Bytes(whole.Bytes())
}

// TestBomb: a layer that is far larger than it seems is refused before it is unpacked, or, when it lies about its size, ends
// at the room that the store has, with a sentence. Nothing of it stays, and the images that were there do.
func TestBomb(t *testing.T) {
	t.Run("honest", func(t *testing.T) {
		testBomb(t, false, writeTar, " free, and the image needs 100.7 MB at least when it is unpacked")
	})
	t.Run("lies", func(t *testing.T) { testBomb(t, true, writeTar, "(now that it was given up, ") })
	t.Run("directory", func(t *testing.T) {
		testBomb(t, false, writePlain, " free, and the image needs 100.7 MB at least when it is unpacked")
	})
}

func writeTar(t *testing.T, f files) string { return writeFile(t, "bomb.tar", string(f.tar(t))) }

// writePlain writes an image as dir: has it.
func writePlain(t *testing.T, f files) string {
	plain := files{}
	for n, data := range f {
		plain[strings.TrimPrefix(n, "blobs/sha256/")] = data
	}
	plain["manifest.json"] = f[manifestOf(t, f)]
	delete(plain, "index.json")
	return plain.dir(t)
}

// An image in a directory that fits is loaded, also when a layer of it is there already, or there twice.
func TestPlainDirectoryFits(t *testing.T) {
	im := openStore(t)
	i := twoLayers(t, "web")
	i.Layers = append(i.Layers, i.Layers[1])
	dir := writePlain(t, imageFiles(t, archive.OCI, i))
	for range 2 {
		if _, err := im.Load(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/manifest.json", bytes.Repeat([]byte(" "), maxManifest+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "no file of at most 4.2 MB") {
		t.Errorf("a huge manifest: %v", err)
	}
}

func testBomb(t *testing.T, lies bool, write func(*testing.T, files) string, want string) {
	small := smallDisk(t, "64m")
	im := openStore(t)
	if !strings.HasPrefix(im.store.GraphRoot(), small) {
		t.Fatalf("the store is at %s, not on the small disk", im.store.GraphRoot())
	}
	if _, err := im.Load(t.Context(), writeFile(t, "good.tar", string(imageFiles(t, archive.OCI, twoLayers(t, "good")).tar(t)))); err != nil {
		t.Fatal(err)
	}
	packed, plain := bomb(t, 96<<20, lies)
	if len(packed) > 200_000 {
		t.Fatalf("%d bytes are no bomb", len(packed))
	}
	i := twoLayers(t, "bomb")
	i.Layers = append(i.Layers, archive.Bytes([]byte("in place of the bomb")))
	f := imageFiles(t, archive.OCI, i)
	changeLayer(t, f, i.Layers[2], packed)
	changeConfig(t, f, func(s string) string { return strings.Replace(s, archive.Bytes(packed).Hex, plain.Hex, 1) })
	changeManifest(t, f, func(m map[string]any) {
		all := m["layers"].([]any)
		all[len(all)-1].(map[string]any)["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
	})
	file := write(t, f)
	before := usedIn(t, small)
	_, err := im.Load(t.Context(), file)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), im.store.GraphRoot()+" has ") {
		t.Fatalf("%v", err)
	}
	if now := usedIn(t, small); now > before+1<<20 {
		t.Errorf("%d bytes were left behind", now-before)
	}
	if list, err := im.List(nil); err != nil || len(list) != 1 {
		t.Errorf("%d images after the bomb: %v", len(list), err)
	}
}

// TestNoInodes: a disk that has room, but cannot have more files, is told from a full one. Its images stay, and it takes more once files
// have gone.
func TestNoInodes(t *testing.T) {
	small := smallDisk(t, "64m,nr_inodes=400")
	im := openStore(t)
	more := writeFile(t, "more.tar", string(imageFiles(t, archive.OCI, twoLayers(t, "more")).tar(t)))
	if _, err := im.Load(t.Context(), writeFile(t, "good.tar", string(imageFiles(t, archive.OCI, archive.Image{
		Names: []string{"good"}, Arch: "amd64", Layers: []archive.Blob{layer(t, "file", "text")},
	}).tar(t)))); err != nil {
		t.Fatal(err)
	}
	others := small + "/others"
	err := os.Mkdir(others, 0o700)
	for i := 0; err == nil; i++ {
		err = os.WriteFile(fmt.Sprint(others, "/", i), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for i := range 8 { // as many as the load needs to begin
		if err := os.Remove(fmt.Sprint(others, "/", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = im.Load(t.Context(), more)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), im.store.GraphRoot()+" has ") || !strings.Contains(err.Error(), " inodes free") {
		t.Errorf("%v", err)
	}
	if list, err := im.List(nil); err != nil || len(list) != 1 {
		t.Errorf("%d images on the full disk: %v", len(list), err)
	}
	if err := os.RemoveAll(others); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Load(t.Context(), more); err != nil {
		t.Errorf("once there is room again: %v", err)
	}
}

// smallDisk is a file system with little room, on which all temporary directories of the test are from now on.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir, err := os.MkdirTemp("", "small")
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(dir, 0), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", dir)
	return dir
}

func usedIn(t *testing.T, dir string) uint64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return (fs.Blocks - fs.Bfree) * uint64(fs.Bsize)
}
