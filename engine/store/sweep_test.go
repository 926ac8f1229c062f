package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Only what the library wrote beside another file, and long ago, goes.
func TestSweepFiles(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * staleAge)
	for name, when := range map[string]time.Time{
		".tmp-layers.json1": old, ".tmp-layers.json2": time.Now(), "layers.json": old, ".tmp-dir/": old,
	} {
		path := filepath.Join(dir, name)
		var err error
		if name[len(name)-1] == '/' {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err == nil {
			err = os.Chtimes(path, when, when)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sweepFiles(dir, filepath.Join(dir, "not-there"))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := ".tmp-dir .tmp-layers.json2 layers.json"; strings.Join(got, " ") != want {
		t.Errorf("left are %s, want %s", strings.Join(got, " "), want)
	}
}
