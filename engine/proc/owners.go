package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

// Owners remembers whose the files are that are no pipes or sockets; the function that it returns gives them back. A runtime gives the
// standard files of a container to the container's user. The null device goes back to root: whose it was may be what another runtime has made of
// it for a moment.
func Owners(files ...*os.File) (giveBack func()) {
	before := make([]unix.Stat_t, len(files))
	for i, f := range files {
		if f != nil {
			unix.Fstat(int(f.Fd()), &before[i])
		}
		if before[i].Rdev == null {
			before[i].Uid, before[i].Gid = 0, 0
		}
	}
	return func() {
		for i, f := range files {
			var now unix.Stat_t
			kind := before[i].Mode & unix.S_IFMT
			if kind != unix.S_IFCHR && kind != unix.S_IFBLK && kind != unix.S_IFREG || unix.Fstat(int(f.Fd()), &now) != nil {
				continue
			}
			if now.Uid != before[i].Uid || now.Gid != before[i].Gid {
				unix.Fchown(int(f.Fd()), int(before[i].Uid), int(before[i].Gid)) // who may not do so, the runtime could not either
			}
		}
	}
}

var null = unix.Mkdev(1, 3) // null(4)
