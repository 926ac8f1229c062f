// Package layerlink looks after the short names of layers in an overlay store of containers/storage.
package layerlink

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"go.podman.io/storage/pkg/lockfile"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// Mend gives layers their short name back where the file for it is empty: their maker was killed between making the file and
// writing it, or the power was cut. The storage library removes a layer together with the short name that it reads there, and for an
// empty one the directory of all of them (overlay's removeCommon): no image could be mounted by Podman any more. It is to be called
// before the library opens the store, which begins with the removal of what is unfinished.
//
// Looked at are the layers that are unfinished by their records; with all, after a boot, each. What cannot be mended is left.
func Mend(root string, all bool) {
	if !all && len(unfinished(root)) == 0 {
		return
	}
	lock, err := lockfile.GetLockFile(filepath.Join(root, "overlay-layers", "layers.lock"))
	if err != nil {
		return
	}
	lock.Lock() // who makes a layer holds it
	defer lock.Unlock()
	ids := unfinished(root)
	if all {
		ids = layers(root)
	}
	var names map[string]string
	for _, id := range ids {
		link := filepath.Join(root, "overlay", id, "link")
		if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
			continue
		}
		if names == nil {
			names = shortNames(root)
		}
		if name := names[id]; name != "" {
			_ = atomicfile.Write(link, []byte(name), 0o644)
		} else {
			_ = os.Remove(link)
		}
	}
}

// unfinished are the layers that the library will remove when it opens the store.
func unfinished(root string) (ids []string) {
	for _, name := range []string{"layers.json", "volatile-layers.json"} {
		text, err := os.ReadFile(filepath.Join(root, "overlay-layers", name))
		if err != nil || !bytes.Contains(text, []byte(`"incomplete"`)) {
			continue
		}
		var list []struct {
			ID    string         `json:"id"`
			Flags map[string]any `json:"flags"`
		}
		if json.Unmarshal(text, &list) != nil {
			continue
		}
		for _, l := range list {
			if l.Flags["incomplete"] != nil && l.ID == filepath.Base(l.ID) {
				ids = append(ids, l.ID)
			}
		}
	}
	return ids
}

// layers are all that have a directory.
func layers(root string) (ids []string) {
	entries, _ := os.ReadDir(filepath.Join(root, "overlay"))
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) == 64 {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// shortNames has the short name of each layer: l/NAME is a link to ../ID/diff.
func shortNames(root string) map[string]string {
	dir := filepath.Join(root, "overlay", "l")
	entries, _ := os.ReadDir(dir)
	names := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			names[filepath.Base(filepath.Dir(target))] = e.Name()
		}
	}
	return names
}
