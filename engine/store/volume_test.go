package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEnsure(t *testing.T) {
	root := t.TempDir()
	fills := 0
	fill := func(dir string) error {
		fills++
		return os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600)
	}
	for range 2 {
		path, err := ensure(root, Volume{Name: "data"}, fill)
		if err != nil || path != filepath.Join(root, "data/_data") {
			t.Fatal(path, err)
		}
		if got, err := os.ReadFile(filepath.Join(path, "file")); string(got) != "text" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "data/_data")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}

func TestVolumesElsewhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vols")
	v := Volumes{Dir: func() (string, error) { return dir, nil }}
	if _, err := v.Create(Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	if list, err := v.List(); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data/_data")); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	v.Dir = func() (string, error) { return "", broken }
	if _, err := v.List(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestEnsureFailsWhole: a volume that could not be filled is not there, and the next start fills it.
func TestEnsureFailsWhole(t *testing.T) {
	root := t.TempDir()
	broken := errors.New("no space left")
	if _, err := ensure(root, Volume{Name: "data"}, func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o600), broken)
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	// A start that was killed while it filled leaves the same, and what it had begun.
	if err := os.MkdirAll(filepath.Join(root, "data", newPrefix+"killed/half"), 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := ensure(root, Volume{Name: "data"}, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(path); len(list) != 0 {
		t.Errorf("half a volume: %v", list)
	}
	if list, _ := os.ReadDir(filepath.Join(root, "data")); len(list) != 2 {
		t.Errorf("left beside the volume: %v", list)
	}
}

// TestEnsureAtOnce: of many starts at once one fills, and the others wait for it.
func TestEnsureAtOnce(t *testing.T) {
	root := t.TempDir()
	var fills atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			path, err := ensure(root, Volume{Name: "data"}, func(dir string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(path, "file")); err != nil {
				t.Errorf("saw half a volume: %v", err)
			}
		})
	}
	all.Wait()
	if fills.Load() != 1 {
		t.Errorf("filled %d times", fills.Load())
	}
}

func TestCandidates(t *testing.T) {
	for name, want := range map[string][]string{
		"web":                  {"web", "localhost/web:latest", "docker.io/library/web:latest"},
		"web:1":                {"web:1", "localhost/web:1", "docker.io/library/web:1"},
		"user/web":             {"user/web", "localhost/user/web:latest", "docker.io/user/web:latest"},
		"quay.io/a/web":        {"quay.io/a/web", "quay.io/a/web:latest"},
		"localhost/web:1":      {"localhost/web:1"},
		"host:5000/web":        {"host:5000/web", "host:5000/web:latest"},
		"quay.io/web@sha256:x": {"quay.io/web@sha256:x"},
	} {
		got := candidates(name)
		if len(got) != len(want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %q, want %q", name, got, want)
				break
			}
		}
	}
}
