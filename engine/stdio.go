package engine

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A container gets a pipe in the place of a file of the caller's. By the file itself, opened anew as /proc/self/fd/0 or 1, root of the
// container could read and change all of it, and the runtime gives it to the container's user.
// One that is started to run by itself, with --log-driver=passthrough, has the file: nobody stays to carry what it writes.

// callers tells whether f is a file of the caller's, or a disk. Terminals and the like are what they are.
func callers(f *os.File) (os.FileInfo, bool) {
	info, err := f.Stat()
	return info, err == nil && (info.Mode().IsRegular() || info.Mode()&(os.ModeDevice|os.ModeCharDevice) == os.ModeDevice)
}

// forReading is what a container gets to read from.
func forReading(f *os.File) (*os.File, error) {
	if _, is := callers(f); !is {
		return f, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r.Fd() // from now on it blocks, as programs expect
	go func() {
		io.Copy(w, f) // a container need not read all of it
		w.Close()
	}()
	return r, nil
}

// outlet carries what a container writes to a file of the caller's.
type outlet struct {
	to   *os.File
	info os.FileInfo
	r, w *os.File
	done chan error
}

// outlets are those of one container.
type outlets []*outlet

// forWriting is what a container gets to write to. What goes to one file, as with 2>&1, stays in its order.
func (o *outlets) forWriting(f *os.File) (*os.File, error) {
	info, is := callers(f)
	if !is {
		return f, nil
	}
	for _, other := range *o {
		if os.SameFile(info, other.info) {
			return other.w, nil
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w.Fd() // as above
	n := &outlet{to: f, info: info, r: r, w: w, done: make(chan error, 1)}
	*o = append(*o, n)
	go func() {
		_, err := io.Copy(n.to, n.r)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			n.r.Close() // a full disk ends who writes to it
		}
		n.done <- err
	}()
	return w, nil
}

// handed lets go of the container's ends, once it has them.
func (o outlets) handed() {
	for _, n := range o {
		n.w.Close()
	}
}

// finish waits, when who has written has ended, until it is all in the files. What others write who have the pipe still is not waited for.
func (o outlets) finish() error {
	var errs []error
	for _, n := range o {
		n.r.SetReadDeadline(time.Now())
		err := <-n.done
		if errors.Is(err, os.ErrDeadlineExceeded) {
			n.r.SetReadDeadline(time.Time{})
			var left int
			if left, err = unix.IoctlGetInt(int(n.r.Fd()), unix.TIOCINQ); err == nil {
				_, err = io.CopyN(n.to, n.r, int64(left))
			}
			n.r.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
