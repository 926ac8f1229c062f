package inroot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const secret = "canary: this stands outside of the root"

// tree is a root with a canary beside it.
func tree(t *testing.T) (root Root, dir, canary string) {
	t.Helper()
	top := t.TempDir()
	dir, canary = filepath.Join(top, "root"), filepath.Join(top, "canary")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "etc"), 0o755), os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("inside"), 0o644),
		os.Mkdir(canary, 0o700), os.WriteFile(filepath.Join(canary, "passwd"), []byte(secret), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if root, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		root.Close()
		entries, err := os.ReadDir(canary)
		info, err2 := os.Stat(canary)
		if err != nil || err2 != nil || len(entries) != 1 || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			t.Errorf("the canary was changed: %v, %v, %v", entries, info, err)
		}
	})
	return root, dir, canary
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making devices and giving files away needs root")
	}
}

func TestReadFile(t *testing.T) {
	root, dir, canary := tree(t)
	links := map[string]string{
		"in-abs": "/etc/passwd", "in-rel": "etc/passwd", "in-up": "../../../etc/passwd", "loop": "loop", "dangling": "/nowhere",
		"out-abs": filepath.Join(canary, "passwd"), "out-rel": "../canary/passwd", "dir-out": canary, "magic": "/proc/self/root",
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"out-abs": "out-abs", "out-rel": "out-rel", "dir-out": "dir-out/passwd"} {
		// The negative control: without the root as a limit each of these does lead out.
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != secret {
			t.Fatalf("%s does not lead out, so it shows nothing: %q, %v", name, got, err)
		}
	}
	tests := []struct {
		path string
		want string // "" for an error
	}{
		{"etc/passwd", "inside"}, {"/etc/passwd", "inside"}, {"in-abs", "inside"}, {"in-rel", "inside"}, {"in-up", "inside"},
		{"../../etc/passwd", "inside"}, {"etc/../../etc/passwd", "inside"},
		{"out-abs", ""}, {"out-rel", ""}, {"dir-out/passwd", ""}, {"../canary/passwd", ""}, {"magic" + canary + "/passwd", ""}, {"loop", ""}, {"dangling", ""},
		{"etc", ""}, {"", ""}, {"nope", ""},
	}
	for _, tt := range tests {
		got, err := root.ReadFile(tt.path, 100)
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.path, got, err, tt.want)
		}
	}
	if _, err := root.ReadFile("nope", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestMagicLink: /proc/self/root and its like lead to where no path leads, and are not followed even where /proc is part
// of the root.
func TestMagicLink(t *testing.T) {
	root, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, path := range []string{"/proc/self/root/etc/passwd", "/proc/self/exe", fmt.Sprintf("/proc/self/fd/%d", f.Fd())} {
		if _, err := os.ReadFile(path); err != nil {
			t.Fatalf("%s cannot be read at all, so it shows nothing: %v", path, err)
		}
		if _, err := root.ReadFile(path, 1<<30); !errors.Is(err, unix.ELOOP) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestReadFileOddKinds: nothing but a regular file is read, or even opened.
func TestReadFileOddKinds(t *testing.T) {
	requireRoot(t)
	root, dir, _ := tree(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(unix.Mkfifo(path("fifo"), 0o644), unix.Mknod(path("zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))),
		unix.Mknod(path("sock"), unix.S_IFSOCK|0o666, 0), os.Symlink("/fifo", path("link")),
		// No driver has this number: to open it would fail in another way than to look at it.
		unix.Mknod(path("none"), unix.S_IFCHR|0o666, int(unix.Mkdev(4095, 1))))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "zero", "sock", "link", "none"} {
		if got, err := root.ReadFile(name, 100); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// TestAppend: what is written ends up in the root, or nowhere.
func TestAppend(t *testing.T) {
	root, dir, canary := tree(t)
	for name, target := range map[string]string{"in": "/etc/passwd", "out": filepath.Join(canary, "passwd"), "out-rel": "../canary/passwd"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, ok := range map[string]bool{"etc/passwd": true, "in": true, "out": false, "out-rel": false, "etc": false, "nope": false} {
		if err := root.Append(name, "+"); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	inside, err := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	outside, err2 := os.ReadFile(filepath.Join(canary, "passwd"))
	if string(inside) != "inside++" || string(outside) != secret || err != nil || err2 != nil {
		t.Errorf("inside %q, outside %q, %v, %v", inside, outside, err, err2)
	}
}

func TestReadFileTooLarge(t *testing.T) {
	root, dir, _ := tree(t)
	if err := os.WriteFile(filepath.Join(dir, "ten"), bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if got, err := root.ReadFile("ten", 10); err != nil || len(got) != 10 {
		t.Errorf("exactly the limit: %d bytes, %v", len(got), err)
	}
	for _, name := range []string{"ten", "huge"} {
		if got, err := root.ReadFile(name, 9); err == nil || len(got) != 0 || !strings.Contains(err.Error(), "larger than 9 bytes") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// raceLimit ends a race that comes to nothing. A good one takes a fraction of a second.
const raceLimit = 30 * time.Second

// flip exchanges two names over and over until the test ends, at least flips times.
func flip(t *testing.T, a, b string, flips int) (enough func() bool) {
	t.Helper()
	stop, done, count := make(chan struct{}), make(chan struct{}), make(chan int, 1)
	count <- 0
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			count <- <-count + 1
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return func() bool {
		n := <-count
		count <- n
		return n >= flips
	}
}

// TestReadFileRace swaps a directory with a link to the outside while paths through it are opened.
func TestReadFileRace(t *testing.T) {
	root, dir, canary := tree(t)
	evil := filepath.Join(dir, "evil")
	if err := os.Symlink(canary, evil); err != nil {
		t.Fatal(err)
	}
	enough := flip(t, filepath.Join(dir, "etc"), evil, 10_000)
	inside, outside := 0, 0
	for deadline := time.Now().Add(raceLimit); !enough() || inside == 0 || outside == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("in %s the inside was read %d times, and os.ReadFile was led out %d times", raceLimit, inside, outside)
		}
		got, err := root.ReadFile("etc/passwd", 100)
		switch {
		case string(got) == secret:
			t.Fatal("read the canary")
		case err == nil && string(got) == "inside":
			inside++
		}
		// The negative control: by its path the same file is, at times, the one outside.
		if got, _ := os.ReadFile(filepath.Join(dir, "etc/passwd")); string(got) == secret {
			outside++
		}
	}
	t.Logf("read the inside %d times; os.ReadFile was led out %d times", inside, outside)
}

func TestMkdirAll(t *testing.T) {
	requireRoot(t)
	root, dir, canary := tree(t)
	links := map[string]string{"out": canary, "up": "../canary", "in": "/etc", "file": "/etc/passwd", "dangling": "/nowhere"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path string
		at   string // what is made; "" for an error
	}{
		{"/srv/a/b", "srv/a/b"}, {"/srv/a/b/", "srv/a/b"}, {"../../x", "x"}, {"/in/y", "etc/y"}, {"/", "."},
		{"/out/z", ""}, {"/up/z", ""}, {"/file", ""}, {"/etc/passwd/x", ""}, {"/dangling/x", ""},
	}
	for _, tt := range tests {
		err := root.MkdirAll(tt.path, 0o755, 12, 34)
		if tt.at == "" {
			if err == nil {
				t.Errorf("%s was made", tt.path)
			}
			continue
		}
		info, statErr := os.Lstat(filepath.Join(dir, tt.at))
		if err != nil || statErr != nil || !info.IsDir() {
			t.Errorf("%s: %v, %v", tt.path, err, statErr)
			continue
		}
		if st := info.Sys().(*syscall.Stat_t); tt.at != "." && (st.Uid != 12 || st.Gid != 34) {
			t.Errorf("%s belongs to %d:%d", tt.path, st.Uid, st.Gid)
		}
	}
	// One that is there keeps its owner.
	if err := root.MkdirAll("/etc", 0o700, 12, 34); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(filepath.Join(dir, "etc")); info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode().Perm() != 0o755 {
		t.Errorf("an existing directory was changed: %v", info.Mode())
	}
}

// TestMkdirAllRace (CVE-2026-55686): the canary is checked when the tree is cleaned up.
func TestMkdirAllRace(t *testing.T) {
	requireRoot(t)
	root, dir, canary := tree(t)
	evil := filepath.Join(dir, "evil")
	if err := os.Symlink(canary, evil); err != nil {
		t.Fatal(err)
	}
	enough := flip(t, filepath.Join(dir, "etc"), evil, 10_000)
	made := 0
	deadline := time.Now().Add(raceLimit)
	for i := 0; !enough() || made == 0; i++ {
		if time.Now().After(deadline) {
			t.Fatalf("in %s %d directories were made", raceLimit, made)
		}
		name := "/etc/" + string(rune('a'+i%26)) + "/x"
		if root.MkdirAll(name, 0o755, 12, 34) == nil {
			made++
		}
	}
	t.Logf("made a directory %d times", made)
}

func TestCopyTree(t *testing.T) {
	requireRoot(t)
	from, dir, canary := tree(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.Symlink(canary, path("out")), os.Symlink(filepath.Join(canary, "passwd"), path("etc/link")),
		unix.Mkfifo(path("fifo"), 0o644), unix.Mknod(path("zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))),
		os.Chown(path("etc/passwd"), 5, 6), unix.Chmod(path("etc/passwd"), 0o4711), os.Chown(dir, 7, 8), os.Chmod(dir, 0o751))
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	to, err := Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := CopyTree(from, to); err != nil {
		t.Fatal(err)
	}
	describe := func(name string) string {
		info, err := os.Lstat(filepath.Join(target, name))
		if err != nil {
			return "missing"
		}
		st := info.Sys().(*syscall.Stat_t)
		return info.Mode().String() + " " + string(rune('0'+st.Uid)) + ":" + string(rune('0'+st.Gid))
	}
	for name, want := range map[string]string{
		".": "drwxr-x--x 7:8", "etc": "drwxr-xr-x 0:0", "etc/passwd": "urwx--x--x 5:6", "out": "Lrwxrwxrwx 0:0", "etc/link": "Lrwxrwxrwx 0:0",
		"fifo": "missing", "zero": "missing",
	} {
		if got := describe(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got, _ := os.Readlink(filepath.Join(target, "out")); got != canary {
		t.Errorf("the link leads to %q", got)
	}
	a, _ := os.Stat(path("etc/passwd"))
	b, _ := os.Stat(filepath.Join(target, "etc/passwd"))
	if !a.ModTime().Equal(b.ModTime()) {
		t.Errorf("time %v, want %v", b.ModTime(), a.ModTime())
	}
}

// TestCopyTreeDoesNotWriteThroughLinks: the target is a volume that may hold what a container put there.
func TestCopyTreeDoesNotWriteThroughLinks(t *testing.T) {
	from, _, canary := tree(t)
	target := t.TempDir()
	if err := os.Symlink(canary, filepath.Join(target, "etc")); err != nil {
		t.Fatal(err)
	}
	to, err := Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := CopyTree(from, to); err == nil {
		t.Error("copied into a link")
	}
	if got, _ := os.ReadFile(filepath.Join(canary, "passwd")); string(got) != secret {
		t.Errorf("the canary holds %q", got)
	}
}
