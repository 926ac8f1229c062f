package hosts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
)

// Clean removes the cache. It returns an error, and removes only what killed runs left, while machines are running.
func (c Cache) Clean(ctx context.Context) error {
	return c.whileNoMachineRuns(ctx, func() error {
		setup, err := c.lock(ctx, "setup.lock")
		if err != nil {
			return err
		}
		defer setup.Close()
		return removeTree(c.Dir)
	})
}

// removeOldBases removes what earlier recipes built, unless machines are running, which may stand on it.
func (c Cache) removeOldBases(ctx context.Context, keep Base) error {
	return c.whileNoMachineRuns(ctx, func() error {
		entries, err := os.ReadDir(c.Dir)
		if err != nil {
			return err
		}
		var errs []error
		for _, e := range entries {
			if regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(e.Name()) && e.Name() != filepath.Base(keep.Dir) {
				errs = append(errs, removeTree(filepath.Join(c.Dir, e.Name())))
			}
		}
		return errors.Join(errs...)
	})
}

// whileNoMachineRuns calls do while no machine runs and none can be started.
func (c Cache) whileNoMachineRuns(ctx context.Context, do func() error) error {
	all := filepath.Join(c.Dir, "machines")
	if err := os.MkdirAll(all, 0o755); err != nil {
		return err
	}
	machines, err := c.lock(ctx, "machines.lock")
	if err != nil {
		return err
	}
	defer machines.Close()
	if err := sweep(all); err != nil {
		return err
	}
	left, err := os.ReadDir(all)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return errors.New("machines are running")
	}
	return do()
}
