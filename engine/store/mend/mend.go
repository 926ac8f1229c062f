// Package mend puts right what a kill or a power cut has left in an overlay store of containers/storage and the library cannot live
// with: short names of layers, and lists of what is volatile.
package mend

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"go.podman.io/storage/pkg/lockfile"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// Store mends the store below root. It is to be called before the library opens it, which begins with reading the lists and with
// the removal of what is unfinished. What cannot be mended is left.
//
// Looked at are the layers that are unfinished by their records; with all, after a boot, each.
func Store(root string, all bool) {
	removeTorn(filepath.Join(root, "overlay-containers"), "volatile-containers.json", "containers.lock")
	removeTorn(filepath.Join(root, "overlay-layers"), "volatile-layers.json", "layers.lock")
	if all || len(unfinished(root)) > 0 {
		nameLayers(root, all)
	}
}

// removeTorn removes the list of volatile things in dir when the power was cut while it was written: the library does not sync it, and
// then cannot open the store. What it named ended with that boot; the sweep that follows a boot finds its files.
func removeTorn(dir, list, lockName string) {
	path := filepath.Join(dir, list)
	if text, err := os.ReadFile(path); err != nil || !torn(text) {
		return
	}
	lock, err := lockfile.GetLockFile(filepath.Join(dir, lockName))
	if err != nil {
		return
	}
	lock.Lock() // who writes it holds it
	defer lock.Unlock()
	if text, err := os.ReadFile(path); err == nil && torn(text) && !json.Valid(text) {
		_ = os.Remove(path)
	}
}

// torn tells whether a list looks as if not all of it had reached the disk: blocks that did not are zeros or not there. An empty one
// the library takes for none.
func torn(text []byte) bool {
	return len(text) > 0 && (text[0] != '[' || text[len(text)-1] != ']' || bytes.IndexByte(text, 0) >= 0)
}

// nameLayers gives layers their short name back where the file for it is empty: their maker was killed between making the file and
// writing it, or the power was cut. The storage library removes a layer together with the short name that it reads there, and for an
// empty one the directory of all of them (overlay's removeCommon): no image could be mounted by Podman any more.
func nameLayers(root string, all bool) {
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
