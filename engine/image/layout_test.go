//go:build containers_image_openpgp

package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzLayout: an OCI layout is listed or refused, and what is listed has the digest that it is listed under. MANIFEST in
// the index stands for the manifest's digest.
func FuzzLayout(f *testing.F) {
	manifest := []byte(`{"schemaVersion":2,"config":{"digest":"MANIFEST"},"layers":[]}`)
	for _, index := range []string{
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"MANIFEST","size":1,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}`,
		`{"manifests":[{"digest":"MANIFEST"},{"digest":"MANIFEST","annotations":{"io.containerd.image.name":"b"}}]}`, `{"manifests":[{"digest":"sha256:../../../../etc/passwd"}]}`,
		`{"manifests":[{"digest":""}]}`, `{"manifests":[{"digest":"sha512:MANIFEST"}],"layers":[]}`, `{"manifests":[{"digest":"MANIFEST","annotations":{"vnd.docker.reference.type":"x"}}]}`, `null`,
	} {
		f.Add([]byte(index), manifest)
	}
	f.Add([]byte(`{"manifests":[{"digest":"MANIFEST"}]}`), []byte(`{"manifests":[{"digest":"sha256:/etc/passwd"},{"digest":"x:y"},{}]}`))
	f.Fuzz(func(t *testing.T, index, manifest []byte) {
		dir := t.TempDir()
		d := digest.FromBytes(manifest)
		if err := os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{
			"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": bytes.ReplaceAll(index, []byte("MANIFEST"), []byte(d)), "blobs/sha256/" + d.Encoded(): manifest,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var b bundle
		if err := (&Images{}).openLayout(&b, dir); err == nil && len(b.sources) != 1 {
			t.Errorf("%d images of one manifest", len(b.sources))
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
