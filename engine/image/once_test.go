//go:build containers_image_openpgp

package image

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Many that want the same image make one download: all but the first wait for it.
func TestOneDownloadForAll(t *testing.T) {
	const pulls = 50
	var waiting sync.WaitGroup
	waiting.Add(pulls - 1)
	im := openStore(t)
	r := newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	r.refuse = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.Path, "/blobs/") {
			waiting.Wait() // until all others stand in line
		}
		return false
	}
	var all sync.WaitGroup
	for range pulls {
		other, err := Open(Options{Root: im.store.GraphRoot(), RunRoot: im.store.RunRoot(), Driver: "overlay", DriverOptions: []string{"overlay.sync=none"},
			SignaturePolicy: im.sys.SignaturePolicyPath, Say: func(s string) {
				if strings.HasPrefix(s, "Waiting for another pull") {
					waiting.Done()
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		all.Go(func() {
			if _, err := other.Pull(t.Context(), r.host()+"/web:1", plain(PullOptions{Policy: Missing})); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if blobs, manifests := r.count("blobs"), r.count("manifests"); blobs != 3 || manifests != 1 {
		t.Errorf("%d blobs and %d manifests were asked for, want 3 and 1", blobs, manifests)
	}
	if left, _ := filepath.Glob(filepath.Join(im.store.RunRoot(), "berth-*")); len(left) > 0 {
		t.Errorf("lock files are left: %q", left)
	}
}
