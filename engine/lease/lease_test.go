package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testDir is a directory of leases whose holders are all there, but those whose ID begins with dead.
func testDir(t *testing.T) Dir {
	return Dir{Path: filepath.Join(t.TempDir(), "leases"), Live: func(id string) bool { return !strings.HasPrefix(id, "dead") }}
}

func TestTakeAndRelease(t *testing.T) {
	d := testDir(t)
	take := func(id string, want bool) {
		t.Helper()
		if got, err := d.Take("net/n/1", id); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", id, got, err, want)
		}
	}
	take("c1", true)
	take("c2", false)
	if err := d.Release("net/n/1", "c2"); err != nil { // not its own
		t.Error(err)
	}
	take("c2", false)
	if err := d.Release("net/n/1", "c1"); err != nil {
		t.Error(err)
	}
	take("dead1", true)
	take("c2", true) // a dead container's lease is taken over
	take("c3", false)
	if err := d.Release("net/n/1", "dead1"); err != nil { // late
		t.Error(err)
	}
	take("c3", false)
}

// TestReleaseGoesOn: a release that was killed between two of the directories is finished by the next one.
func TestReleaseGoesOn(t *testing.T) {
	d := testDir(t)
	if ok, err := d.Take("net/n/1", "c1"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, name := range []string{"net/n/1", "net/n"} {
		if err := os.Remove(filepath.Join(d.Path, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Release("net/n/1", "c1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directories are left: %v", err)
	}
}

// TestFirstAndLastLease: leases are given back, and their directories with them, while others are taken.
func TestFirstAndLastLease(t *testing.T) {
	d := testDir(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name, id := fmt.Sprint("net/n/", i), fmt.Sprint("c", i)
			for round := range 500 {
				if ok, err := d.Take(name, id); !ok || err != nil {
					t.Errorf("round %d: %s is not taken: %v, %v", round, name, ok, err)
					return
				}
				if err := d.Release(name, id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(d.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directories are left: %v", err)
	}
}

// TestTakeoverRace: of many that want a dead container's lease one gets it, and its late removal takes nothing away.
func TestTakeoverRace(t *testing.T) {
	d := testDir(t)
	for round := range 200 {
		name := fmt.Sprint("net/n/", round)
		if ok, err := d.Take(name, "dead"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		winners := make(chan string, 8)
		var all sync.WaitGroup
		for i := range 7 {
			all.Go(func() {
				ok, err := d.Take(name, fmt.Sprint("c", i))
				if err != nil {
					t.Error(err)
				}
				if ok {
					winners <- fmt.Sprint("c", i)
				}
			})
		}
		all.Go(func() {
			if err := d.Release(name, "dead"); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		holder, _ := os.Readlink(filepath.Join(d.Path, name))
		if len(winners) != 1 || <-winners != holder {
			t.Fatalf("round %d: %d have it, the lease says %q", round, len(winners)+1, holder)
		}
	}
}

func TestHolder(t *testing.T) {
	d := testDir(t)
	for name, id := range map[string]string{"levels/a": "c1", "levels/b": "c2", "levels/c": "c1", "levels/d": "dead", "ports/a": "c1"} {
		if ok, err := d.Take(name, id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for name, want := range map[string]string{"levels/a": "c1", "levels/d": "", "levels/none": ""} {
		if got := d.Holder(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if err := errors.Join(d.ReleaseAll("levels", "c1"), d.ReleaseAll("none", "c1")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"levels/a": "", "levels/b": "c2", "levels/c": "", "ports/a": "c1"} {
		if got := d.Holder(name); got != want {
			t.Errorf("afterwards %s: %q, want %q", name, got, want)
		}
	}
}
