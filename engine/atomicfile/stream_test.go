package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func text(s string) func(*os.File) error {
	return func(f *os.File) error { _, err := io.WriteString(f, s); return err }
}

func TestStream(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	if err := Stream(path, 0o666, text("one")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("a new file: %v, %v", info.Mode(), err)
	}
	if err := errors.Join(os.Chmod(path, 0o604), Stream(link, 0o666, text("two"))); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o604 {
		t.Errorf("a file that was there: %v, %v", info.Mode(), err)
	}
	if to, err := os.Readlink(link); err != nil || to != "file" {
		t.Errorf("the link: %q, %v", to, err)
	}
	broken := errors.New("broken")
	err := Stream(path, 0o666, func(f *os.File) error { return errors.Join(text("thr")(f), broken) })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "two" {
		t.Errorf("after a failure: %q, %v", got, err)
	}
	if err := Stream(dir, 0o666, text("x")); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
	alone(t, dir, "file", "link")
}

// TestStreamKeepsTheOwner: who overwrites somebody's file gives it to nobody else.
func TestStreamKeepsTheOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 1000, 1001); err != nil {
		t.Skip(err)
	}
	if err := Stream(path, 0o666, text("x")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 1000 || s.Gid != 1001 || s.Mode&0o777 != 0o600 {
		t.Errorf("owner %d:%d, mode %o", s.Uid, s.Gid, s.Mode)
	}
}

// TestStreamIntoWhatIsNoFile: it is written to as it stands, and stays whatever happens.
func TestStreamIntoWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(fifo, os.O_RDWR, 0) // both ends: nobody waits
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	broken := errors.New("broken")
	if err := Stream(fifo, 0o666, text("text")); err != nil {
		t.Error(err)
	}
	if err := Stream(fifo, 0o666, func(f *os.File) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "text" {
		t.Errorf("the pipe has %q, %v", got, err)
	}
	if info, err := os.Lstat(fifo); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe is %v, %v", info.Mode(), err)
	}
	alone(t, dir, "fifo")
	if err := Stream("/dev/null", 0o666, text("x")); err != nil {
		t.Error(err)
	}
	if err := Stream("/dev/full", 0o666, text("x")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	for _, node := range []string{"/dev/null", "/dev/full"} {
		if info, err := os.Lstat(node); err != nil || info.Mode().Type() != os.ModeDevice|os.ModeCharDevice {
			t.Errorf("%s is %v, %v", node, info, err)
		}
	}
}

// TestStreamIntoAnOpenFile: it goes on where the file is, as `{ echo one; berth … -o /dev/stdout; } >file` wants it.
func TestStreamIntoAnOpenFile(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"/dev/fd/%d", "/proc/self/fd/%d"} {
		if err := WriteTo(fmt.Sprintf(name, f.Fd()), []byte("text"), 0o666); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "texttext" {
		t.Errorf("got %q, %v", got, err)
	}
	alone(t, dir, "file")
}
