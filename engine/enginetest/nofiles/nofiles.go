// Package nofiles takes from a test what runs short first: file descriptors.
package nofiles

import (
	"testing"

	"golang.org/x/sys/unix"
)

// During does something while this process can open no file. What it has open stays usable.
func During(t testing.TB, do func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const standard = 3 // are open; with none at all poll(2) would refuse, too
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: standard, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}
