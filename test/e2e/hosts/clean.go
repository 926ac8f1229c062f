package hosts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Clean removes from the cache what killed runs left, and, when no machine runs, all bases. It returns an error when
// machines are running.
func (c Cache) Clean(ctx context.Context) error {
	all := filepath.Join(c.Dir, "machines")
	if !exists(all) {
		return removeTree(c.Dir)
	}
	global, err := c.lock(ctx, "machines.lock")
	if err != nil {
		return err
	}
	defer global.Close()
	if err := sweep(all); err != nil {
		return err
	}
	// Removing an empty directory is the test that no machine is left: a new one needs the lock that is held here.
	if err := os.Remove(all); err != nil {
		return errors.New("machines are running: their bases stay")
	}
	setup, err := c.lock(ctx, "setup.lock")
	if err != nil {
		return err
	}
	defer setup.Close()
	return removeTree(c.Dir)
}
