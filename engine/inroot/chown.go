package inroot

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// ChownTree gives the directory and all that lies in it to uid and gid. Links are given, not followed.
func (r Root) ChownTree(uid, gid int) error { return r.chownDir(".", uid, gid) }

func (r Root) chownDir(dir string, uid, gid int) error {
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
		directory, err := chownEntry(f, name, uid, gid)
		if err != nil {
			return fmt.Errorf("chown %s: %w", path.Join(dir, name), err)
		}
		if directory {
			if err := r.chownDir(path.Join(dir, name), uid, gid); err != nil {
				return err
			}
		}
	}
	// The directory last: when it is right, all below it is, even after a kill.
	return f.Chown(uid, gid)
}

func chownEntry(dir *os.File, name string, uid, gid int) (directory bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true, nil
	}
	if int(st.Uid) == uid && int(st.Gid) == gid {
		return false, nil
	}
	return false, unix.Fchownat(int(dir.Fd()), name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}
