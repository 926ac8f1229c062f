//go:build containers_image_openpgp

package image

import (
	"os"
	"sync"
	"testing"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// While another process stores an image, the layers of a failed load stay, as that one may be building on them.
func TestSweepWaitsForNobody(t *testing.T) {
	im := openStore(t)
	i := twoLayers(t, "web")
	f := imageFiles(t, archive.OCI, i)
	spoil(f, "blobs/sha256/"+i.Layers[1].Hex)
	file := writeFile(t, "x.tar", string(f.tar(t)))
	leave, err := im.copying() // stands for the other process: a lock belongs to its open file
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.Load(t.Context(), file); err == nil {
		t.Fatal("a spoilt archive was loaded")
	}
	if layers, _ := im.store.Layers(); len(layers) != 1 {
		t.Errorf("%d layers, want the lower one", len(layers))
	}
	leave()
	good := writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, i).tar(t)))
	if _, err := im.Load(t.Context(), good); err != nil {
		t.Error(err)
	}
}

// Good and damaged archives that share layers are loaded by many processes at once; all good ones succeed.
func TestLoadsAtOnce(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: layers are unpacked with their owners and mounted")
	}
	isolate(t)
	dir, policy := t.TempDir(), writeFile(t, "policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	im, err := Open(childOptions(dir, policy))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	i := twoLayers(t, "web")
	f := imageFiles(t, archive.OCI, i)
	good := writeFile(t, "x.tar", string(f.tar(t)))
	spoil(f, "blobs/sha256/"+i.Layers[1].Hex)
	bad := writeFile(t, "x.tar", string(f.tar(t)))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if n%2 == 1 {
				_ = runChild(t.Context(), dir, policy, bad) // succeeds once the layers are there, as its own are not read then
				return
			}
			if err := runChild(t.Context(), dir, policy, good); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	checkWhole(t, im)
}
