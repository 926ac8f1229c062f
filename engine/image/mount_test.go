//go:build containers_image_openpgp

package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMountAndDiff(t *testing.T) {
	im := openStore(t)
	loadWeb(t, im)
	m, err := im.Mount("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(m.Path, "lower")); err != nil {
		t.Error(err)
	}
	if list, err := im.Mounts(); err != nil || len(list) != 1 || list[0].Path != m.Path {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := im.Unmount("web", false); err != nil {
		t.Error(err)
	}
	if _, err := im.Unmount("web", false); err == nil {
		t.Error("what is not mounted was unmounted")
	}
	if got, err := im.Diff("web", ""); err != nil || !slices.Equal(got, []Change{{"A", "/upper"}}) {
		t.Errorf("%v, %v", got, err)
	}
}
