//go:build containers_image_openpgp

package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Files become an artifact, go to a registry, come back and are the same.
func TestArtifact(t *testing.T) {
	r := startRegistry(t)
	im := openStore(t)
	n := r.host + "/team/model:1"
	one, two := writeFile(t, "one.txt", "first"), writeFile(t, "two.txt", "second")
	if _, err := im.AddArtifact(t.Context(), n, []string{one}, AddOptions{Type: "application/x.test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AddArtifact(t.Context(), n, []string{two}, AddOptions{}); err == nil || !strings.Contains(err.Error(), "give --append") {
		t.Errorf("%v", err)
	}
	d, err := im.AddArtifact(t.Context(), n, []string{two}, AddOptions{Append: true})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := im.PushArtifact(t.Context(), n, "", PushOptions{Registry: r.access()})
	if err != nil || pushed.String() != d {
		t.Fatalf("pushed %s, %v; want %s", pushed, err, d)
	}
	other := openStore(t)
	got, err := other.PullArtifact(t.Context(), n, r.pull())
	if err != nil || got != d {
		t.Fatalf("pulled %s, %v; want %s", got, err, d)
	}
	a, err := other.Artifact(strings.TrimPrefix(d, "sha256:")[:12])
	if err != nil || a.Name != n || a.Manifest.ArtifactType != "application/x.test" || a.Size() != 11 {
		t.Errorf("%+v, %v", a, err)
	}
	dir := t.TempDir()
	if err := other.ExtractArtifact(n, dir, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := other.ExtractArtifact(n, dir+"/only", ExtractOptions{Title: "two.txt"}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"one.txt": "first", "two.txt": "second", "only": "second"} {
		if data, _ := os.ReadFile(filepath.Join(dir, file)); string(data) != want {
			t.Errorf("%s is %q", file, data)
		}
	}
	if err := errors.Join(unix.Mkfifo(dir+"/fifo", 0o600), os.Symlink("only", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(dir+"/fifo", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := other.ExtractArtifact(n, dir+"/fifo", ExtractOptions{Title: "one.txt"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(dir + "/fifo"); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("a pipe has become %v, %v", info, err)
	}
	if err := errors.Join(os.Remove(dir+"/one.txt"), os.Symlink("only", dir+"/one.txt"), other.ExtractArtifact(n, dir, ExtractOptions{})); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(dir + "/only"); string(data) != "second" {
		t.Errorf("the title of a file led through a link: %q", data)
	}
	if err := other.ExtractArtifact(n, dir+"/new", ExtractOptions{}); err == nil {
		t.Error("two files went into one")
	}
	if _, err := other.RemoveArtifact(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Artifact(n); !errors.Is(err, ErrNoArtifact) {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(other.artifactDir() + "/blobs/sha256/*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A title from a registry may not lead out of the directory.
func TestArtifactWithHostileTitle(t *testing.T) {
	im := openStore(t)
	file := writeFile(t, "x", "bad")
	for _, title := range []string{"../x", "/etc/x", "a/b", ".."} {
		_, err := im.AddArtifact(t.Context(), "host.example/a:1", []string{file}, AddOptions{Annotations: map[string]string{"org.opencontainers.image.title": title}})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := im.ExtractArtifact("host.example/a:1", dir, ExtractOptions{}); err == nil || !strings.Contains(err.Error(), "is no name of a file") {
			t.Errorf("%s: %v", title, err)
		}
		if _, err := im.RemoveArtifact(t.Context(), "host.example/a:1"); err != nil {
			t.Fatal(err)
		}
	}
}
