package cli

import (
	"errors"
	"io/fs"
	"runtime"
	"testing"
)

// TestAttempt: what the storage library panics with is an error; a mistake of ours stays one that is seen.
func TestAttempt(t *testing.T) {
	locked := &fs.PathError{Op: "open", Path: "/x/layers.lock", Err: fs.ErrPermission}
	if err := attempt(func() error { panic(locked) }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want the error of the lock", err)
	}
	if err := attempt(func() error { return locked }); err != locked {
		t.Errorf("got %v, want the error itself", err)
	}
	for _, mistake := range []func(){func() { panic("a mistake") }, func() { var p *int; *p = 1 }} {
		func() {
			defer func() {
				r := recover()
				if _, isError := r.(runtime.Error); r != "a mistake" && !isError {
					t.Errorf("a mistake was taken for an error: recovered %v", r)
				}
			}()
			_ = attempt(func() error { mistake(); return nil })
		}()
	}
}
