//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.podman.io/image/v5/pkg/sysregistriesv2"
	graphdriver "go.podman.io/storage/drivers"
	"go.podman.io/storage/pkg/reexec"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// The storage library runs the test program again to unpack layers.
func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	if os.Getenv(childStore) != "" {
		loadAsChild()
		return
	}
	os.Exit(m.Run())
}

// openStore makes an empty store with the overlay driver, away from all settings of the machine.
func openStore(t *testing.T) *Images {
	t.Helper()
	return openStoreWith(t, Options{})
}

func openStoreWith(t testing.TB, o Options) *Images {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: layers are unpacked with their owners and mounted")
	}
	isolate(t)
	dir := t.TempDir()
	o.Root, o.RunRoot, o.Driver = filepath.Join(dir, "store"), filepath.Join(dir, "run"), "overlay"
	if o.DriverOptions == nil {
		o.DriverOptions = []string{"overlay.sync=none"} // the machine's whole file system would be flushed, again and again
	}
	if o.SignaturePolicy == "" {
		o.SignaturePolicy = writeFile(t, "policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	}
	im, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
	return im
}

// isolate points every setting that the libraries read to files of the test, and TMPDIR to an empty directory in which
// nothing may be left at the end.
func isolate(t testing.TB) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_RUNTIME_DIR", home)
	t.Setenv("CONTAINERS_STORAGE_CONF", writeFile(t, "storage.conf", "[storage]\ndriver=\"overlay\"\n"))
	setRegistries(t, "unqualified-search-registries=[]\n")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("temporary files are left: %v", left)
		}
	})
}

// setRegistries makes text the one registries.conf. image/v5 reads it once for a process, hence the reset.
func setRegistries(t testing.TB, text string) {
	t.Helper()
	t.Setenv("CONTAINERS_REGISTRIES_CONF", writeFile(t, "registries.conf", text))
	sysregistriesv2.InvalidateCache()
}

func writeFile(t testing.TB, name, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// layer makes a layer from pairs of a file name and its text.
func layer(t testing.TB, pairs ...string) archive.Blob {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Mode: 0o644, Size: int64(len(pairs[i+1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes(b.Bytes())
}

// twoLayers is the image that most tests use.
func twoLayers(t *testing.T, names ...string) archive.Image {
	return archive.Image{
		Names: names, Arch: "amd64",
		Config: archive.Config{Cmd: []string{"/bin/web", "--now"}, Env: []string{"A=b"}, User: "7:8", Labels: map[string]string{"app": "web"}},
		Layers: []archive.Blob{layer(t, "lower", strings.Repeat("one", 5000)), layer(t, "upper", strings.Repeat("two", 5000))},
	}
}

// files are the entries of an image archive by name.
type files map[string][]byte

func imageFiles(t testing.TB, format archive.Format, images ...archive.Image) files {
	t.Helper()
	var b bytes.Buffer
	if err := archive.Write(&b, format, images...); err != nil {
		t.Fatal(err)
	}
	all := files{}
	r := tar.NewReader(&b)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func (f files) names() []string {
	var names []string
	for n := range f {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// tar is the archive of the files, in the order of their names.
func (f files) tar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range f.names() {
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(f[n])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// dir writes the files below a new directory.
func (f files) dir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for n, data := range f {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mustBeEmpty fails the test when the store has an image or a layer.
func mustBeEmpty(t *testing.T, im *Images) {
	t.Helper()
	images, err := im.store.Images()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := im.store.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(images)+len(layers) > 0 {
		t.Errorf("the store has %d images and %d layers, want none", len(images), len(layers))
	}
}

func TestLayersAreSyncedBeforeTheyAreListed(t *testing.T) {
	im := openStoreWith(t, Options{DriverOptions: []string{"overlay.mountopt=nodev"}})
	driver, err := im.store.GraphDriver()
	if err != nil {
		t.Fatal(err)
	}
	if got := driver.SyncMode(); got != graphdriver.SyncModeFilesystem {
		t.Errorf("sync mode is %v, want filesystem", got.String())
	}
}

func TestDurable(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, []string{"overlay.sync=filesystem", "overlay.skip_mount_home=true"}},
		{[]string{"overlay.mountopt=nodev"}, []string{"overlay.mountopt=nodev", "overlay.sync=filesystem", "overlay.skip_mount_home=true"}},
		{[]string{"overlay.sync=none"}, []string{"overlay.sync=none", "overlay.skip_mount_home=true"}},
		{[]string{".sync=none", "skip_mount_home=false"}, []string{".sync=none", "skip_mount_home=false"}},
	} {
		if got := durable(c.in); !slices.Equal(got, c.want) {
			t.Errorf("durable(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}
