package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
)

// A start that comes while a volume is removed gets a new one, and never the directory that is on its way out.
func TestRemoveBesideStart(t *testing.T) {
	root := t.TempDir()
	fills := 0
	fill := func(string) error { fills++; return nil }
	if _, err := ensure(root, Volume{Name: "data"}, fill); err != nil {
		t.Fatal(err)
	}
	type result struct {
		path string
		err  error
	}
	started := make(chan result, 1)
	err := removeVolume(root, "data", func(Volume) error {
		go func() {
			_, source, err := Volumes{}.existing(root, "data")
			if source == (engine.VolumeSource{}) && err == nil {
				source.Path, err = ensure(root, Volume{Name: "data"}, fill)
			}
			started <- result{source.Path, err}
		}()
		select { // whoever does not wait for the removal is done long before
		case r := <-started:
			started <- r
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	})
	r := <-started
	if err := errors.Join(err, r.err); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.path); err != nil || fills != 2 {
		t.Errorf("filled %d times, %v", fills, err)
	}
}

// While one start looks for a volume the others may, and a volume that is used stays as it is.
func TestRemoveUsed(t *testing.T) {
	root := t.TempDir()
	if _, err := ensure(root, Volume{Name: "data"}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	used := errors.New("it is used")
	err := removeVolume(root, "data", func(Volume) error {
		f, err := os.Open(root)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("a start need not wait: %v", err)
		}
		return used
	})
	if !errors.Is(err, used) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if _, source, err := (Volumes{}).existing(root, "data"); err != nil || source.Path != filepath.Join(root, "data/_data") {
			t.Errorf("%+v, %v", source, err)
		}
	}
	if list, err := os.ReadDir(root); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestSweepRemoved: what a removal that was killed has left goes with the next one; what somebody removes is his.
func TestSweepRemoved(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{".removed-1/data/_data/d", ".removed-2/more/_data", "kept/_data"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := atomicfile.LockDir(filepath.Join(root, ".removed-2"))
	if err != nil {
		t.Fatal(err)
	}
	there := func() (names []string) {
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if _, err := ensure(root, Volume{Name: "x"}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := removeVolume(root, "x", anyVolume); err != nil {
		t.Fatal(err)
	}
	if got := there(); !slices.Equal(got, []string{".removed-2", "kept"}) {
		t.Errorf("after a removal: %q", got)
	}
	busy.Close()
	if err := removeVolume(root, "x", anyVolume); !errors.Is(err, ErrNoVolume) { // who was killed tries again
		t.Fatal(err)
	}
	if got := there(); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("when nobody is at work: %q", got)
	}
}

// TestSweepBusy: what is left of another volume and cannot be removed is no fault of this one.
func TestSweepBusy(t *testing.T) {
	root := t.TempDir()
	busy := filepath.Join(root, ".removed-1/data")
	if err := os.MkdirAll(busy, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", busy, "tmpfs", 0, ""); err != nil {
		t.Skip("nothing can be mounted here: ", err)
	}
	defer unix.Unmount(busy, unix.MNT_DETACH)
	if _, err := ensure(root, Volume{Name: "x"}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := removeVolume(root, "x", anyVolume); err != nil {
		t.Error(err)
	}
	if err := sweepRemoved(root); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a sweep says %v", err)
	}
}

// anyVolume is removed whatever it is.
func anyVolume(Volume) error { return nil }
