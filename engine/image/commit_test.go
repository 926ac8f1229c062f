//go:build containers_image_openpgp

package image

import (
	"bytes"
	"sync"
	"testing"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

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

// TestCommitHistory: the history of an image tells of all of its layers, also when the image before it has none, and says what the commit did.
func TestCommitHistory(t *testing.T) {
	im := openStore(t)
	base := loadAs(t, im, "a", "web")
	for _, whole := range []bool{false, true, false} { // the last one is made of the one before
		c, err := im.store.CreateContainer("", nil, base, "", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		o := CommitOptions{Message: "said"}
		if whole {
			o.All = bytes.NewReader(imageFiles(t, archive.OCI, twoLayers(t)).tar(t))
		}
		if base, err = im.Commit(t.Context(), c.ID, o); err != nil {
			t.Fatal(err)
		}
		b, err := im.commitBase(base)
		if err != nil {
			t.Fatal(err)
		}
		if h := b.config.History; len(h) != len(b.layers) || h[len(h)-1].Comment != "said" {
			t.Errorf("%d layers, and in the history %+v", len(b.layers), h)
		}
	}
}

// TestCommitAtOnce: several commits of the same files at once make one layer.
func TestCommitAtOnce(t *testing.T) {
	im := openStore(t)
	c, err := im.store.CreateContainer("", nil, loadAs(t, im, "a", "web"), "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := im.layers()
	if err != nil {
		t.Fatal(err)
	}
	begin := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		one, err := Open(Options{Root: im.store.GraphRoot(), RunRoot: im.store.RunRoot(), Driver: "overlay", DriverOptions: []string{"overlay.sync=none"}})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			<-begin
			if _, err := one.Commit(t.Context(), c.ID, CommitOptions{Name: "made"}); err != nil {
				t.Error(err)
			}
			if err := one.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	if after, err := im.layers(); err != nil || len(after) != len(before)+1 {
		t.Errorf("%d layers, %v; there were %d", len(after), err, len(before))
	}
}
