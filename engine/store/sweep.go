package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
)

// sweptFile in the run root names the boot in which sweepOnce has run. A run root may outlive a boot: that of a user
// without a directory in /run lies in /tmp.
const sweptFile = "berth-swept"

// sweepOnce removes, once a boot, what the volatile containers of earlier boots have left.
func sweepOnce(st storage.Store, boot string) error {
	if swept(st.RunRoot(), boot) {
		return nil
	}
	if err := sweep(st, boot); err != nil {
		return err
	}
	if err := sweepLayers(st); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(st.RunRoot(), sweptFile), []byte(boot), 0o600)
}

// swept tells whether sweepOnce has run in this boot.
func swept(runRoot, boot string) bool {
	of, err := os.ReadFile(filepath.Join(runRoot, sweptFile))
	return err == nil && string(of) == boot
}

// bootID is the kernel's name for this boot (random(4)).
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// sweepLayers removes the layers of containers that the store no longer knows: their records are not synced, as they are
// volatile, so a power cut may keep a layer's directory and lose its record.
func sweepLayers(st storage.Store) error {
	layers, err := st.Layers()
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(layers))
	for _, l := range layers {
		known[l.ID] = true
	}
	booted, err := bootTime()
	if err != nil {
		return err
	}
	if err := removeLost(filepath.Join(st.GraphRoot(), "overlay"), known, booted); err != nil {
		return err
	}
	containers, err := st.Containers()
	if err != nil {
		return err
	}
	if err := deleteUnused(st, layers, containers, booted); err != nil {
		return err
	}
	return removeDirectories(filepath.Join(st.GraphRoot(), "overlay-containers"), containers, booted)
}

// removeDirectories removes the directories below dir of containers that the store no longer knows and that are older than this boot.
// One that has a record is left to who removes containers.
func removeDirectories(dir string, containers []storage.Container, booted time.Time) error {
	known := make(map[string]bool, len(containers))
	for _, c := range containers {
		known[c.ID] = true
	}
	lost, err := unknownIn(dir, known, booted)
	if err != nil {
		return err
	}
	for _, path := range lost {
		if _, err := os.Lstat(filepath.Join(path, engine.RecordFile)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// unknownIn gives the directories below dir that have the name of a layer or container, are not known, and are older than this boot: those
// of this boot may be in the making.
func unknownIn(dir string, known map[string]bool, booted time.Time) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var lost []string
	for _, e := range entries {
		if !e.IsDir() || !isID(e.Name()) || known[e.Name()] {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(booted) {
			lost = append(lost, filepath.Join(dir, e.Name()))
		}
	}
	return lost, nil
}

// isID tells whether a name is one that the library gives to layers and containers.
func isID(name string) bool { return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == "" }

// deleteUnused deletes the writable layers of earlier boots whose layer record was kept and whose container record was
// lost: no container, no image and no other layer stands on them.
func deleteUnused(st storage.Store, layers []storage.Layer, containers []storage.Container, booted time.Time) error {
	used := map[string]bool{}
	for _, l := range layers {
		used[l.Parent] = true
	}
	images, err := st.Images()
	if err != nil {
		return err
	}
	for _, i := range images {
		used[i.TopLayer] = true
		for _, l := range i.MappedTopLayers {
			used[l] = true
		}
	}
	for _, c := range containers {
		used[c.LayerID] = true
	}
	for _, l := range layers {
		_, err := os.Stat(filepath.Join(st.GraphRoot(), "overlay", l.ID, "work", "work"))
		if used[l.ID] || err != nil || !l.Created.Before(booted) || l.ReadOnly {
			continue
		}
		if err := st.DeleteLayer(l.ID); err != nil && !unknown(err) {
			return err
		}
	}
	return nil
}

// removeLost removes the layers below dir that are not known, have been mounted for writing, and are older than this
// boot.
func removeLost(dir string, known map[string]bool, booted time.Time) error {
	lost, err := unknownIn(dir, known, booted)
	if err != nil {
		return err
	}
	for _, layer := range lost {
		if _, err := os.Stat(filepath.Join(layer, "work", "work")); err != nil {
			continue
		}
		if link, err := os.ReadFile(filepath.Join(layer, "link")); err == nil && len(link) > 0 {
			os.Remove(filepath.Join(dir, "l", filepath.Base(string(link))))
		}
		if err := os.RemoveAll(layer); err != nil {
			return err
		}
	}
	removeDangling(filepath.Join(dir, "l"), booted)
	return nil
}

// removeDangling removes the short names of layers that are gone: a kill between the two leaves one. What cannot be
// removed now can be at the next boot.
func removeDangling(dir string, booted time.Time) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Type() != fs.ModeSymlink || !info.ModTime().Before(booted) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			os.Remove(path)
		}
	}
}

// bootTime is when the kernel started, by the clock of today.
func bootTime() (time.Time, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(-time.Duration(info.Uptime) * time.Second), nil
}
