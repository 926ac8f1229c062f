//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// While an artifact comes, the others can be worked with; who wants the same one waits for it.
func TestArtifactsWhileOneComes(t *testing.T) {
	slow, fast := newRegistry(t), newRegistry(t)
	d := slow.add(t, "model:1", twoLayers(t))
	fast.add(t, "model:1", twoLayers(t))
	begun, waiting, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	begin, letGo := sync.OnceFunc(func() { close(begun) }), sync.OnceFunc(func() { close(goOn) })
	defer letGo()
	slow.refuse = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.Path, "/blobs/") {
			begin()
			<-goOn
		}
		return false
	}
	im := openStore(t)
	name := slow.host() + "/model:1"
	var pulls sync.WaitGroup
	pull := func(im *Images) {
		pulls.Go(func() {
			if got, err := im.PullArtifact(t.Context(), name, plain(PullOptions{})); err != nil || got != d {
				t.Errorf("%s, %v; want %s", got, err, d)
			}
		})
	}
	pull(im)
	<-begun
	pull(openAgain(t, im, sync.OnceFunc(func() { close(waiting) })))
	<-waiting

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := "localhost/team/other:1"
	if _, err := im.AddArtifact(ctx, other, []string{writeFile(t, "x", "x")}, AddOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := im.RemoveArtifact(ctx, other); err != nil {
		t.Error(err)
	}
	if _, err := im.PullArtifact(ctx, fast.host()+"/model:1", plain(PullOptions{})); err != nil {
		t.Error(err)
	}
	letGo()
	pulls.Wait()
	// The files of the second artifact are the first one's too, and stay with it.
	if _, err := im.RemoveArtifact(ctx, fast.host()+"/model:1"); err != nil {
		t.Error(err)
	}
	if err := im.ExtractArtifact(name, t.TempDir(), ExtractOptions{}); err != nil {
		t.Error(err)
	}
	if n := slow.count("blobs"); n > 4 { // the config is no file, and read by each
		t.Errorf("%d blobs were asked for, want at most 4", n)
	}
	if _, err := im.RemoveArtifact(ctx, name); err != nil {
		t.Error(err)
	}
	if left := append(inDir(t, im.artifactDir(), "blobs/*/*"), inDir(t, im.artifactDir(), "berth-*")...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// Files that another artifact has are not fetched again, and stay although that one goes meanwhile.
func TestArtifactSharesFiles(t *testing.T) {
	r, im := newRegistry(t), openStore(t)
	r.add(t, "a:1", twoLayers(t))
	r.add(t, "b:1", twoLayers(t))
	a, b := r.host()+"/a:1", r.host()+"/b:1"
	if _, err := im.PullArtifact(t.Context(), a, plain(PullOptions{})); err != nil {
		t.Fatal(err)
	}
	before := r.count("blobs")
	beside, err := im.besideArtifacts(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if _, err := im.PullArtifact(t.Context(), b, plain(PullOptions{})); err != nil {
		t.Fatal(err)
	}
	if n := r.count("blobs") - before; n > 1 { // the config is no file
		t.Errorf("%d blobs were fetched again", n)
	}
	for _, name := range []string{a, b} {
		if err := im.ExtractArtifact(name, t.TempDir(), ExtractOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := im.RemoveArtifact(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// A pull that fails or is interrupted leaves nothing, and waiting for the lock can be interrupted.
func TestArtifactIsInterrupted(t *testing.T) {
	r, im := newRegistry(t), openStore(t)
	r.add(t, "a:1", twoLayers(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/blobs/") {
			return false
		}
		cancel()
		http.Error(w, "no", http.StatusForbidden)
		return true
	}
	if _, err := im.PullArtifact(ctx, r.host()+"/a:1", plain(PullOptions{})); err == nil {
		t.Error("it was pulled")
	}
	if left := append(inDir(t, im.artifactDir(), "blobs/*/*"), inDir(t, im.artifactDir(), "berth-*")...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	unlock, err := im.artifacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	r.refuse = nil
	for what, f := range map[string]func(context.Context, *Images) error{
		"add": func(ctx context.Context, im *Images) error {
			_, err := im.AddArtifact(ctx, "localhost/team/x:1", nil, AddOptions{})
			return err
		},
		"rm": func(ctx context.Context, im *Images) error {
			_, err := im.RemoveArtifact(ctx, "localhost/team/x:1")
			return err
		},
		"pull": func(ctx context.Context, im *Images) error {
			_, err := im.PullArtifact(ctx, r.host()+"/a:1", plain(PullOptions{}))
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if err := f(ctx, openAgain(t, im, cancel)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// openAgain opens the store as another process would, which calls waits when it stands in line.
func openAgain(t *testing.T, im *Images, waits func()) *Images {
	t.Helper()
	other, err := Open(Options{Root: im.store.GraphRoot(), RunRoot: im.store.RunRoot(), Driver: "overlay", DriverOptions: []string{"overlay.sync=none"},
		SignaturePolicy: im.sys.SignaturePolicyPath, Say: func(s string) {
			if strings.HasPrefix(s, "Waiting for another") {
				waits()
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

func inDir(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestArtifactAppend: the artifact before is not left behind without a name; what an older berth has left so goes, and its files.
func TestArtifactAppend(t *testing.T) {
	im := openStore(t)
	n := "registry.example/team/model:1"
	add := func(file string, o AddOptions) {
		t.Helper()
		if _, err := im.AddArtifact(t.Context(), n, []string{writeFile(t, file, file)}, o); err != nil {
			t.Fatal(err)
		}
	}
	files := func() int {
		list, _ := filepath.Glob(filepath.Join(im.artifactDir(), "blobs/*/*"))
		return len(list)
	}
	add("one", AddOptions{})
	add("two", AddOptions{Append: true})
	all, err := im.Artifacts()
	if err != nil || len(all) != 1 || len(all[0].Manifest.Layers) != 2 || files() != 4 {
		t.Errorf("%+v, %v, %d files", all, err, files())
	}
	if _, err := im.RemoveArtifact(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if all, err := im.Artifacts(); err != nil || len(all) != 0 || files() != 0 {
		t.Errorf("removed: %+v, %v, %d files", all, err, files())
	}
	add("three", AddOptions{})
}
