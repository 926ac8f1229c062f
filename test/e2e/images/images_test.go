package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"testing"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

func TestBusyboxArchivesAreComplete(t *testing.T) {
	for _, format := range []archive.Format{archive.Docker, archive.OCI} {
		image, err := Busybox([]byte("#!program"), []string{"busybox", "ls", "sh"})
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := archive.Write(&first, format, image); err != nil {
			t.Fatal(err)
		}
		if err := archive.Write(&second, format, image); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: the same image gave other bytes", format)
		}
	}
}

func TestBusyboxLayer(t *testing.T) {
	image, err := Busybox([]byte("#!program"), []string{"busybox", "ls", "sh"})
	if err != nil {
		t.Fatal(err)
	}
	layer, err := image.Layers[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	entries := readTar(t, layer)
	for _, want := range []tar.Header{
		{Name: "bin/ls", Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "home/app/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: 1000},
	} {
		got, ok := entries[want.Name]
		if !ok {
			t.Errorf("%s is missing", want.Name)
			continue
		}
		if got.Typeflag != want.Typeflag || got.Linkname != want.Linkname || got.Mode != want.Mode || got.Uid != want.Uid {
			t.Errorf("%s: %c %q %o uid %d, want %c %q %o uid %d", want.Name,
				got.Typeflag, got.Linkname, got.Mode, got.Uid, want.Typeflag, want.Linkname, want.Mode, want.Uid)
		}
	}
	config, err := json.Marshal(image.Config)
	if err != nil || !bytes.Contains(config, []byte(`"Cmd":["sh"]`)) {
		t.Errorf("config %s, %v", config, err)
	}
	if !slices.Equal(image.Names, []string{"localhost/busybox:latest"}) {
		t.Errorf("names %q", image.Names)
	}
}

func readTar(t *testing.T, r io.Reader) map[string]*tar.Header {
	entries := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entries[h.Name] = h
	}
}
