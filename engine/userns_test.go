package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berth-pods/berth/engine/spec"
)

// idStore is a store in which containers of Podman's have ranges.
type idStore struct {
	Store
	used []spec.IDRange
}

func (s idStore) UsedIDs() ([]spec.IDRange, error) { return s.used, nil }

func TestLastFree(t *testing.T) {
	of := []spec.IDRange{{Start: 1000, Count: 100}, {Start: 5000, Count: 50}}
	for _, tt := range []struct {
		taken []spec.IDRange
		size  uint32
		want  string
	}{
		{nil, 50, "5000 true"}, {nil, 60, "1040 true"}, {nil, 101, "0 false"},
		{[]spec.IDRange{{Start: 5040, Count: 10}}, 40, "5000 true"},
		{[]spec.IDRange{{Start: 5010, Count: 10}}, 40, "1060 true"},
		{[]spec.IDRange{{Start: 5000, Count: 50}, {Start: 1090, Count: 10}, {Start: 1070, Count: 10}}, 10, "1080 true"}, // the hole between
		{[]spec.IDRange{{Start: 0, Count: 4000000000}}, 1, "0 false"},
	} {
		start, ok := lastFree(of, tt.taken, tt.size)
		if got := fmt.Sprint(start, ok); got != tt.want {
			t.Errorf("%v, %d: %s, want %s", tt.taken, tt.size, got, tt.want)
		}
	}
}

// Many containers at once get ranges that do not overlap, up to the last; a range is free again when its container is
// gone, removed or not.
func TestLeaseIDs(t *testing.T) {
	e := &Engine{Dirs: Dirs{Run: t.TempDir()}, Store: idStore{used: []spec.IDRange{{Start: 100, Count: 10}}}}
	of := []spec.IDRange{{Start: 100, Count: 110}}
	var all sync.WaitGroup
	states := make([]State, 10)
	for i := range states {
		states[i] = State{ID: strings.Repeat(fmt.Sprintf("%x", i), 64), Name: fmt.Sprint("c", i)}
		lock, err := e.Dirs.reserve(states[i])
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()
		all.Go(func() {
			if _, err := e.leaseIDs(&states[i], of, 10); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{"100-10": true}
	for _, s := range states {
		if seen[s.IDLease] {
			t.Errorf("twice: %s", s.IDLease)
		}
		seen[s.IDLease] = true
	}
	next := State{ID: strings.Repeat("a", 64), Name: "next"}
	if _, err := e.leaseIDs(&next, of, 10); err == nil || !strings.Contains(err.Error(), "no 10 IDs in a row") {
		t.Errorf("one too many: %v", err)
	}
	if err := e.releaseIDs(states[3]); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(e.Dirs.Container(states[7].ID)); err != nil { // as a power cut does
		t.Fatal(err)
	}
	var freed []State
	for _, digit := range []string{"a", "b"} {
		s := State{ID: strings.Repeat(digit, 64)}
		if _, err := e.leaseIDs(&s, of, 10); err != nil {
			t.Errorf("of a range that was given back: %v", err)
		}
		if err := errors.Join(os.MkdirAll(e.Dirs.Container(s.ID), 0o700), e.Dirs.save(s)); err != nil {
			t.Fatal(err)
		}
		freed = append(freed, s)
	}
	list, _ := filepath.Glob(e.Dirs.idLeases() + "/*")
	if len(list) != 10 {
		t.Errorf("leases: %v", list)
	}
	// Who has one already keeps it, also when it was killed before it could note that.
	for _, s := range []State{freed[0], {ID: freed[0].ID}} {
		if r, err := e.leaseIDs(&s, of, 20); err != nil || leaseName(r) != freed[0].IDLease || s.IDLease != freed[0].IDLease {
			t.Errorf("again: %v, %v; want %s", r, err, freed[0].IDLease)
		}
	}
	// After a boot it is had back, unless somebody else has it by then.
	for _, path := range list {
		os.Remove(path)
	}
	if r, err := e.leaseIDs(&freed[1], of, 20); err != nil || r.Count != 10 {
		t.Errorf("after a boot: %v, %v", r, err)
	}
	late := State{ID: freed[0].ID, IDLease: freed[1].IDLease}
	if r, err := e.leaseIDs(&late, of, 10); err != nil || late.IDLease == freed[1].IDLease || leaseName(r) != late.IDLease {
		t.Errorf("another's: %v, %v", r, err)
	}
	for _, s := range append(states, freed[0], freed[1], late) {
		if err := e.releaseIDs(s); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Dir(e.Dirs.idLeases())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directories are left: %v", err)
	}
}
