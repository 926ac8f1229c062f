//go:build containers_image_openpgp

package image

import "testing"

// TestCommit: an image made of a container is the one that comes back from where it was saved to, or pushed. The same files once more are the
// same layer.
func TestCommit(t *testing.T) {
	im := openStore(t)
	base := loadAs(t, im, "a", "web")
	c, err := im.store.CreateContainer("", nil, base, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, whole := range []bool{false, false, true, true} {
		o := CommitOptions{Name: "made"}
		if whole {
			all, err := layer(t, "whole", "x").Open()
			if err != nil {
				t.Fatal(err)
			}
			o.All = all
		}
		id, err := im.Commit(t.Context(), c.ID, o)
		if err != nil {
			t.Fatal(err)
		}
		file := t.TempDir() + "/made.tar"
		if err := im.Save(t.Context(), []string{"made"}, file, SaveOptions{Format: "docker-archive"}); err != nil {
			t.Fatal(err)
		}
		if loaded, err := im.Load(t.Context(), file); err != nil || len(loaded) != 1 || loaded[0].ID != id {
			t.Errorf("loaded %+v, %v; want the image %s", loaded, err, id)
		}
	}
}
