package inroot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A user's link leads root to what is the user's, and nowhere else.
func TestOpenHost(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it gives files to users")
	}
	const user, other = 1000, 1001
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(base, name) }
	for name, uid := range map[string]int{"of-root": 0, "of-user": user, "of-other": other, "of-user/sub": user} {
		if err := errors.Join(os.MkdirAll(at(name), 0o755), os.Chown(at(name), uid, uid)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []struct {
		name, target string
		uid          int
	}{
		{"root-to-other", at("of-other"), 0},
		{"root-relative", "./of-user/../of-other", 0},
		{"user-to-own", at("of-user"), user},
		{"user-to-root", "of-root", user},
		{"user-to-other", at("of-other"), user},
		{"user-by-root", "root-to-other", user},
		{"root-by-user", "user-to-other", 0},
		{"out", "../../../../../../../../../../../" + base + "/of-root", 0},
		{"loop", "loop", 0},
	} {
		if err := errors.Join(os.Symlink(l.target, at(l.name)), os.Lchown(at(l.name), l.uid, l.uid)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ path, leads, refused string }{
		{"of-root", "of-root", ""},
		{"of-user/sub/../../of-other/", "of-other", ""},
		{"root-to-other", "of-other", ""},
		{"root-relative", "of-other", ""},
		{"user-to-own", "of-user", ""},
		{"user-to-own/sub", "of-user/sub", ""},
		{"out", "of-root", ""},
		{"user-to-root", "", `a link "user-to-root" of the user 1000 to what belongs to the user 0`},
		{"user-to-other", "", "belongs to the user 1001"},
		{"user-by-root", "", "belongs to the user 1001"},
		{"root-by-user", "", "belongs to the user 1001"},
		{"loop", "", unix.ELOOP.Error()},
		{"none", "", unix.ENOENT.Error()},
		{"of-root/none/..", "", unix.ENOENT.Error()},
	} {
		f, err := OpenHost(base + "/" + test.path)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %v, want %q", test.path, err, test.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		if got, err := os.Readlink(ViaProc(f)); err != nil || got != at(test.leads) {
			t.Errorf("%s leads to %s, want %s: %v", test.path, got, test.leads, err)
		}
		f.Close()
	}
	if _, err := OpenHost("of-root"); err == nil {
		t.Error("a relative path was taken")
	}
	before := openFiles(t)
	for range 3 {
		_, _ = OpenHost(at("user-to-other"))
		_, _ = OpenHost(at("loop"))
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
