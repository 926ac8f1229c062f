package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine/spec"
)

// TestFindWhileItIsPutAway: between the record that says how a container ended and the removal of what it had in this boot, it
// is found as the record has it, by ID and by name.
func TestFindWhileItIsPutAway(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	id := strings.Repeat("a", 64)
	s := State{ID: id, Name: "web", ImageID: "i", Started: time.Now(), Container: spec.Container{Name: "web", Image: "i"}}
	if err := d.reserve(s); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.Container(id), "state.json")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Find("web"); err != nil || got.ID != id || got.ImageID != "" { // its maker was killed: no more is known
		t.Errorf("without a record: %+v, %v", got, err)
	}
	s.Exit = &Exit{Code: 7}
	if err := d.keep(s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{id, "web", id[:12]} {
		if got, err := d.Find(name); err != nil || got.Exit == nil || got.Exit.Code != 7 || !got.Lasting() {
			t.Errorf("%s: %+v, %v", name, got.Exit, err)
		}
	}
}
