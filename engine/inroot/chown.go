package inroot

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ChownTree gives the directory and all that lies in it to uid and gid. Links are given, not followed.
func (r Root) ChownTree(uid, gid int) error {
	return r.walk(".", visitor{
		entry: func(dir *os.File, name, path string) (bool, error) {
			directory, err := chownEntry(dir, name, uid, gid)
			if err != nil {
				err = fmt.Errorf("chown %s: %w", path, err)
			}
			return directory, err
		},
		last: func(dir *os.File, _ string) error { return dir.Chown(uid, gid) },
	})
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
