package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOwners: files and devices are the caller's again, and the null device is root's, whose ever it was for a moment.
func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	const zero = 1<<8 | 5 // null(4)
	var files []*os.File
	for i, kind := range []struct{ mode, device int }{{unix.S_IFCHR, int(null)}, {unix.S_IFCHR, zero}, {unix.S_IFREG, 0}, {unix.S_IFIFO, 0}} {
		node := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := errors.Join(unix.Mknod(node, uint32(kind.mode|0o666), kind.device), os.Chown(node, 5, 6)); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(node, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	giveBack := Owners(append(files, nil)...)
	for _, f := range files {
		if err := f.Chown(7, 8); err != nil {
			t.Fatal(err)
		}
	}
	giveBack()
	for i, want := range []string{"0:0", "5:6", "5:6", "7:8"} {
		info, err := files[i].Stat()
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%d:%d", st.Uid, st.Gid); got != want {
			t.Errorf("%s is %s's, not %s's", files[i].Name(), got, want)
		}
	}
}
