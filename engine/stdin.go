package engine

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// forReading is what a container gets to read of a file of the caller's: a pipe. By the file itself, opened anew as /proc/self/fd/0,
// root of the container could write to it.
func forReading(f *os.File) (*os.File, error) {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return f, nil
	}
	var fds [2]int // they block, as programs expect
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	w := os.NewFile(uintptr(fds[1]), f.Name())
	go func() {
		io.Copy(w, f) // a container need not read all of it
		w.Close()
	}()
	return os.NewFile(uintptr(fds[0]), f.Name()), nil
}
