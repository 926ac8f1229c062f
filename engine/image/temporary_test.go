//go:build containers_image_openpgp

package image

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTemporary: what a killed process has left goes when the next one begins, what a living one has stays, as does what is
// not ours.
func TestTemporary(t *testing.T) {
	parent := t.TempDir()
	killed := filepath.Join(parent, "berth-image-killed")
	other := filepath.Join(parent, "container_images_other")
	link := filepath.Join(parent, "berth-image-link")
	for _, dir := range []string{killed, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "layer"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	living, err := newTemporary(parent)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(living.dir.Name(), "layer")
	if err := os.WriteFile(kept, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := newTemporary(parent)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{killed: false, filepath.Join(other, "layer"): true, kept: true, second.dir.Name(): true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		if err := living.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(kept)); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
