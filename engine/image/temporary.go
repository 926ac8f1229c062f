//go:build containers_image_openpgp

package image

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// temporaryPattern names the directories in which processes of ours keep their large temporary files.
const temporaryPattern = "berth-image-*"

// temporary is this process's directory for large files. Nobody else removes it while it is locked.
type temporary struct{ dir *os.File }

// newTemporary makes the directory below parent, and sweeps those away whose processes were killed.
func newTemporary(parent string) (temporary, error) {
	sweepTemporary(parent)
	for {
		dir, err := os.MkdirTemp(parent, temporaryPattern)
		if err != nil {
			return temporary{}, err
		}
		f, err := lockedDir(dir)
		if err == nil {
			return temporary{f}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) { // somebody sweeps, and was faster
			return temporary{}, errors.Join(err, os.Remove(dir))
		}
	}
}

// Close removes the directory with all that is in it. It may be called again.
func (t *temporary) Close() error {
	if t.dir == nil {
		return nil
	}
	err := errors.Join(os.RemoveAll(t.dir.Name()), t.dir.Close())
	t.dir = nil
	return err
}

func sweepTemporary(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, temporaryPattern))
	for _, dir := range dirs {
		f, err := lockedDir(dir)
		if err != nil { // in use, or another user's
			continue
		}
		_ = os.RemoveAll(dir) // what cannot be removed stays for the next one
		f.Close()
	}
}

// lockedDir opens and locks a directory of this user's, and makes sure that it is still the one of that name. The kernel
// gives the lock back when the process ends, however it does. systemd-tmpfiles(8) leaves locked directories alone.
func lockedDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = errors.Join(unix.Fstat(int(f.Fd()), &st), atomicfile.TryLock(f))
	switch {
	case err == nil && int(st.Uid) != os.Geteuid():
		err = os.ErrPermission
	case err == nil && !isAt(f, dir):
		err = os.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
