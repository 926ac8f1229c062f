//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func addArtifact(t *testing.T, im *Images, list string, a ArtifactAddition) imgspecv1.Descriptor {
	t.Helper()
	if _, err := im.AddArtifactToList(t.Context(), list, a); err != nil {
		t.Fatal(err)
	}
	index, err := im.Index(list)
	if err != nil {
		t.Fatal(err)
	}
	return index.Manifests[len(index.Manifests)-1]
}

// The same files make the same artifact as with Podman 5.4.2, from which the digests are.
func TestListArtifactIsPodmans(t *testing.T) {
	im := openStore(t)
	mustList(t, im, "l")
	hello, html, config := writeFile(t, "a.txt", "hello\n"), writeFile(t, "c.html", "<html></html>"), writeFile(t, "conf.json", "{\"x\":1}\n")
	empty := ""
	for want, a := range map[digest.Digest]ArtifactAddition{
		"sha256:3078955a1fe611d02cc0e37e5849ed7a19c63a183e20f1b68dde2ff4983746df": {Files: []string{hello}, ExcludeTitles: true},
		"sha256:755dae0d6dfc95c763821d0c629bcbb09b2da6a2c4296629c6e06a25b4aaba5d": {Files: []string{html}},
		"sha256:bfe12ccb0a518baeef27065156dde6fa515831f195ff6c54d45d2fbdd013abbf": {Files: []string{hello}, Config: config},
	} {
		if got := addArtifact(t, im, "l", a); got.Digest != want || got.ArtifactType != unknownArtifact || got.Platform != nil {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	if got := addArtifact(t, im, "l", ArtifactAddition{Files: []string{hello}, Type: &empty}); got.ArtifactType != "" {
		t.Errorf("without a type it is %+v", got)
	}
	typed := addArtifact(t, im, "l", ArtifactAddition{Files: []string{hello, html}, FileType: "text/x", Platform: Platform{OS: "linux", Arch: "arm64", Annotations: map[string]string{"k": "v"}}})
	if typed.Platform.Architecture != "arm64" || typed.Annotations["k"] != "v" {
		t.Errorf("%+v", typed)
	}
	files, err := im.ListFiles("l")
	if err != nil || !slices.Equal(files[typed.Digest], []string{hello, html}) {
		t.Errorf("%q, %v", files, err)
	}
}

// An artifact goes with the list to a registry, as it is, and from one list into another.
func TestListArtifactPush(t *testing.T) {
	r := startRegistry(t)
	im := openStore(t)
	loadArch(t, im, "amd", "amd64")
	mustList(t, im, "l", "amd")
	file := writeFile(t, "a.txt", "hello\n")
	d := addArtifact(t, im, "l", ArtifactAddition{Files: []string{file}, Subject: "amd", Config: writeFile(t, "c", "{}")})
	if one, _, err := im.lookupImage("l"); err != nil || one.Names[0] != "localhost/amd:latest" {
		t.Errorf("the image for this machine: %v, %v", one, err)
	}
	if _, err := im.CreateList("second", false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AddToList(t.Context(), "second", Addition{Image: "l", All: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AnnotateIndex(t.Context(), "second", IndexChange{Subject: "amd"}); err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"l", "second"} {
		name := r.host + "/" + l + ":1"
		if _, err := im.PushList(t.Context(), l, name, ListPushOptions{PushOptions: PushOptions{Registry: r.access(), All: true}}); err != nil {
			t.Fatal(err)
		}
		raw, _, err := im.RemoteManifest(t.Context(), name, r.access())
		var index imgspecv1.Index
		if err != nil || json.Unmarshal(raw, &index) != nil || len(index.Manifests) != 2 || (index.Subject != nil) != (l == "second") {
			t.Fatalf("%s, %v", raw, err)
		}
		raw, _, err = im.RemoteManifest(t.Context(), r.host+"/"+l+"@"+d.Digest.String(), r.access())
		var m imgspecv1.Manifest
		if err != nil || json.Unmarshal(raw, &m) != nil || digest.FromBytes(raw) != d.Digest || m.Subject == nil || m.Subject.Digest == "" {
			t.Errorf("%s, %v, want %s", raw, err, d.Digest)
		}
	}
	other := openStore(t)
	if _, err := other.PullArtifact(t.Context(), r.host+"/l@"+d.Digest.String(), r.pull()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("HELLO\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := ListPushOptions{PushOptions: PushOptions{All: true}}
	if _, err := im.PushList(t.Context(), "l", "dir:"+t.TempDir(), to); err == nil || !strings.Contains(err.Error(), "a.txt has changed since it was added") {
		t.Errorf("a file that has changed: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := im.PushList(t.Context(), "l", "dir:"+t.TempDir(), to); err == nil || !strings.Contains(err.Error(), "there is no file "+file) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// With an artifact goes what is known of it and of no other.
func TestListArtifactRemove(t *testing.T) {
	im := openStore(t)
	id := mustList(t, im, "l")
	both, own := writeFile(t, "both", "both"), writeFile(t, "own", "own")
	one := addArtifact(t, im, "l", ArtifactAddition{Files: []string{both, own}})
	two := addArtifact(t, im, "l", ArtifactAddition{Files: []string{both}})
	if _, err := im.AnnotateList("l", own, Platform{Annotations: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if index, _ := im.Index("l"); index.Manifests[0].Annotations["a"] != "b" || index.Manifests[0].Platform != nil {
		t.Errorf("%+v", index.Manifests)
	}
	if _, err := im.RemoveFromList("l", one.Digest.String()); err != nil {
		t.Fatal(err)
	}
	a, err := im.readArtifacts(id)
	if err != nil || len(a.Manifests) != 1 || len(a.Detached) != 1 || len(a.Files) != 1 || len(a.Blobs) != 1 || a.Manifests[two.Digest] == "" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := im.RemoveFromList("l", both); err != nil {
		t.Fatal(err)
	}
	if a, err = im.readArtifacts(id); err != nil || len(a.Manifests)+len(a.Detached)+len(a.Blobs) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestListArtifactErrors(t *testing.T) {
	im := openStore(t)
	mustList(t, im, "l")
	file := writeFile(t, "file", "x")
	large := writeFile(t, "large", strings.Repeat("x", maxArtifactConf+1))
	for want, a := range map[string]ArtifactAddition{
		"no such file":             {Files: []string{filepath.Join(t.TempDir(), "none")}},
		"not a regular file":       {Files: []string{t.TempDir()}},
		"configuration":            {Files: []string{file}, Config: "/nothing"},
		"and may have 1.0 MB":      {Files: []string{file}, Config: large},
		"subject nothing: it is n": {Files: []string{file}, Subject: "nothing"},
	} {
		if _, err := im.AddArtifactToList(t.Context(), "l", a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if index, err := im.Index("l"); err != nil || len(index.Manifests) != 0 {
		t.Errorf("%+v, %v", index, err)
	}
}
