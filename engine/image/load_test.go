//go:build containers_image_openpgp

package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// forms are the ways in which an image can lie before load, each made from the same image.
func forms(t *testing.T, i archive.Image) map[string]string {
	oci, docker := imageFiles(t, archive.OCI, i), imageFiles(t, archive.Docker, i)
	both := imageFiles(t, archive.OCI, i)
	for n, data := range docker {
		both[n] = data
	}
	return map[string]string{
		"oci-archive":        writeFile(t, "image.tar", string(oci.tar(t))),
		"oci directory":      oci.dir(t),
		"docker-archive":     writeFile(t, "image.tar", string(docker.tar(t))),
		"oci-archive gzip":   writeFile(t, "image.tgz", gzipped(t, oci.tar(t))),
		"docker gzip":        writeFile(t, "image.tgz", gzipped(t, docker.tar(t))),
		"oci-archive zstd":   writeFile(t, "image.tzst", zstded(t, oci.tar(t))),
		"docker zstd":        writeFile(t, "image.tzst", zstded(t, docker.tar(t))),
		"docker and oci":     writeFile(t, "image.tar", string(both.tar(t))),
		"with dots in paths": writeFile(t, "image.tar", string(dotted(oci).tar(t))),
	}
}

func dotted(f files) files {
	all := files{}
	for n, data := range f {
		all["./"+n] = data
	}
	return all
}

func gzipped(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, data []byte) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll(data, nil))
}

func TestLoad(t *testing.T) {
	i := twoLayers(t, "localhost/web:1", "web:2", "quay.io/team/web:3")
	names := []string{"localhost/web:1", "localhost/web:2", "quay.io/team/web:3"}
	for form, path := range forms(t, i) {
		t.Run(form, func(t *testing.T) {
			im := openStore(t)
			loaded, err := im.Load(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			checkLoaded(t, im, loaded, names)
		})
	}
}

func TestLoadStream(t *testing.T) {
	im := openStore(t)
	data := gzipped(t, imageFiles(t, archive.OCI, twoLayers(t, "web")).tar(t))
	loaded, err := im.LoadStream(t.Context(), strings.NewReader(data), "standard input")
	if err != nil {
		t.Fatal(err)
	}
	checkLoaded(t, im, loaded, []string{"localhost/web:latest"})
}

// checkLoaded compares what came out of the store with twoLayers.
func checkLoaded(t *testing.T, im *Images, loaded []Loaded, names []string) {
	t.Helper()
	if len(loaded) != 1 || !slices.Equal(loaded[0].Names, names) {
		t.Fatalf("loaded %+v, want one image called %q", loaded, names)
	}
	for _, n := range names {
		d, err := im.Inspect(n)
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != loaded[0].ID || len(d.RootFS.Layers) != 2 || d.User != "7:8" || d.Labels["app"] != "web" ||
			!slices.Equal(d.Config.Cmd, []string{"/bin/web", "--now"}) || !slices.Equal(d.Config.Env, []string{"A=b"}) {
			t.Errorf("%s: %+v", n, d)
		}
	}
	if got := fileInImage(t, im, loaded[0].ID, "upper"); got != strings.Repeat("two", 5000) {
		t.Errorf("a file of the upper layer has %d bytes, not those it had", len(got))
	}
}

func fileInImage(t testing.TB, im *Images, id, file string) string {
	t.Helper()
	dir, err := im.store.MountImage(id, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Error(err)
	}
	if _, err := im.store.UnmountImage(id, true); err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestLoadWithoutName(t *testing.T) {
	for _, format := range []archive.Format{archive.OCI, archive.Docker} {
		t.Run(string(format), func(t *testing.T) {
			im := openStore(t)
			loaded, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, format, twoLayers(t)).tar(t))))
			if err != nil || len(loaded) != 1 || len(loaded[0].Names) != 0 {
				t.Fatalf("loaded %+v, %v; want one image without a name", loaded, err)
			}
			if ok, err := im.Exists(loaded[0].ID); !ok || err != nil {
				t.Errorf("it is not found by its ID: %v", err)
			}
		})
	}
}

func TestLoadSeveralImages(t *testing.T) {
	one, two := twoLayers(t, "one"), twoLayers(t, "two:2", "zwei:2")
	two.Layers = two.Layers[:1] // shares the lower layer
	for _, format := range []archive.Format{archive.OCI, archive.Docker} {
		t.Run(string(format), func(t *testing.T) {
			im := openStore(t)
			file := writeFile(t, "x.tar", string(imageFiles(t, format, one, two).tar(t)))
			loaded, err := im.Load(t.Context(), file)
			if err != nil || len(loaded) != 2 {
				t.Fatalf("loaded %+v, %v; want two images", loaded, err)
			}
			if layers, _ := im.store.Layers(); len(layers) != 2 {
				t.Errorf("%d layers are stored, want 2: the lower one is shared", len(layers))
			}
			for _, n := range []string{"one", "two:2", "zwei:2"} {
				if ok, err := im.Exists(n); !ok || err != nil {
					t.Errorf("%s is missing (%v)", n, err)
				}
			}
		})
	}
}

// A name moves to the image that was loaded last, and the one before it stays without a name.
func TestLoadMovesName(t *testing.T) {
	im := openStore(t)
	first, second := twoLayers(t, "web"), twoLayers(t, "web")
	second.Config.User = "9"
	var ids []string
	for _, i := range []archive.Image{first, second} {
		loaded, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, i).tar(t))))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, loaded[0].ID)
	}
	img, _, err := im.lookup("web")
	if err != nil || img.ID != ids[1] {
		t.Errorf("web is %v, %v; want %s", img, err, ids[1])
	}
	if old, _, err := im.lookup(ids[0]); err != nil || len(old.Names) != 0 {
		t.Errorf("the first image: %+v, %v; want it without a name", old, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range hostile(t) {
		t.Run(c.name, func(t *testing.T) {
			im := openStore(t)
			_, err := im.Load(t.Context(), c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			mustBeEmpty(t, im)
		})
	}
}

// An archive without images is refused by pull as by load.
func TestPullFromNothing(t *testing.T) {
	for _, transport := range []string{"docker-archive:", "dir:"} {
		im := openStore(t)
		f := imageFiles(t, archive.Docker, twoLayers(t, "web"))
		f["manifest.json"] = []byte(`[]`)
		if _, err := im.Pull(t.Context(), transport+writeFile(t, "x.tar", string(f.tar(t))), PullOptions{}); err == nil || !strings.Contains(err.Error(), "lists no image") {
			t.Errorf("%s: %v", transport, err)
		}
		mustBeEmpty(t, im)
	}
	im := openStore(t)
	if _, err := im.Pull(t.Context(), "dir:"+firstFormat(t), PullOptions{}); err == nil || !strings.Contains(err.Error(), "schema 1") {
		t.Errorf("schema 1: %v", err)
	}
}

// An archive that is cut off anywhere is refused, and nothing of it stays.
func TestLoadTruncated(t *testing.T) {
	i := twoLayers(t, "web")
	for _, format := range []archive.Format{archive.OCI, archive.Docker} {
		whole := imageFiles(t, format, i).tar(t)
		for part := range 16 {
			im := openStore(t)
			cut := whole[:len(whole)*part/16]
			if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(cut))); err == nil {
				t.Errorf("%s cut off after %d of %d bytes was loaded", format, len(cut), len(whole))
			}
			mustBeEmpty(t, im)
		}
	}
}

// A failed load leaves alone what was there before, also layers that it would have shared.
func TestFailedLoadKeepsOthers(t *testing.T) {
	im := openStore(t)
	good := twoLayers(t, "good")
	if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, good).tar(t)))); err != nil {
		t.Fatal(err)
	}
	bad := twoLayers(t, "bad")
	bad.Layers = append(bad.Layers, layer(t, "third", "3"), layer(t, "fourth", "4"))
	f := imageFiles(t, archive.OCI, bad)
	spoil(f, "blobs/sha256/"+bad.Layers[3].Hex)
	if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(f.tar(t)))); err == nil {
		t.Fatal("an archive with a spoilt layer was loaded")
	}
	if layers, _ := im.store.Layers(); len(layers) != 2 {
		t.Errorf("%d layers, want the 2 of the good image", len(layers))
	}
	if got := fileInImage(t, im, idOf(t, im, "good"), "lower"); got != strings.Repeat("one", 5000) {
		t.Error("the good image is damaged")
	}
}

func idOf(t testing.TB, im *Images, s string) string {
	t.Helper()
	img, _, err := im.lookup(s)
	if err != nil {
		t.Fatal(err)
	}
	return img.ID
}

func TestLoadIsInterrupted(t *testing.T) {
	im := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := im.Load(ctx, writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, twoLayers(t, "web")).tar(t))))
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v, want one that says interrupted", err)
	}
	mustBeEmpty(t, im)
}

func TestPick(t *testing.T) {
	all := []source{{names: []string{"web:1", "quay.io/web"}}, {}}
	for _, c := range []struct {
		which, want string // names of the images with a bar between them
		refused     bool
	}{
		{which: "", want: "web:1 quay.io/web|"},
		{which: "web:1", want: "web:1"},
		{which: "localhost/web:1", want: "web:1"},
		{which: "quay.io/web", want: "quay.io/web"},
		{which: "@1", want: ""},
		{which: "@2", refused: true},
		{which: "@x", refused: true},
		{which: "db", refused: true},
	} {
		got, err := pick(all, c.which)
		var names []string
		for _, s := range got {
			names = append(names, strings.Join(s.names, " "))
		}
		if c.refused != (err != nil) || strings.Join(names, "|") != c.want {
			t.Errorf("pick(%q) = %q, %v; want %q", c.which, names, err, c.want)
		}
	}
}
