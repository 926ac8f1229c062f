package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWaitTells: who waits long says for what, and for whom.
func TestWaitTells(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := wait(held, unix.LOCK_EX, 0, nil); err != nil { // nobody has it: nothing is written
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- errors.Join(wait(f, unix.LOCK_EX, 0, out), out.Close()) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	want := fmt.Sprintf("Waiting for the lock on %q, which process %d has (%q", path, os.Getpid(), filepath.Base(os.Args[0]))
	if err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("got %q, %v; want %q", line, err, want)
	}
	held.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitIsQuietAtFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err := errors.Join(err, TryLock(held)); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done := make(chan error, 1)
	go func() { done <- wait(f, unix.LOCK_EX, time.Hour, nil) }() // a word would be a panic
	held.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	self := os.Getpid()
	if got := holder(dir, 7); got != "" {
		t.Errorf("without /proc: %q", got)
	}
	write("locks", fmt.Sprintf(`1: POSIX  ADVISORY  WRITE 11 00:3f:7 0 EOF
2: FLOCK  ADVISORY  WRITE 12 00:3f:8 0 EOF
2: -> FLOCK  ADVISORY  WRITE %[1]d 00:3f:8 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:00:7 0 EOF
3: -> FLOCK  ADVISORY  WRITE 14 fe:00:7 0 EOF
3:  -> FLOCK  ADVISORY  READ %[1]d fe:00:7 0 EOF
4: FLOCK  ADVISORY  WRITE 15 fe:01:7 0 EOF
`, self))
	if got, want := holder(dir, 7), ", which process 13 has"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for cmdline, want := range map[string]string{
		"/usr/bin/berth\x00run\x00-e\x00PASSWORD=x\x00": `("berth run")`,
		"berth-net\x00":                 `("berth-net")`,
		"berth\x00--log-level\x00x\x00": `("berth")`,
		"a\x1b[2J\nb\x00c\x1b\x00":      `("a\x1b[2J\nb c\x1b")`,
	} {
		write("13/cmdline", cmdline)
		if got, want := holder(dir, 7), ", which process 13 has "+want; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := holder(dir, 9); got != "" {
		t.Errorf("a lock that nobody has any more: %q", got)
	}
}
