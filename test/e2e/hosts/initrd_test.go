package hosts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCpio lets another program read what was written: the archive comes back as the same tree.
func TestCpio(t *testing.T) {
	reader, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio program to read the archive with")
	}
	from, to := t.TempDir(), t.TempDir()
	if err := writeFile(filepath.Join(from, "usr/bin/tool"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(from, "etc/odd"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := symlink("../etc/odd", filepath.Join(from, "usr/link")); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	c := cpio{w: &archive}
	c.tree("payload", from)
	c.file("init", 0o755, []byte("x"))
	c.close()
	if c.err != nil {
		t.Fatal(c.err)
	}
	extract := exec.Command(reader, "--extract", "--quiet", "--make-directories")
	extract.Stdin, extract.Dir = &archive, to
	if out, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	diff := exec.Command("diff", "--recursive", "--no-dereference", from, filepath.Join(to, "payload"))
	if out, err := diff.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for path, want := range map[string]os.FileMode{"payload/usr/bin/tool": 0o755, "payload/etc/odd": 0o600, "init": 0o755} {
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
