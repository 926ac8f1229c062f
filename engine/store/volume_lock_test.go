package store

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// A volume whose directory is removed while its maker waits for the turn is made in a new one.
func TestCreateBesideARemoval(t *testing.T) {
	for doing, create := range map[string]func(root string) error{
		"volume create": func(root string) error { _, err := createVolume(root, Volume{Name: "x"}, nil); return err },
		"start": func(root string) error {
			_, err := ensure(root, Volume{Name: "x"}, func(string) error { return nil })
			return err
		},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "x")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		lock, err := atomicfile.LockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		made := make(chan error, 1)
		go func() { made <- create(root) }()
		for len(made) == 0 && !waiting(t) {
			runtime.Gosched()
		}
		if err := os.Rename(dir, filepath.Join(root, ".removed-1")); err != nil {
			t.Fatal(err)
		}
		lock.Close()
		if err := <-made; err != nil {
			t.Errorf("%s: %v", doing, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "_data")); err != nil {
			t.Errorf("%s: %v", doing, err)
		}
	}
}

// waiting tells whether a thread of this process waits for a lock.
func waiting(t *testing.T) bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(fmt.Sprintf(`-> FLOCK .* %d `, os.Getpid())).Match(locks)
}
