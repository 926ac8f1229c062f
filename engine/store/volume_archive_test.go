package store

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if Init() { // the library starts this program again to work in a root of its own
		return
	}
	os.Exit(m.Run())
}

func tarOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := []byte("evil")
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write(text)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// An archive whose names and links lead out of the volume changes nothing outside of it.
func TestImportStaysInside(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it changes its root directory")
	}
	for name, headers := range map[string][]tar.Header{
		"name":          {{Name: "../canary", Typeflag: tar.TypeReg}},
		"absolute":      {{Name: "CANARY", Typeflag: tar.TypeReg}},
		"link":          {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "TOP"}, {Name: "l/canary", Typeflag: tar.TypeReg}},
		"relative link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/canary", Typeflag: tar.TypeReg}},
		"link of file":  {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "CANARY"}, {Name: "l", Typeflag: tar.TypeReg}},
		"hard link":     {{Name: "l", Typeflag: tar.TypeLink, Linkname: "../canary"}, {Name: "l", Typeflag: tar.TypeReg}},
	} {
		top := t.TempDir()
		volume, canary := filepath.Join(top, "volume"), filepath.Join(top, "canary")
		if err := os.Mkdir(volume, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(canary, []byte("intact"), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range headers {
			for _, p := range []*string{&headers[i].Name, &headers[i].Linkname} {
				switch *p {
				case "CANARY":
					*p = canary
				case "TOP":
					*p = top
				}
			}
		}
		err := Import(volume, tarOf(t, headers...))
		if text, _ := os.ReadFile(canary); string(text) != "intact" {
			t.Errorf("%s: the canary says %q (%v)", name, text, err)
		}
	}
	// The negative control: a link that stands in the volume does lead out for who follows it.
	top := t.TempDir()
	volume := filepath.Join(top, "volume")
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(top, filepath.Join(volume, "l")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume, "l/canary"), []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(top, "canary")); err != nil {
		t.Errorf("the link does not lead out, so the test shows nothing: %v", err)
	}
}

func TestExportImport(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it changes its root directory")
	}
	from, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "file"), []byte("text"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Export(from, &b); err != nil {
		t.Fatal(err)
	}
	if err := Import(to, &b); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(to, "file"))
	link, err2 := os.Readlink(filepath.Join(to, "link"))
	if string(text) != "text" || link != "/etc/passwd" || err != nil || err2 != nil {
		t.Errorf("%q, %q, %v, %v", text, link, err, err2)
	}
}
