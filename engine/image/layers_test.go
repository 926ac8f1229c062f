//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// hostileLayers are entries of layers that reach for what lies outside: OUT is a directory of the host, UP a way up to it.
func hostileLayers() map[string][]tar.Header {
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o777} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}
	}
	return map[string][]tar.Header{
		"name with dots":              {reg("UP/canary")},
		"absolute name":               {reg("OUT/canary")},
		"absolute link":               {link("l", "OUT"), reg("l/canary")},
		"relative link":               {link("l", "UP"), reg("l/canary")},
		"chain of links":              {link("a", "OUT"), link("b", "a"), link("c", "b"), reg("c/canary")},
		"link in the file's place":    {link("l", "OUT/canary"), reg("l")},
		"hard link then written":      {hard("l", "OUT/canary"), reg("l")},
		"hard link upwards":           {hard("l", "UP/canary"), reg("l")},
		"hard link to a link":         {link("s", "OUT/canary"), hard("h", "s"), reg("h")},
		"link then directory":         {link("l", "OUT"), dir("l")},
		"mode by way of a link":       {link("l", "OUT/canary"), {Name: "l", Typeflag: tar.TypeReg, Mode: 0o4777}},
		"the root is a link":          {link(".", "OUT"), reg("canary")},
		"the root is a link by slash": {link("/", "OUT"), reg("canary")},
		"whiteout upwards":            {reg("UP/.wh.canary")},
		"whiteout of dots":            {reg("UP/x/.wh...")},
		"whiteout by a link":          {link("l", "OUT"), reg("l/.wh.canary")},
		"opaque by a link":            {link("l", "OUT"), reg("l/.wh..wh..opq")},
		"device by a link":            {link("l", "OUT"), {Name: "l/zero", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}},
		"fifo by a link":              {link("l", "OUT"), {Name: "l/fifo", Typeflag: tar.TypeFifo}},
		"overlay's own attributes":    {{Name: "d", Typeflag: tar.TypeDir, Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "UP", "SCHILY.xattr.trusted.overlay.opaque": "y"}}, reg("d/canary")},
	}
}

// place puts real paths into a header.
func place(h tar.Header, outside string) tar.Header {
	r := strings.NewReplacer("OUT", outside, "UP", strings.Repeat("../", 30)+strings.TrimPrefix(outside, "/"))
	h.Name, h.Linkname = r.Replace(h.Name), r.Replace(h.Linkname)
	records := map[string]string{}
	for k, v := range h.PAXRecords {
		records[k] = r.Replace(v)
	}
	h.PAXRecords = records
	return h
}

func layerOf(t *testing.T, headers []tar.Header, outside string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h = place(h, outside)
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		err := w.WriteHeader(&h)
		if err == nil && h.Size > 0 {
			_, err = w.Write([]byte("evil"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// canaryTree is what must stay as it is: a directory with a file, both of a mode that nothing in the layers has.
func canaryTree(t *testing.T) (dir string, changed func() string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Mkdir(dir, 0o751), os.WriteFile(filepath.Join(dir, "canary"), []byte("intact"), 0o640)); err != nil {
		t.Fatal(err)
	}
	return dir, func() string {
		entries, err := os.ReadDir(dir)
		text, err2 := os.ReadFile(filepath.Join(dir, "canary"))
		file, err3 := os.Lstat(filepath.Join(dir, "canary"))
		self, err4 := os.Lstat(dir)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return err.Error()
		}
		switch {
		case len(entries) != 1:
			return "more files"
		case string(text) != "intact":
			return "other content"
		case file.Mode() != 0o640 || self.Mode().Perm() != 0o751:
			return "another mode"
		}
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, "canary"), &st); err != nil || st.Nlink != 1 {
			return "another link to it"
		}
		return ""
	}
}

// TestLayersStayInside (CVE-2026-17106, CVE-2025-11395 and those before them): whatever a layer calls its files, nothing
// outside of the store is made, changed, linked to or removed.
func TestLayersStayInside(t *testing.T) {
	im := openStore(t)
	for name, headers := range hostileLayers() {
		t.Run(name, func(t *testing.T) {
			outside, changed := canaryTree(t)
			i := twoLayers(t, "web")
			i.Layers = append(i.Layers, archive.Bytes(layerOf(t, headers, outside)))
			_, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, i).tar(t))))
			t.Logf("load: %v", err) // refused, or stored as something that leads nowhere: both will do
			if what := changed(); what != "" {
				t.Errorf("outside there is %s", what)
			}
		})
	}
}

// TestNaiveUnpackingLeadsOut is the negative control: of one who joins paths and follows links, each of these layers but
// the last, which only overlay could obey, gets something changed outside.
func TestNaiveUnpackingLeadsOut(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making devices needs root")
	}
	for name, headers := range hostileLayers() {
		if name == "overlay's own attributes" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			outside, changed := canaryTree(t)
			root := filepath.Join(t.TempDir(), "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			unpackNaively(root, tar.NewReader(bytes.NewReader(layerOf(t, headers, outside))))
			if changed() == "" {
				t.Error("the layer does nothing outside, so it shows nothing")
			}
		})
	}
}

// unpackNaively makes all the mistakes that there have been.
func unpackNaively(root string, r *tar.Reader) {
	for {
		h, err := r.Next()
		if err != nil {
			return
		}
		p := root + "/" + h.Name
		if filepath.IsAbs(h.Name) && len(h.Name) > 1 {
			p = h.Name
		}
		base := filepath.Base(h.Name)
		switch {
		case base == ".wh..wh..opq":
			entries, _ := os.ReadDir(filepath.Dir(p))
			for _, e := range entries {
				os.RemoveAll(filepath.Dir(p) + "/" + e.Name())
			}
		case strings.HasPrefix(base, ".wh."):
			os.RemoveAll(filepath.Join(filepath.Dir(p), strings.TrimPrefix(base, ".wh.")))
		case h.Typeflag == tar.TypeSymlink:
			os.RemoveAll(filepath.Clean(p))
			os.Symlink(h.Linkname, filepath.Clean(p))
		case h.Typeflag == tar.TypeLink:
			target := root + "/" + h.Linkname
			if filepath.IsAbs(h.Linkname) {
				target = h.Linkname
			}
			os.Link(target, p)
		case h.Typeflag == tar.TypeDir:
			os.Mkdir(p, 0o755)
			os.Chmod(p, os.FileMode(h.Mode))
		case h.Typeflag == tar.TypeReg:
			data, _ := io.ReadAll(r)
			os.WriteFile(p, data, 0o644)
			os.Chmod(p, os.FileMode(h.Mode))
		case h.Typeflag == tar.TypeChar:
			unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
		case h.Typeflag == tar.TypeFifo:
			unix.Mkfifo(p, 0o666)
		}
	}
}
