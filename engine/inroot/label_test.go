package inroot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// attribute reads the label of a file, or of a link itself, as it is kept on disk.
func attribute(t *testing.T, path string) string {
	t.Helper()
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, labelAttribute, buf)
	if errors.Is(err, unix.ENODATA) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestLabelTree(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("writing labels needs root")
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("the kernel would refuse labels that are not of its policy")
	}
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	base := t.TempDir()
	outside, dir := filepath.Join(base, "outside"), filepath.Join(base, "volume")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "a/b"), 0o755), os.Mkdir(outside, 0o755), os.WriteFile(filepath.Join(outside, "file"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "a/b/file"), nil, 0), os.Symlink("../outside/file", filepath.Join(dir, "link")), os.Symlink("../../outside", filepath.Join(dir, "a/dir")),
		unix.Mkfifo(filepath.Join(dir, "a/fifo"), 0o600), unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lsetxattr(dir, labelAttribute, []byte("x"), 0); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the file system keeps no labels")
	}
	root, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for range 2 { // the second finds it done
		if err := root.LabelTree(label); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "a", "a/b", "a/b/file", "link", "a/dir", "a/fifo", "null"} {
		if got := attribute(t, filepath.Join(dir, name)); got != label {
			t.Errorf("%q has the label %q", name, got)
		}
	}
	for _, path := range []string{base, outside, filepath.Join(outside, "file")} {
		if got := attribute(t, path); got != "" {
			t.Errorf("a link was followed: %s has the label %q", path, got)
		}
	}
}

// TestLabelFails: the directory gets its label after all that is in it, so that a tree that is labelled in part does not
// look whole.
func TestLabelFails(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a file that nothing can be changed of needs root")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "a/file")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lsetxattr(dir, labelAttribute, []byte("x"), 0); err != nil {
		t.Skip("the file system keeps no labels that are not of the policy")
	}
	release := immutable(t, file)
	root, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.LabelTree("label"); err == nil {
		t.Error("a file that cannot be changed was labelled")
	}
	for _, path := range []string{dir, filepath.Join(dir, "a")} {
		if got := attribute(t, path); got == "label" {
			t.Errorf("%s has the label although not all in it has", path)
		}
	}
	release()
	if err := root.LabelTree("label"); err != nil || attribute(t, dir) != "label" || attribute(t, file) != "label" {
		t.Errorf("afterwards: %v, %q, %q", err, attribute(t, dir), attribute(t, file))
	}
}

// immutable makes a file one that nobody can change (FS_IMMUTABLE_FL in ioctl_iflags(2)) until release is called.
func immutable(t *testing.T, path string) (release func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const flag = 0x10
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag); err != nil {
		t.Skip("the file system has no immutable files: ", err)
	}
	release = func() {
		if f == nil {
			return
		}
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0); err != nil {
			t.Error(err)
		}
		f.Close()
		f = nil
	}
	t.Cleanup(release)
	return release
}
