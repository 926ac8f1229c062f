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

// TestOwners: files are the caller's again, and the null device is root's, whose ever it was for a moment.
func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	var files []*os.File
	for _, name := range []string{"out", "in", "left"} {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	node := filepath.Join(t.TempDir(), "null")
	if err := errors.Join(unix.Mknod(node, unix.S_IFCHR|0o666, int(null)), os.Chown(node, 5, 6)); err != nil {
		t.Fatal(err)
	}
	device, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	files = append(files, device)
	giveBack := Owners(files[0], files[1], device)
	for _, f := range files {
		if err := f.Chown(7, 8); err != nil {
			t.Fatal(err)
		}
	}
	giveBack()
	for i, want := range []string{"0:0", "0:0", "7:8", "0:0"} {
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
