package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/berth-pods/berth/engine"
)

// TestRenameKilled: a container that has two names, for its Rename was killed, gives both back with its end.
func TestRenameKilled(t *testing.T) {
	for _, lasting := range []bool{true, false} {
		b := newBench(t)
		c := web()
		c.Remove = !lasting
		s, err := b.start(c)
		if err != nil {
			t.Fatal(err)
		}
		err = b.on(func(e *engine.Engine) error {
			return e.Rename(s, "new", func(string, string) error {
				runtime.Goexit()
				return nil
			})
		})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if names, err := os.ReadDir(filepath.Join(b.run, "names")); len(names) != 2 {
			t.Fatal(names, err)
		}
		b.End()
		b.must(func(e *engine.Engine) error { return e.Cleanup(t.Context(), s, engine.Exit{}) })
		if files := b.files(); len(files) > 0 {
			t.Errorf("lasting %t: left after the end: %v", lasting, files)
		}
	}
}

// TestRename: a container is found by its new name only, also when whoever ends it knows the old one, and nothing is left of it.
func TestRename(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	var s engine.State
	if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Create(ctx, keptWeb()); return err }); err != nil {
		t.Fatal(err)
	}
	calls := 0
	rename := func(name string, storeErr error) error {
		now, err := b.dirs().Find(s.ID)
		if err != nil {
			t.Fatal(err)
		}
		e := engine.Engine{Dirs: b.dirs()}
		return e.Rename(now, name, func(id, given string) error {
			if calls++; id != s.ID || given != name {
				t.Errorf("in the store: %s, %s", id, given)
			}
			return storeErr
		})
	}
	if err := rename("at-rest", nil); err != nil {
		t.Fatal(err)
	}
	found, err := b.dirs().Find("at-rest")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Start(ctx, found); return err }); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := rename("live", refused); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := b.dirs().Find("live"); !errors.Is(err, engine.ErrNoContainer) {
		t.Errorf("a name that the store has refused: %v", err)
	}
	for range 2 { // again, as after an interruption
		if err := rename("live", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := rename("no/name", nil); err == nil {
		t.Error("a name that is none is taken")
	}
	if _, err := b.dirs().Find("at-rest"); !errors.Is(err, engine.ErrNoContainer) {
		t.Errorf("the old name: %v", err)
	}
	b.End()
	// s is from before it was renamed, as the one has that stands in the foreground.
	if err := b.on(func(e *engine.Engine) error { return e.Cleanup(ctx, s, engine.Exit{Code: 7}) }); err != nil {
		t.Fatal(err)
	}
	if files := b.files(); len(files) > 0 {
		t.Errorf("left after the end: %v", files)
	}
	if found, err := b.dirs().Find("live"); err != nil || found.Exit == nil || found.Exit.Code != 7 || calls != 3 {
		t.Errorf("%+v, %v, %d calls", found, err, calls)
	}
}

// TestRenameAfterHalfAnEnd: what a start has left that was killed while it took the name, or an end while it gave it back, is not a second
// name of the container.
func TestRenameAfterHalfAnEnd(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	names := filepath.Join(b.run, "names")
	if err := errors.Join(os.MkdirAll(names, 0o700), os.Symlink("../"+s.ID, filepath.Join(names, "web")), os.Mkdir(b.dirs().Container(s.ID), 0o700)); err != nil {
		t.Fatal(err)
	}
	b.must(func(e *engine.Engine) error { return e.Rename(s, "new", func(string, string) error { return nil }) })
	if found, err := b.dirs().Find("new"); err != nil || found.ID != s.ID {
		t.Errorf("the new name: %+v, %v", found, err)
	}
	if found, err := b.dirs().Find("web"); !errors.Is(err, engine.ErrNoContainer) || len(b.files()) > 0 {
		t.Errorf("the old name: %+v, %v; %v", found, err, b.files())
	}
}
