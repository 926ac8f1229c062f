package engine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container reads what is in a file of the caller's, and has no way to the file.
func TestForReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("echo hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := forReading(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if info, err := r.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "echo hello" {
		t.Errorf("%q, %v", text, err)
	}
	if same, err := forReading(r); err != nil || same != r {
		t.Errorf("a pipe: %v, %v", same, err)
	}
}

// What a container writes to a file of the caller's comes by a pipe, in its order, to the end of who writes, and the file's errors are told.
func TestForWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	var o outlets
	out, outErr := o.forWriting(open())
	both, bothErr := o.forWriting(open())
	if err := errors.Join(outErr, bothErr); err != nil || out != both {
		t.Fatal("two pipes to one file", err)
	}
	if info, err := out.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	fd, err := unix.Dup(int(out.Fd())) // who has it longer is not waited for
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("it does not block: %#x, %v", flags, err)
	}
	want := strings.Repeat("0123456789abcde\n", 1<<16)
	if _, err := io.WriteString(out, want); err != nil {
		t.Error(err)
	}
	o.handed()
	if err := o.finish(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}

	o = nil
	shut, err := os.Open(path) // cannot be written to
	if err != nil {
		t.Fatal(err)
	}
	defer shut.Close()
	if out, err = o.forWriting(shut); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = io.WriteString(out, want)
	}
	o.handed()
	if err := o.finish(); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}
