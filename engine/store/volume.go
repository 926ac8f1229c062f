package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Volumes keeps named volumes where Podman does: GRAPHROOT/volumes/NAME/_data.
type Volumes struct{ Store *Store }

// Ensure returns the directory of a volume, and makes it when it is missing. It survives a power cut from then on.
func (v Volumes) Ensure(name string) (string, bool, error) {
	root, err := v.Store.Root()
	if err != nil {
		return "", false, err
	}
	dir := filepath.Join(root, "volumes", name)
	data := filepath.Join(dir, "_data")
	if _, err := os.Stat(data); err == nil {
		return data, false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", false, fmt.Errorf("make volume %q: %w", name, err)
	}
	err = os.Mkdir(data, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return data, false, nil // another start was faster
	}
	if err != nil {
		return "", false, fmt.Errorf("make volume %q: %w", name, err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := syncDir(d); err != nil {
			return "", false, fmt.Errorf("make volume %q: %w", name, err)
		}
	}
	return data, true, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
