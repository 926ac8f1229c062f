//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// A trap is an image that must be refused.
type trap struct{ name, path, want string }

func hostile(t *testing.T) []trap {
	i := twoLayers(t, "web")
	oci := func(change func(files)) string {
		f := imageFiles(t, archive.OCI, i)
		change(f)
		return writeFile(t, "x.tar", string(f.tar(t)))
	}
	docker := func(change func(files)) string {
		f := imageFiles(t, archive.Docker, i)
		change(f)
		return writeFile(t, "x.tar", string(f.tar(t)))
	}
	upper, lower := "blobs/sha256/"+i.Layers[1].Hex, "blobs/sha256/"+i.Layers[0].Hex
	deep := twoLayers(t, "deep")
	for n := range 501 {
		deep.Layers = append(deep.Layers, layer(t, fmt.Sprint("f", n), "x"))
	}
	return []trap{
		{"no such file", "/nonexistent/x.tar", "there is no file /nonexistent/x.tar"},
		{"empty file", writeFile(t, "empty", ""), "not an image"},
		{"text", writeFile(t, "text", strings.Repeat("no image\n", 1000)), "not an image"},
		{"a tar of something else", writeFile(t, "x.tar", string(files{"etc/passwd": []byte("x")}.tar(t))), "not an image"},
		{"a directory of something else", t.TempDir(), "not an image"},
		{"damaged gzip", writeFile(t, "x.tgz", gzipped(t, imageFiles(t, archive.OCI, i).tar(t))[:500]), "ends too early"},
		{"spoilt upper layer", oci(func(f files) { spoil(f, upper) }), "a layer is damaged"},
		{"spoilt lower layer", oci(func(f files) { spoil(f, lower) }), "a layer is damaged"},
		{"layer is missing", oci(func(f files) { delete(f, upper) }), "there is no file blobs/sha256/" + i.Layers[1].Hex},
		{"spoilt config", oci(func(f files) { spoil(f, configOf(t, f)) }), "digest"},
		{"config is missing", oci(func(f files) { delete(f, configOf(t, f)) }), "there is no file blobs"},
		{"spoilt manifest", oci(func(f files) { spoil(f, manifestOf(t, f)) }), "digest"},
		{"manifest that is also an index", oci(func(f files) {
			changeManifest(t, f, func(m map[string]any) { m["manifests"] = []any{} })
		}), "manifests"},
		{"index that is also a manifest", oci(func(f files) {
			f["index.json"] = bytes.Replace(f["index.json"], []byte(`"manifests"`), []byte(`"layers":[],"manifests"`), 1)
		}), "an index and a manifest at once"},
		{"huge manifest", oci(func(f files) {
			changeManifest(t, f, func(m map[string]any) { m["annotations"] = map[string]string{"x": strings.Repeat("x", 5<<20)} })
		}), "larger than 4 MiB"},
		{"huge index", oci(func(f files) { f["index.json"] = append(f["index.json"], bytes.Repeat([]byte(" "), 5<<20)...) }), "larger than 4 MiB"},
		{"index without images", oci(func(f files) { f["index.json"] = []byte(`{"schemaVersion":2,"manifests":[]}`) }), "lists no image"},
		{"index that is no JSON", oci(func(f files) { f["index.json"] = []byte(`{`) }), "read index.json"},
		{"path in a digest", oci(func(f files) {
			f["index.json"] = bytes.ReplaceAll(f["index.json"], []byte("sha256:"), []byte("sha256:../../../../etc/"))
		}), ""},
		{"layer that is no tar file", oci(func(f files) {
			changeLayer(t, f, i.Layers[1], []byte(strings.Repeat("no tar\n", 500)))
		}), ""},
		{"config that lies about a layer", oci(func(f files) {
			changeConfig(t, f, func(s string) string { return strings.Replace(s, i.Layers[1].Hex, strings.Repeat("0", 64), 1) })
		}), ""},
		{"diff ID that is none", oci(func(f files) {
			changeConfig(t, f, func(s string) string { return strings.Replace(s, "sha256:"+i.Layers[1].Hex, "x", 1) })
		}), `layer 2 is called "x" by the image's config`},
		{"diff ID of no known kind", oci(func(f files) {
			changeConfig(t, f, func(s string) string { return strings.Replace(s, "sha256:"+i.Layers[0].Hex, "md5:"+i.Layers[0].Hex, 1) })
		}), `layer 1 is called "md5:`},
		{"layer's digest that is none", oci(func(f files) {
			changeManifest(t, f, func(m map[string]any) { merge(m["layers"].([]any)[0], map[string]any{"digest": "x"}) })
		}), `the manifest calls layer 1 "x"`},
		{"config's digest that is none", oci(func(f files) {
			changeManifest(t, f, func(m map[string]any) { merge(m["config"], map[string]any{"digest": "x"}) })
		}), `digest`},
		{"a directory with a manifest of the first format", firstFormat(t), "schema 1"},
		{"bad name", oci(func(f files) {
			f["index.json"] = bytes.Replace(f["index.json"], []byte(`"web"`), []byte(`"Web//x"`), 1)
		}), "image name"},
		{"more layers than can be stacked", writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, deep).tar(t))), "503 layers"},
		{"docker: layer is missing", docker(func(f files) { delete(f, i.Layers[1].Hex+".tar") }), ""},
		{"docker: config is missing", docker(func(f files) {
			for n := range f {
				if strings.HasSuffix(n, ".json") && n != "manifest.json" {
					delete(f, n)
				}
			}
		}), ""},
		{"docker: spoilt layer", docker(func(f files) { spoil(f, i.Layers[1].Hex+".tar") }), "a layer is damaged"},
		{"docker: manifest that is no JSON", docker(func(f files) { f["manifest.json"] = []byte(`[{`) }), "manifest.json"},
		{"docker: manifest without images", docker(func(f files) { f["manifest.json"] = []byte(`[]`) }), "manifest.json lists no image"},
		{"docker: diff ID that is none", docker(func(f files) {
			for n := range f {
				f[n] = bytes.Replace(f[n], []byte("sha256:"+i.Layers[1].Hex), []byte("x"), 1)
			}
		}), ""},
		{"docker: huge manifest", docker(func(f files) { f["manifest.json"] = bytes.Repeat([]byte(" "), 65<<20) }), ""},
		{"docker: bad name", docker(func(f files) {
			f["manifest.json"] = bytes.Replace(f["manifest.json"], []byte(`"web:latest"`), []byte(`"Web:latest"`), 1)
		}), "lower"},
	}
}

// firstFormat is a directory with what Docker wrote before an image had a config.
func firstFormat(t *testing.T) string {
	dir := t.TempDir()
	l := layer(t, "a", "x")
	text := `{"schemaVersion":1,"name":"web","tag":"1","architecture":"amd64","fsLayers":[{"blobSum":"` + l.Digest() + `"}],` +
		`"history":[{"v1Compatibility":"{\"id\":\"` + l.Hex + `\",\"created\":\"2020-01-01T00:00:00Z\",\"os\":\"linux\",\"architecture\":\"amd64\"}"}],"signatures":[]}`
	for name, data := range map[string]string{"version": "Directory Transport Version: 1.1\n", "manifest.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// spoil changes one byte in the middle.
func spoil(f files, name string) {
	data := bytes.Clone(f[name])
	data[len(data)/2] ^= 1
	f[name] = data
}

type descriptor struct {
	Digest digest.Digest `json:"digest"`
	Size   int           `json:"size"`
}

func blobPath(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

func manifestOf(t testing.TB, f files) string {
	t.Helper()
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(f["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	return blobPath(index.Manifests[0].Digest)
}

func configOf(t *testing.T, f files) string {
	t.Helper()
	var m struct{ Config descriptor }
	if err := json.Unmarshal(f[manifestOf(t, f)], &m); err != nil {
		t.Fatal(err)
	}
	return blobPath(m.Config.Digest)
}

// put stores a blob and returns how a manifest points to it.
func put(f files, data []byte) map[string]any {
	d := digest.FromBytes(data)
	f[blobPath(d)] = data
	return map[string]any{"digest": d.String(), "size": len(data)}
}

// changeManifest rewrites the manifest and the index above it, so that all digests are right.
func changeManifest(t *testing.T, f files, change func(map[string]any)) {
	t.Helper()
	var m, index map[string]any
	if err := json.Unmarshal(f[manifestOf(t, f)], &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(f["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	merge(index["manifests"].([]any)[0], put(f, data))
	if f["index.json"], err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
}

func merge(into any, from map[string]any) {
	for k, v := range from {
		into.(map[string]any)[k] = v
	}
}

func changeConfig(t *testing.T, f files, change func(string) string) {
	t.Helper()
	data := change(string(f[configOf(t, f)]))
	changeManifest(t, f, func(m map[string]any) { merge(m["config"], put(f, []byte(data))) })
}

// changeLayer puts other bytes in place of a layer, with all digests right.
func changeLayer(t *testing.T, f files, old archive.Blob, data []byte) {
	t.Helper()
	changeConfig(t, f, func(s string) string {
		return strings.Replace(s, old.Hex, digest.FromBytes(data).Encoded(), 1)
	})
	changeManifest(t, f, func(m map[string]any) {
		for _, l := range m["layers"].([]any) {
			if l.(map[string]any)["digest"] == old.Digest() {
				merge(l, put(f, data))
			}
		}
	})
}

// What an archive or a layer calls its files must not let it write anywhere else.
func TestLoadStaysInside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	up := strings.Repeat("../", 20) + strings.TrimPrefix(outside, "/")
	entry := func(w *tar.Writer, h tar.Header, data string) {
		h.Mode, h.Size = 0o644, int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	var l bytes.Buffer
	w := tar.NewWriter(&l)
	entry(w, tar.Header{Name: up, Typeflag: tar.TypeReg}, "x")
	entry(w, tar.Header{Name: "link", Linkname: "/", Typeflag: tar.TypeSymlink}, "")
	entry(w, tar.Header{Name: "link" + outside + "2", Typeflag: tar.TypeReg}, "x")
	w.Close()
	i := twoLayers(t, "web")
	i.Layers = append(i.Layers, archive.Bytes(l.Bytes()))

	var b bytes.Buffer
	w = tar.NewWriter(&b)
	entry(w, tar.Header{Name: "blobs", Linkname: filepath.Dir(outside), Typeflag: tar.TypeSymlink}, "")
	entry(w, tar.Header{Name: up + "3", Typeflag: tar.TypeReg}, "x")
	f := imageFiles(t, archive.OCI, i)
	for _, n := range f.names() {
		entry(w, tar.Header{Name: n, Typeflag: tar.TypeReg}, string(f[n]))
	}
	w.Close()

	im := openStore(t)
	_, err := im.Load(t.Context(), writeFile(t, "x.tar", b.String()))
	t.Logf("load: %v", err) // refused or stored without the entries that lead outside: both will do
	if left, _ := os.ReadDir(filepath.Dir(outside)); len(left) > 0 {
		t.Errorf("files were written outside: %v", left)
	}
}
