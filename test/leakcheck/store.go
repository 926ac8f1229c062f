package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const systemStore = "/var/lib/containers/storage"

// store is one containers/storage directory: what its records say, and what
// is there.
type store struct {
	root       string
	driver     string // "overlay", "vfs"
	containers []record
	images     []record
	layers     []record
	links      map[string]string // overlay: short link → layer id
	broken     []string          // record files that could not be read
}

// record is what containers, images and layers have in common in the JSON of
// containers/storage.
type record struct {
	ID      string         `json:"id"`
	Names   []string       `json:"names"`
	LayerID string         `json:"layer"`
	Parent  string         `json:"parent"`
	Flags   map[string]any `json:"flags"`
}

func (r record) name() string {
	if len(r.Names) > 0 {
		return r.Names[0]
	}
	return r.ID
}

// readStores reads the system's store and every user's that can be seen.
func readStores() []*store {
	var stores []*store
	for _, root := range storeRoots() {
		drivers, _ := filepath.Glob(filepath.Join(root, "*-layers"))
		for _, dir := range drivers {
			stores = append(stores, readStore(root, strings.TrimSuffix(filepath.Base(dir), "-layers")))
		}
	}
	return stores
}

func storeRoots() []string {
	roots := []string{systemStore}
	passwd, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[5] != "/" {
			roots = append(roots, filepath.Join(f[5], ".local/share/containers/storage"))
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

func readStore(root, driver string) *store {
	s := &store{root: root, driver: driver, links: map[string]string{}}
	s.containers = s.records("containers", "containers.json", "volatile-containers.json")
	s.images = s.records("images", "images.json")
	s.layers = s.records("layers", "layers.json", "volatile-layers.json")
	links, _ := os.ReadDir(filepath.Join(root, driver, "l"))
	for _, link := range links {
		target, err := os.Readlink(filepath.Join(root, driver, "l", link.Name()))
		if err == nil {
			s.links[link.Name()] = filepath.Base(filepath.Dir(target)) // ../LAYER/diff
		}
	}
	return s
}

func (s *store) records(kind string, files ...string) []record {
	var all []record
	for _, file := range files {
		path := filepath.Join(s.root, s.driver+"-"+kind, file)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		var some []record
		if err == nil {
			err = json.Unmarshal(data, &some)
		}
		if err != nil {
			s.broken = append(s.broken, fmt.Sprintf("unreadable %s: %v", path, err))
			continue
		}
		all = append(all, some...)
	}
	return all
}

func collectStore(m *machine) ([]string, error) {
	if os.Geteuid() != 0 && len(m.stores) == 0 {
		return nil, skipf("not root: no store that user %d can read", os.Geteuid())
	}
	var lines []string
	for _, s := range m.stores {
		lines = append(lines, prefixed(s.root+": ", s.lines())...)
	}
	for _, root := range storeRoots() {
		leftovers, err := strayLines(root)
		if err != nil {
			return lines, err
		}
		lines = append(lines, prefixed(root+": ", leftovers)...)
	}
	return append(lines, mountCounts()...), nil
}

// lines tells every record, and compares records, directories and links both ways.
func (s *store) lines() []string {
	lines := slices.Clone(s.broken)
	for _, c := range s.containers {
		lines = append(lines, "container "+c.name()+s.missing("containers", c.ID))
	}
	for _, i := range s.images {
		lines = append(lines, "image "+i.ID+" "+strings.Join(i.Names, " ")+s.missing("images", i.ID))
	}
	for _, l := range s.layers {
		line := "layer " + l.ID
		if l.Flags["incomplete"] == true {
			line += " incomplete"
		}
		if !exists(s.root, s.driver, l.ID) {
			line += " without directory"
		}
		lines = append(lines, line)
	}
	lines = append(lines, s.unrecorded("-containers", s.containers)...)
	lines = append(lines, s.unrecorded("-images", s.images)...)
	lines = append(lines, s.unrecorded("", s.layers)...)
	for link, layer := range s.links {
		if !exists(s.root, s.driver, layer) {
			lines = append(lines, "dangling link l/"+link+" to "+layer)
		}
	}
	return lines
}

// missing notes a container's or image's record that has no directory.
// Directories of images may be absent when the image has no big data.
func (s *store) missing(kind, id string) string {
	if kind == "containers" && !exists(s.root, s.driver+"-"+kind, id) {
		return " without directory"
	}
	return ""
}

func exists(parts ...string) bool {
	_, err := os.Lstat(filepath.Join(parts...))
	return err == nil
}

// unrecorded lists directories named by an id that no record has.
func (s *store) unrecorded(suffix string, records []record) []string {
	known := map[string]bool{}
	for _, r := range records {
		known[r.ID] = true
	}
	dir := filepath.Join(s.root, s.driver+suffix)
	entries, _ := os.ReadDir(dir)
	var lines []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "l" && e.Name() != "tempdirs" && e.Name() != "staging" && !known[e.Name()] {
			lines = append(lines, "directory without record "+filepath.Join(s.driver+suffix, e.Name()))
		}
	}
	return lines
}

// strayLines lists unfinished downloads and removals: everything in the
// directories that are empty when nobody works.
func strayLines(root string) ([]string, error) {
	var lines []string
	for _, pattern := range []string{"tmp/*", "*/staging/*", "*/tempdirs/*", "*-layers/tmp/*", "*-layers/*.tmp*", "*-containers/.tmp*", "*-images/.tmp*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return lines, err
		}
		for _, path := range found {
			rel, _ := filepath.Rel(root, path)
			lines = append(lines, "unfinished "+rel)
		}
	}
	return lines, nil
}

// mountCounts tells which layers count as mounted in this boot.
func mountCounts() []string {
	paths, _ := filepath.Glob("/run/containers/storage/*-layers/mountpoints.json")
	users, _ := filepath.Glob("/run/user/*/containers/*-layers/mountpoints.json")
	var lines []string
	for _, path := range append(paths, users...) {
		var mounts []struct {
			ID    string `json:"id"`
			Count int    `json:"count"`
		}
		data, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(data, &mounts) != nil {
			continue
		}
		for _, mnt := range mounts {
			if mnt.Count != 0 {
				lines = append(lines, fmt.Sprintf("%s: mounted %s %d times", path, mnt.ID, mnt.Count))
			}
		}
	}
	return lines
}

// collectVolumes lists named volumes. A file named canary at the top of one
// is hashed: a test that puts it there learns when data was lost.
func collectVolumes(*machine) ([]string, error) {
	var lines []string
	for _, root := range storeRoots() {
		volumes, _ := filepath.Glob(filepath.Join(root, "volumes/*"))
		for _, dir := range volumes {
			lines = append(lines, volumeLine(dir))
		}
	}
	return lines, nil
}

func volumeLine(dir string) string {
	line := dir
	var st unix.Stat_t
	data := filepath.Join(dir, "_data")
	if unix.Lstat(data, &st) == nil {
		line += fmt.Sprintf(" %s%04o %d:%d", fileKind(st.Mode), st.Mode&0o7777, st.Uid, st.Gid)
	}
	f, err := os.Open(filepath.Join(data, "canary"))
	if err != nil {
		return line
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return line + " canary unreadable"
	}
	return line + fmt.Sprintf(" canary=%.6x", sum.Sum(nil)) // 48 bits: not a 64-digit identifier
}
