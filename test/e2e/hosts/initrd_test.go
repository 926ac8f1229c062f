package hosts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCpio lets another program read what was written.
func TestCpio(t *testing.T) {
	reader, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio program to read the archive with")
	}
	to := t.TempDir()
	var archive bytes.Buffer
	c := cpio{w: &archive}
	c.dir("bin", 0o755)
	c.file("bin/odd", 0o600, []byte("12345"))
	c.file("init", 0o755, []byte("x"))
	c.close()
	if c.err != nil {
		t.Fatal(c.err)
	}
	extract := exec.Command(reader, "--extract", "--quiet")
	extract.Stdin, extract.Dir = &archive, to
	if out, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(to, "bin/odd"))
	if err != nil || string(data) != "12345" {
		t.Errorf("bin/odd: %q, %v", data, err)
	}
	for path, want := range map[string]os.FileMode{"bin": 0o755, "bin/odd": 0o600, "init": 0o755} {
		info, err := os.Stat(filepath.Join(to, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, info, err, want)
		}
	}
}

func TestPayloadMustNotHideTheMachinesOwn(t *testing.T) {
	dir := t.TempDir()
	p := payload{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.check(t.Context()); err == nil {
		t.Error("a payload with /lib was accepted: it would hide the machine's libraries")
	}
}
