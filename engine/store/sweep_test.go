package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine"
)

// Only what the library wrote beside one of its lists, and long ago, goes.
func TestSweepFiles(t *testing.T) {
	root := t.TempDir()
	old := time.Now().Add(-2 * staleAge)
	var want []string
	for _, kind := range []string{"containers", "images", "layers"} {
		for _, f := range []struct {
			name  string
			when  time.Time
			stays bool
		}{
			{".tmp-dir/", old, true},
			{".tmp-" + kind + ".json1", old, false},
			{".tmp-" + kind + ".json2", time.Now(), true},
			{kind + ".json", old, true},
		} {
			path := filepath.Join(root, "overlay-"+kind, f.name)
			err := os.MkdirAll(filepath.Dir(path), 0o700)
			if err == nil && strings.HasSuffix(f.name, "/") {
				err = os.Mkdir(path, 0o700)
			} else if err == nil {
				err = os.WriteFile(path, nil, 0o600)
			}
			if err == nil {
				err = os.Chtimes(path, f.when, f.when)
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.stays {
				want = append(want, path)
			}
		}
	}
	slices.Sort(want)
	sweepFiles(root, filepath.Join(root, "not-there"))
	got, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("left are %s, want %s", got, want)
	}
}

// A layer goes when the store does not know it, it was mounted, and it is older than this boot.
func TestRemoveLost(t *testing.T) {
	dir := t.TempDir()
	booted := time.Now().Add(-time.Hour)
	id := func(c string) string { return strings.Repeat(c, 64) }
	for _, l := range []struct {
		name    string
		mounted bool
		when    time.Time
	}{
		{id("a"), true, booted.Add(-time.Minute)}, // lost
		{id("b"), true, booted.Add(-time.Minute)}, // known
		{id("c"), true, time.Now()},               // of this boot
		{id("d"), false, booted.Add(-time.Minute)},
		{"tempdirs", true, booted.Add(-time.Minute)},
	} {
		path := filepath.Join(dir, l.name)
		inner := "diff"
		if l.mounted {
			inner = "work/work"
		}
		if err := os.MkdirAll(filepath.Join(path, inner), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "link"), []byte("LINK"+l.name[:1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, l.when, l.when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "l"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"LINKa": id("a"), "LINKb": id("b"), "DANGLING": id("e")} {
		if err := os.Symlink("../"+target, filepath.Join(dir, "l", link)); err != nil {
			t.Fatal(err)
		}
	}
	// These links are of this boot, so a dangling one stays; from a later boot's view it goes.
	defer func() {
		removeDangling(filepath.Join(dir, "l"), time.Now().Add(time.Hour))
		if list, _ := os.ReadDir(filepath.Join(dir, "l")); len(list) != 1 || list[0].Name() != "LINKb" {
			t.Errorf("links left: %v", list)
		}
	}()
	if err := removeLost(dir, map[string]bool{id("b"): true}, booted); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{id("a"): false, id("b"): true, id("c"): true, id("d"): true, "tempdirs": true, "l/LINKa": false, "l/LINKb": true, "l/DANGLING": true} {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%.8s: there is %v, want %v", name, err == nil, want)
		}
	}
}

// The directory of a container goes when the store does not know it and it is older than this boot, unless it has
// a record of berth's.
func TestRemoveDirectories(t *testing.T) {
	dir := t.TempDir()
	booted := time.Now().Add(-time.Hour)
	id := func(c string) string { return strings.Repeat(c, 64) }
	lost, known, fresh, recorded := id("a"), id("b"), id("c"), id("d")
	old := booted.Add(-time.Minute)
	for name, when := range map[string]time.Time{lost: old, known: old, fresh: time.Now(), recorded: old, "other": old} {
		if err := os.MkdirAll(filepath.Join(dir, name, "userdata"), 0o700); err != nil {
			t.Fatal(err)
		}
		if name == recorded {
			if err := os.WriteFile(filepath.Join(dir, name, engine.RecordFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeDirectories(dir, []storage.Container{{ID: known}}, booted); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{lost: false, known: true, fresh: true, recorded: true, "other": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%.8s: there is %v, want %v", name, err == nil, want)
		}
	}
	if err := removeDirectories(filepath.Join(dir, "not-there"), nil, booted); err != nil {
		t.Error(err)
	}
}
