package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, want := range []string{"one", "", "a longer third text"} {
		if err := Write(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	alone(t, dir, "file")
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 4<<10 - 1, 4 << 10, 4<<10 + 1, 1 << 20} {
		want := strings.Repeat("x", size)
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || string(got) != want {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	if _, err := Read(path + "x"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("a missing one: %v", err)
	}
	if _, err := Read(filepath.Dir(path)); err == nil {
		t.Error("a directory was read")
	}
}

func alone(t *testing.T, dir string, want ...string) {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %v, want %v", dir, names, want)
	}
}

// TestWriteReplacesALink: what a link leads to is not touched.
func TestWriteReplacesALink(t *testing.T) {
	dir := t.TempDir()
	canary, path := filepath.Join(dir, "canary"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(canary, []byte("old"), 0o600), os.Symlink(canary, path)); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(canary); string(got) != "old" {
		t.Errorf("the link was followed: %q", got)
	}
}

func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	err := Write(filepath.Join(dir, "none", "file"), nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, "none", "file")) {
		t.Errorf("got %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "dir", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "dir"), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	alone(t, dir, "dir")
}

// TestWriteIsNeverTorn: whoever reads while others write sees the whole text of one of them.
func TestWriteIsNeverTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	text := func(n int) string { return strings.Repeat(fmt.Sprintf("%d", n), 9000) }
	if err := Write(path, []byte(text(0)), 0o600); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for range 25 {
				if err := Write(path, []byte(text(n)), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != 9000 || strings.Trim(string(got), string(got[:1])) != "" {
			t.Fatalf("a torn file of %d bytes, %v", len(got), err)
		}
	}
	alone(t, dir, "file")
}

func TestRemoveLink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "link")
	if err := errors.Join(RemoveLink(path, "a"), RemoveLink(filepath.Join(dir, "none/link"), "a")); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.Symlink("a", path); err != nil {
		t.Fatal(err)
	}
	if err := RemoveLink(path, "b"); err != nil {
		t.Error(err)
	}
	alone(t, dir, "link")
	if err := RemoveLink(path, "a"); err != nil {
		t.Error(err)
	}
	alone(t, dir)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RemoveLink(path, "a"); err == nil {
		t.Error("a file was taken for a link")
	}
	alone(t, dir, "link")
}

// TestRemoveLinkRace: many take the place of a dead holder; as soon as one has it, none of the others takes it away.
func TestRemoveLinkRace(t *testing.T) {
	for round := range 200 {
		path := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink("dead", path); err != nil {
			t.Fatal(err)
		}
		var holders sync.Map
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				own := fmt.Sprint("holder", i)
				if err := RemoveLink(path, "dead"); err != nil {
					t.Error(err)
				}
				if os.Symlink(own, path) == nil {
					holders.Store(own, true)
				}
			})
		}
		all.Wait()
		count := 0
		holders.Range(func(any, any) bool { count++; return true })
		if count != 1 {
			t.Fatalf("round %d: %d have it", round, count)
		}
	}
}

func TestInDir(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "b")
	calls := 0
	file := func() error {
		if calls++; calls < 3 { // somebody else's last file goes
			if err := os.RemoveAll(filepath.Join(base, "a")); err != nil {
				t.Fatal(err)
			}
		}
		return os.Symlink("text", filepath.Join(dir, "link"))
	}
	if err := InDir(dir, 0o700, file); err != nil || calls != 3 {
		t.Errorf("%v after %d calls, want success after 3", err, calls)
	}
	if err := InDir(dir, 0o700, file); !errors.Is(err, fs.ErrExist) || calls != 4 {
		t.Errorf("a link that is there: %v after %d calls", err, calls)
	}
	calls = 0
	gone := func() error { calls++; return os.RemoveAll(dir) }
	if err := InDir(dir, 0o700, func() error { return errors.Join(gone(), os.Symlink("text", filepath.Join(dir, "link"))) }); err == nil ||
		!strings.Contains(err.Error(), "was removed") || calls != maxChanges {
		t.Errorf("a directory that never stays: %v after %d calls", err, calls)
	}
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := InDir(filepath.Join(base, "file", "x"), 0o700, file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}

// TestTryLock: it takes the lock when nobody has it, and does not wait for who has.
func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if err := TryLock(files[0]); err != nil {
		t.Error(err)
	}
	if err := TryLock(files[1]); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second time: %v", err)
	}
	files[0].Close()
	if err := TryLock(files[1]); err != nil {
		t.Error(err)
	}
}

// TestLockDirByLink: a directory may lie elsewhere, as on another disk, with a link in its place.
func TestLockDirByLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	lock, err := LockDir(link)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := TryLock(f); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the directory is not locked: %v", err)
	}
}
