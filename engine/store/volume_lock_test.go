package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/berth-pods/berth/engine"
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

// TestRemoveBesideMount: a volume is not removed while somebody mounts or unmounts its layer, who finds it gone when he has waited for its removal.
func TestRemoveBesideMount(t *testing.T) {
	root := t.TempDir()
	v := Volumes{Dir: func() (string, error) { return root, nil }}
	if _, err := createVolume(root, Volume{Name: "x"}, nil); err != nil {
		t.Fatal(err)
	}
	begun, removed, late := make(chan bool, 1), make(chan error, 1), make(chan error, 1)
	err := v.WithLayer("x", func(engine.Layer) error {
		go func() {
			removed <- removeVolume(root, "x", func(Volume) error {
				begun <- true
				go func() { late <- v.WithLayer("x", func(engine.Layer) error { return nil }) }()
				for len(late) == 0 && !waiting(t) {
					runtime.Gosched()
				}
				return nil
			})
		}()
		for len(begun) == 0 && !waiting(t) {
			runtime.Gosched()
		}
		if len(begun) > 0 {
			t.Error("it is removed while its layer is in use")
		}
		return nil
	})
	if err := errors.Join(err, <-removed); err != nil {
		t.Error(err)
	}
	if err := <-late; !errors.Is(err, engine.ErrNoVolume) {
		t.Errorf("who comes late: %v", err)
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
