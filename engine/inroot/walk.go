package inroot

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// visitor is what walk does.
type visitor struct {
	// entry is called for each entry of an open directory. What it says is a directory is walked through.
	entry func(dir *os.File, name, path string) (directory bool, err error)
	// below is told how the walk through a directory in another one has ended; nil takes it as it is.
	below func(error) error
	// last is called for each directory after all that is in it: when it is done, all below it is, even after a kill.
	last func(dir *os.File, path string) error
}

// walk goes through a directory and all that is in it. Links are not followed.
func (r Root) walk(dir string, v visitor) error {
	f, err := r.open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := path.Join(dir, name)
		directory, err := v.entry(f, name, at)
		if err == nil && directory {
			if err = r.walk(at, v); v.below != nil {
				err = v.below(err)
			}
		}
		if err != nil {
			return err
		}
	}
	return v.last(f, dir)
}
