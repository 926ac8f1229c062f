package hosts

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInstallBin(t *testing.T) {
	repo, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"berth", "berth-generator", "berth-image", "man/berth.1"} {
		if err := writeFile(filepath.Join(repo, "bin", name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rule := "install-support:\n\tmkdir -p $(DESTDIR)$(PREFIX)/lib\n\techo unit >$(DESTDIR)$(PREFIX)/lib/berth-keeper.socket\n"
	if err := writeFile(filepath.Join(repo, "Makefile"), []byte(rule), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (payload{repo: repo, dir: dir}).installBin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"usr/bin/berth": "berth",
		"usr/lib/systemd/system-generators/berth-system-generator": "berth-generator",
		"usr/lib/systemd/user-generators/berth-user-generator":     "berth-generator",
		"usr/libexec/berth/berth-image":                            "berth-image",
		"usr/lib/berth-keeper.socket":                              "unit\n",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	if exists(filepath.Join(dir, "usr/libexec/berth/man")) {
		t.Error("the directory of manual pages was installed as a program")
	}
}

func TestWarmKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "etc/unit")
	key := func() string {
		k, err := warmKey(Base{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if err := writeFile(path, []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	first := key()
	if key() != first {
		t.Error("the same settings have two keys")
	}
	for what, change := range map[string]func() error{
		"content": func() error { return writeFile(path, []byte("b"), 0o644) },
		"mode":    func() error { return os.Chmod(path, 0o755) },
		"a link":  func() error { return symlink("unit", filepath.Join(dir, "etc/link")) },
	} {
		before := key()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if key() == before {
			t.Errorf("the key does not depend on %s", what)
		}
	}
}
