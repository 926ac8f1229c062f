package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// transaction changes files of one directory, all or none: everything is written beside first, then renamed, and what has
// been renamed is taken back when a later step fails.
type transaction struct {
	dir     string
	scratch string // a directory in dir, so that renaming works
	replace bool
	steps   []step
	undo    []func() error
}

// step puts the file staged into the place of name; with no staged file, name is removed.
type step struct{ name, staged string }

func newTransaction(dir string, replace bool) *transaction {
	return &transaction{dir: dir, replace: replace}
}

// put stages a file. Nothing is seen of it before commit.
func (t *transaction) put(name string, data []byte, mode os.FileMode) error {
	path := filepath.Join(t.dir, name)
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case err == nil && !t.replace:
		return fmt.Errorf("%s exists; --replace takes its place", path)
	}
	if t.scratch == "" {
		if t.scratch, err = os.MkdirTemp(t.dir, ".berth-*.d"); err != nil {
			return err
		}
	}
	staged := filepath.Join(t.scratch, fmt.Sprintf("new%d", len(t.steps)))
	t.steps = append(t.steps, step{name, staged})
	return atomicfile.Write(staged, data, mode)
}

// remove stages the removal of a file; one that is not there is none.
func (t *transaction) remove(name string) error {
	info, err := os.Lstat(filepath.Join(t.dir, name))
	if os.IsNotExist(err) || err == nil && info.IsDir() {
		return nil
	}
	t.steps = append(t.steps, step{name: name})
	return err
}

// commit makes the changes. After an error the directory is as it was.
func (t *transaction) commit() error {
	for i, s := range t.steps {
		if err := t.apply(i, s); err != nil {
			for j := len(t.undo) - 1; j >= 0; j-- {
				err = errors.Join(err, t.undo[j]())
			}
			return err
		}
	}
	return atomicfile.SyncDir(t.dir)
}

// apply keeps a second link to the old file, by which it can be put back.
func (t *transaction) apply(i int, s step) error {
	path := filepath.Join(t.dir, s.name)
	back := func() error { return os.Remove(path) }
	if t.replace {
		kept := filepath.Join(t.scratch, fmt.Sprintf("old%d", i))
		err := os.Link(path, kept)
		if err == nil {
			back = func() error { return os.Rename(kept, path) }
		} else if !os.IsNotExist(err) {
			return err
		}
	}
	var err error
	switch {
	case s.staged == "":
		err = os.Remove(path)
	case t.replace:
		err = os.Rename(s.staged, path)
	default:
		if err = os.Link(s.staged, path); errors.Is(err, fs.ErrExist) { // somebody else was faster
			err = fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
	}
	if err == nil {
		t.undo = append(t.undo, back)
	}
	return err
}

// close takes away what was staged.
func (t *transaction) close() {
	if t.scratch != "" {
		os.RemoveAll(t.scratch)
	}
}
