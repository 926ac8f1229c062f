// Package atomicfile writes files that are either old or new, never torn: written beside, synced, renamed, and reads
// them. Files that a user names for output are written by Stream. It also gives back symbolic links that stand for a claim.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Write replaces path by data, a link too. After it returns nil the new content survives a power cut; if it fails the old
// file is as it was, and nothing is left beside it.
func Write(path string, data []byte, mode os.FileMode) error {
	return replace(path, 0o600, func(f *os.File) error {
		if _, err := f.Write(data); err != nil {
			return err
		}
		return f.Chmod(mode)
	})
}

// replace lets fill write a file beside path, made with this mode less the umask, and gives it the name.
func replace(path string, mode os.FileMode, fill func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	f, err := create(filepath.Join(dir, "."+filepath.Base(path)+"."), mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// create makes a file whose name begins with these words. os.CreateTemp knows no mode, and nobody can ask for the umask.
func create(prefix string, mode os.FileMode) (*os.File, error) {
	for range maxChanges {
		f, err := os.OpenFile(fmt.Sprintf("%s%x", prefix, rand.Uint64()), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fs.ErrExist
}

// Read reads a small file. It goes around os.File, which makes ten system calls of four: a list of a thousand containers is
// a thousand files.
func Read(path string) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 4<<10)
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return fail(err)
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) == cap(data) {
			data = slices.Grow(data, cap(data))
		}
	}
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// RemoveLink removes the symbolic link at path if its text is target; one that is not there, or leads elsewhere by now, is
// no error. Those who remove links of one directory take turns (flock(2)), so that what is removed is what was looked at;
// those who make links need not, for no link can be made where there is one.
func RemoveLink(path, target string) error {
	dir, err := LockDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	// By the handle and not by the path: the directory may be removed, and made anew, meanwhile.
	name, buf := filepath.Base(path), make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(buf[:n]) != target {
		return nil
	}
	if err == nil {
		err = unix.Unlinkat(int(dir.Fd()), name, 0)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// InDir makes the directory, with its parents, and calls file, which makes a file in it. Both are done again when the
// directory went meanwhile, with somebody else's last file.
func InDir(dir string, mode os.FileMode, file func() error) error {
	var err error
	for range maxChanges {
		err = os.MkdirAll(dir, mode)
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) // a parent, or what was there a moment ago
		if err == nil {
			err = file()
			gone = errors.Is(err, fs.ErrNotExist)
		}
		if !gone {
			return err
		}
	}
	return fmt.Errorf("%s was removed %d times while a file was made in it; try again: %w", dir, maxChanges, err)
}

// maxChanges bounds the attempts of InDir: each is lost only to another program that took its last file away.
const maxChanges = 1000

// Lock waits until no other open file holds the lock on f's file (flock(2)). It ends when f is closed, and so with the
// process, however that ends. When it waits for more than five seconds, it says on stderr for what, and who has it.
func Lock(f *os.File) error { return wait(f, unix.LOCK_EX, patience, os.Stderr) }

// LockShared is Lock for those who may hold it at the same time as each other.
func LockShared(f *os.File) error { return wait(f, unix.LOCK_SH, patience, os.Stderr) }

// TryLock is Lock that does not wait: the error is unix.EWOULDBLOCK when another open file holds the lock.
func TryLock(f *os.File) error { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// LockDir waits until nobody else holds the lock on the directory that is at path, and takes it; Close gives it back. One that goes
// while it is waited for does not exist: the lock of a directory that no path leads to any more keeps nobody out.
func LockDir(path string) (*os.File, error) { return lockDir(path, unix.LOCK_EX) }

// LockDirShared is LockDir for those who may hold it at the same time as each other.
func LockDirShared(path string) (*os.File, error) { return lockDir(path, unix.LOCK_SH) }

func lockDir(path string, how int) (*os.File, error) {
	for {
		dir, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := wait(dir, how, patience, os.Stderr); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), dir.Close())
		}
		own, err := dir.Stat()
		if err == nil {
			var now os.FileInfo
			if now, err = os.Stat(path); err == nil && os.SameFile(own, now) {
				return dir, nil
			}
		}
		dir.Close()
		if err != nil {
			return nil, err
		}
	}
}

// SyncDir makes what was made, renamed or removed in a directory survive a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
